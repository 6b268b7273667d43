create function private.scenario_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  select m.user_id, m.scenario, m.rule_id, m.subject,
    -- The record answers better than the date of the rule.
    case
      when m.gate is not null then m.gate
      when m.later_gate = 'already_celebrated' then m.later_gate
      when e.eligible_at > p_now then 'before_effective'
      else m.later_gate
    end,
    m.crossed_at, m.later_gate, m.told_with,
    case when m.gate is null and m.later_gate is distinct from 'already_celebrated' and e.eligible_at > p_now
      then nullif(e.eligible_at, 'infinity') else m.eligible_at end,
    m.context
  from (
    -- A new scenario adds its evaluator here.
    select * from private.inactivity_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, p_matched_only)
    union all
    select * from private.milestone_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, p_matched_only)
    union all
    select * from private.certification_expiry_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, p_matched_only)
  ) m
  join unnest(p_rules) r on r.id = m.rule_id
  cross join lateral (
    select case
      when m.gate is not null or r.activation = 'all' or m.crossed_at >= r.effective_from then '-infinity'::timestamptz
      -- Everybody's hour within the days follows from who they are, so that it is the same whenever it is asked.
      when r.activation = 'spread' then r.effective_from + make_interval(
        hours => (abs(hashtextextended(m.user_id::text || m.rule_id::text, 0) % (24 * r.spread_days)))::integer)
      when m.scenario = 'inactivity' then m.crossed_at + make_interval(hours => 24 * r.cooldown_days)
        * ceil(extract(epoch from r.effective_from - m.crossed_at) / (86400 * r.cooldown_days))
      else 'infinity'
    end as eligible_at
  ) e;
end;
$$;
comment on function private.scenario_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'All evaluators together, and what a rule''s activation makes of crossings before it took effect. A row without gate is worth telling, if the person may be told (private.delivery_gates).';
revoke all on function private.scenario_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.scenario_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;
