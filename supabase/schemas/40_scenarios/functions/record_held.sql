create function private.record_held(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_decided private.scenario_match[],
  p_rules private.scenario_rule[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  -- These have been looked at now, whatever comes of it.
  update private.held_decisions h
  set look_again_at = null
  where h.organization_id = p_organization_id and h.look_again_at <= p_now
    and (p_from_user is null or h.user_id >= p_from_user) and (p_to_user is null or h.user_id < p_to_user)
    and (p_user_ids is null or h.user_id = any (p_user_ids));
  -- By row address, found by the whole key: as a join, all that the organisation holds would be read for each chunk.
  delete from private.held_decisions h
  where h.ctid = any (array(
    select k.address
    from unnest(p_decided) as m
    cross join lateral (
      select d.ctid as address from private.held_decisions d
      where d.organization_id = p_organization_id and d.user_id = m.user_id and d.subject = m.subject
      offset 0
    ) k
    where m.gate in ('sent', 'quiet_hours')));
  insert into private.held_decisions as h (
    organization_id, user_id, subject, scenario, rule_id, rule_version, gate, crossed_at, decided_at, look_again_at)
  select p_organization_id, m.user_id, m.subject, m.scenario, m.rule_id, r.version, m.gate, m.crossed_at, p_now, m.eligible_at
  from unnest(p_decided) as m
  join unnest(p_rules) as r on r.id = m.rule_id
  where m.gate in ('before_effective', 'crossing_too_old', 'enough_reminders', 'opted_out', 'capped')
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, subject) do update
    set rule_version = excluded.rule_version, gate = excluded.gate, crossed_at = excluded.crossed_at, decided_at = excluded.decided_at,
        look_again_at = excluded.look_again_at
    where (h.rule_version, h.gate, h.crossed_at, h.look_again_at)
      is distinct from (excluded.rule_version, excluded.gate, excluded.crossed_at, excluded.look_again_at);
end;
$$;
comment on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.scenario_rule[], timestamptz) is
  'Keeps who matched and was not told, by which gate, and when a gate that ends by itself is to be looked at again.';
revoke all on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.scenario_rule[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.scenario_rule[], timestamptz) to service_role;
