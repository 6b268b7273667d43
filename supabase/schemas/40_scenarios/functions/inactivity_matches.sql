create function private.inactivity_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_user_ids uuid[] := p_user_ids;
  v_shortest integer := (select min(r.threshold_days) from unnest(p_rules) r where r.type = 'inactivity');
begin
  if v_shortest is null then
    return;
  end if;
  if p_matched_only and p_user_ids is null and p_as_of is null then
    v_user_ids := private.inactivity_candidates(
      p_organization_id, p_from_user, p_to_user, p_now - make_interval(hours => 24 * v_shortest));
    if v_user_ids is null then
      return;
    end if;
  end if;
  return query
  select m.user_id, 'inactivity', m.rule_id, m.rule_id::text, m.gate,
    case when m.gate is null then m.crosses_at end,
    case when m.gate is null and m.max_reminders <= m.skipped + (
        select count(*)
        from (
          select from public.notifications n
          where n.organization_id = p_organization_id and n.user_id = m.user_id and n.scenario = 'inactivity'
            and n.subject = m.rule_id::text and n.triggered_at >= m.anchor_at and (n.retracted_at is null or n.retracted_at > p_as_of)
            and (p_as_of is null or n.triggered_at < p_as_of)
          -- The order of the one index that has the whole key.
          order by n.triggered_at limit m.max_reminders
        ) told)
      then 'enough_reminders' end,
    null,
    case m.gate when 'away' then m.away_until when 'not_matched' then case when m.role = 'peer_mentor' then m.crosses_at end end,
    jsonb_strip_nulls(jsonb_build_object('threshold_days', m.threshold_days, 'last_activity_at', m.last_activity_at,
      'anchor_at', m.anchor_at, 'role', case when m.gate is not null then m.role end,
      'away_until', case when m.gate = 'away' then m.away_until end,
      'would_cross_at', case when m.gate is not null then m.crosses_at end))
  from (
    select f.user_id, f.role, f.away_until, f.last_activity_at, n.anchor_at,
      r.id as rule_id, r.threshold_days, r.max_reminders, c.crosses_at,
      -- A skipped rule acts as if it had been on all the time: what it would have sent before counts as sent.
      case when r.activation = 'skip' and c.crosses_at < r.effective_from
        then ceil(extract(epoch from r.effective_from - c.crosses_at) / (86400 * r.cooldown_days)) else 0 end as skipped,
      case
        when not r.is_enabled then 'rule_disabled'
        when not f.is_active then 'person_inactive'
        when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
        when f.role <> 'peer_mentor' or (c.crosses_at <= p_now) is not true then 'not_matched'
      end as gate
    from private.facts(p_organization_id, p_from_user, p_to_user, v_user_ids, p_as_of) f
    cross join unnest(p_rules) r
    -- An absence still ahead is not yet a reason to wait; one under way is the gate "away".
    cross join lateral (
      select greatest(f.last_activity_at, f.joined_at, f.reactivated_at, case when f.away_until <= p_now then f.away_until end) as anchor_at) n
    -- Days are 24 hours: a threshold does not move with anybody's clock change.
    cross join lateral (select n.anchor_at + make_interval(hours => 24 * r.threshold_days) as crosses_at) c
    where r.type = 'inactivity'
    offset 0
  ) m
  where m.gate is null or not p_matched_only;
end;
$$;
comment on function private.inactivity_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'The inactivity evaluator: for everybody of a range (from inclusive, to exclusive, null: open) or list and each of these rules of the type, whether they match at p_now, with the values compared. p_as_of: facts of then instead of now. p_matched_only: only those who match (rules.md §3).';
revoke all on function private.inactivity_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.inactivity_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;
