-- A chunk asks of what waits and of whom it decides, never of all that was told or held before it: chunks no longer grow.
set check_function_bodies = off;

create or replace function private.record_held(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[],
  p_outcomes private.claim_outcome[], p_rules private.scenario_rule[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
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
    from unnest(p_outcomes) as o
    cross join lateral (
      select d.ctid as address from private.held_decisions d
      where d.organization_id = p_organization_id and d.user_id = o.user_id and d.subject = o.subject
      offset 0
    ) k
    where o.outcome in ('sent', 'quiet_hours')));
  insert into private.held_decisions as h (
    organization_id, user_id, subject, scenario, rule_id, rule_version, gate, crossed_at, decided_at, look_again_at)
  select p_organization_id, m.user_id, m.subject, m.scenario, m.rule_id, r.version, coalesce(m.gate, o.outcome), m.crossed_at, p_now,
    case when m.gate is not null then m.eligible_at else o.look_again_at end
  from unnest(p_matches) as m
  join unnest(p_rules) as r on r.id = m.rule_id
  left join unnest(p_outcomes) as o on o.user_id = m.user_id and o.scenario = m.scenario and o.subject = m.subject
  where coalesce(m.gate, o.outcome) in ('before_effective', 'crossing_too_old', 'enough_reminders', 'opted_out', 'capped')
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, subject) do update
    set rule_version = excluded.rule_version, gate = excluded.gate, crossed_at = excluded.crossed_at, decided_at = excluded.decided_at,
        look_again_at = excluded.look_again_at
    where (h.rule_version, h.gate, h.crossed_at, h.look_again_at)
      is distinct from (excluded.rule_version, excluded.gate, excluded.crossed_at, excluded.look_again_at);
end;
$$;
comment on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.claim_outcome[], private.scenario_rule[], timestamptz) is
  'Keeps who matched and was not told, by which gate, and when a gate that ends by itself is to be looked at again.';
revoke all on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.claim_outcome[], private.scenario_rule[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.claim_outcome[], private.scenario_rule[], timestamptz) to service_role;

create or replace function private.unmatched_notifications(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[], p_now timestamptz)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return array(
    select n.id
    from private.outbox o
    join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
    where o.organization_id = p_organization_id and o.state in ('pending', 'deferred')
      and (p_from_user is null or o.user_id >= p_from_user) and (p_to_user is null or o.user_id < p_to_user)
      and (p_user_ids is null or o.user_id = any (p_user_ids))
      -- Of who is in quarantine nobody knows what matches.
      and not exists (select from private.quarantine q where q.organization_id = o.organization_id and q.user_id = o.user_id)
      -- Without a rule, somebody outside decided. What was decided later than p_now is not this evaluation's to judge, nor is a
      -- milestone of a year that is no longer looked at, while its rule is on.
      and n.rule_id is not null and n.triggered_at <= p_now
      and (coalesce((n.context ->> 'period_start')::timestamptz >= date_trunc('year', p_now, 'UTC'), true)
        or not exists (
          select from public.scenario_rules r
          where r.organization_id = n.organization_id and r.id = n.rule_id and r.is_enabled))
      -- Asked of what waits, never of everything that was ever told: a chunk must not cost more as a run goes on.
      and not exists (
        select from unnest(p_matches) as m
        where m.user_id = n.user_id and m.scenario = n.scenario and m.subject = n.subject
          and (m.gate is null or m.gate not in ('rule_disabled', 'person_inactive', 'away', 'not_matched')))
  );
end;
$$;
comment on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) is
  'What was decided for these people, has not been sent, and no longer holds: p_matches are all they match at p_now. An evaluation takes it back, and a dry-run knows that it will.';
revoke all on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) to service_role;
