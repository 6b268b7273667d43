create function private.retract_unmatched(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_unmatched constant uuid[] := private.unmatched_notifications(p_organization_id, p_from_user, p_to_user, p_user_ids, p_matches, p_now);
  v_taken uuid[];
begin
  if v_unmatched = '{}' then
    return;
  end if;
  -- Whoever opts out locks themselves first and then these rows (private.retract_opted_out): the other way round would be a
  -- circle. Those who are about to be told are locked along, so that all locks are taken in the order of the key.
  perform from public.users u
  where u.organization_id = p_organization_id and u.id in (
    select n.user_id from public.notifications n where n.organization_id = p_organization_id and n.id = any (v_unmatched)
    union
    select m.user_id from unnest(p_matches) as m where m.gate is null
    union
    select uc.coordinator_id from unnest(p_matches) as m
    join public.user_coordinators uc on uc.organization_id = p_organization_id and uc.user_id = m.user_id
    where m.gate is null)
  order by u.id
  for no key update of u;
  with taken as (
    update private.outbox o
    set state = 'retracted'
    where o.organization_id = p_organization_id and o.notification_id = any (v_unmatched) and o.state in ('pending', 'deferred', 'failed')
    returning o.notification_id
  )
  select array_agg(t.notification_id) into v_taken from taken t;
  perform private.take_back(p_organization_id, v_taken, p_now);
end;
$$;
comment on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) is
  'Takes back what was decided for these people, has not been sent, and no longer holds: p_matches are all they match at p_now. What has been read in the app stays there; what coordinators were told of it goes along.';
revoke all on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) to service_role;
