create function private.unmatched_notifications(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[], p_now timestamptz,
  p_notification_ids uuid[] default null)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  -- Asked of what waits, never of everything that was ever told: a chunk must not cost more as a run goes on. Mostly nothing does.
  v_waiting constant uuid[] := coalesce(p_notification_ids, array(
    select o.notification_id from private.outbox o
    where o.organization_id = p_organization_id and o.state in ('pending', 'deferred', 'failed')
      -- What waits for a second device only is settled at its next attempt.
      and (o.attempts = 0 or not private.has_arrived(o.organization_id, o.id))
      and (p_from_user is null or o.user_id >= p_from_user) and (p_to_user is null or o.user_id < p_to_user)
      and (p_user_ids is null or o.user_id = any (p_user_ids))));
begin
  if v_waiting = '{}' then
    return v_waiting;
  end if;
  return array(
    select n.id
    from public.notifications n
    where n.organization_id = p_organization_id and n.id = any (v_waiting)
      -- Of who is in quarantine nobody knows what matches.
      and not exists (select from private.quarantine q where q.organization_id = n.organization_id and q.user_id = n.user_id)
      -- Without a rule, somebody outside decided. What was decided later than p_now is not this evaluation's to judge, nor is a
      -- milestone of a year that is no longer looked at, while its rule is on.
      and n.rule_id is not null and n.triggered_at <= p_now
      and (coalesce((n.context ->> 'period_start')::timestamptz >= date_trunc('year', p_now, 'UTC'), true)
        or not exists (
          select from public.scenario_rules r
          where r.organization_id = n.organization_id and r.id = n.rule_id and r.is_enabled))
      and not exists (
        select from unnest(p_matches) as m
        where m.user_id = n.user_id and m.scenario = n.scenario and m.subject = n.subject
          and (m.gate is null or m.gate not in ('rule_disabled', 'person_inactive', 'away', 'not_matched')))
  );
end;
$$;
comment on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz, uuid[]) is
  'What was decided for these people, has not been sent, and no longer holds: p_matches are all they match at p_now. An evaluation takes it back, and a dry-run knows that it will. With p_notification_ids, which of these no longer hold, whoever is about to send them.';
revoke all on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz, uuid[]) to service_role;
