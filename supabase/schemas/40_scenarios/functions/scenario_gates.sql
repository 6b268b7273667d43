create function private.scenario_gates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz)
returns table (
  user_id uuid, scenario text, rule_id uuid, rule_version integer, subject text, gate text, crossed_at timestamptz,
  eligible_again_at timestamptz, release_at timestamptz, detail jsonb)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_matches private.scenario_match[] := array(
    select m from private.scenario_matches(p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, false) m);
  -- What an evaluation would take back makes room in a day before anybody is told.
  v_leaving constant uuid[] := array(
    select n.id
    from unnest(private.unmatched_notifications(p_organization_id, p_from_user, p_to_user, p_user_ids, v_matches, p_now)) as l (id)
    join public.notifications n on n.organization_id = p_organization_id and n.id = l.id
    -- Not those of rules that are not asked about.
    where n.rule_id in (select r.id from unnest(p_rules) r)
      or not exists (select from public.scenario_rules s where s.organization_id = p_organization_id and s.id = n.rule_id));
  v_judged constant private.judged_claim[] := private.delivery_gates(
    p_organization_id, private.claims_of(v_matches, p_rules), p_now, p_as_of, v_leaving);
begin
  return query
  select m.user_id, m.scenario, m.rule_id, r.version, m.subject,
    case when q.user_id is not null then 'quarantined' else coalesce(m.gate, g.gate) end, m.crossed_at,
    case
      when q.user_id is not null then null
      when m.gate is not null then m.eligible_at
      when g.gate = 'cooling_down' then coalesce(nullif(g.cooldown_until, 'infinity'), (m.context ->> 'expires_at')::timestamptz)
      when g.gate = 'capped' then g.look_again_at
    end,
    case when q.user_id is null and g.gate in ('would_send', 'quiet_hours') then g.release_at end,
    m.context || jsonb_strip_nulls(jsonb_build_object('told_with', m.told_with, 'opted_out_of', g.opted_out_of,
      'cooldown_until', case when g.gate = 'cooling_down' then nullif(g.cooldown_until, 'infinity') end))
  from unnest(v_matches) as m
  join unnest(p_rules) as r on r.id = m.rule_id
  left join unnest(v_judged) as g
    on m.gate is null and g.user_id = m.user_id and g.scenario = m.scenario and g.subject = m.subject
  left join private.quarantine q on q.organization_id = p_organization_id and q.user_id = m.user_id and p_as_of is null;
end;
$$;
comment on function private.scenario_gates(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz) is
  'Every scenario, whole: for everybody of a range (from inclusive, to exclusive, null: open) or list and every subject of these rules the first gate that holds at p_now, or would_send, with the values it compared and when it ends, if that is known. Dry-run, explanation and the preview of a rule read this; live is the same functions with effects (private.decide).';
revoke all on function private.scenario_gates(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.scenario_gates(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz) to service_role;
