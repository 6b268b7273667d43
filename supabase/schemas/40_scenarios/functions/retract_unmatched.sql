create function private.retract_unmatched(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_unmatched constant uuid[] := private.unmatched_notifications(p_organization_id, p_from_user, p_to_user, p_user_ids, p_matches, p_now);
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
    where o.organization_id = p_organization_id and o.notification_id = any (v_unmatched) and o.state in ('pending', 'deferred')
    returning o.notification_id
  ), retracted as (
    update public.notifications n
    set retracted_at = p_now
    from taken
    where n.organization_id = p_organization_id and n.id = taken.notification_id
      and n.read_at is null and n.dismissed_at is null and n.retracted_at is null
    returning n.user_id, n.scenario, n.subject, n.triggered_at
  ), retold as (
    -- A lead that nobody saw is told again where the certificate turns out to expire after all. (A milestone stays recorded, and
    -- inactivity cools down.)
    delete from private.cooldowns cd
    using retracted r
    where cd.organization_id = p_organization_id and cd.user_id = r.user_id and cd.scenario = r.scenario and cd.subject = r.subject
      and r.scenario = 'certification_expiry'
  )
  update public.notifications n
  set retracted_at = p_now
  from retracted r
  where n.organization_id = p_organization_id and n.about_user_id = r.user_id and n.scenario = r.scenario
    and n.subject = r.subject || '/' || r.user_id and n.triggered_at = r.triggered_at
    and n.read_at is null and n.dismissed_at is null and n.retracted_at is null;
end;
$$;
comment on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) is
  'Takes back what was decided for these people, has not been sent, and no longer holds: p_matches are all they match at p_now. What has been read in the app stays there; what coordinators were told of it goes along.';
revoke all on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) to service_role;
