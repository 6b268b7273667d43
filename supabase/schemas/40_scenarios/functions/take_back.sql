create function private.take_back(p_organization_id uuid, p_notification_ids uuid[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  with retracted as (
    update public.notifications n
    set retracted_at = p_now
    where n.organization_id = p_organization_id and n.id = any (p_notification_ids)
      and n.read_at is null and n.dismissed_at is null and n.retracted_at is null
      -- Whom the push has reached on one device has been told, though another device still waited for it.
      and not exists (
        select from private.outbox o
        where o.organization_id = n.organization_id and o.notification_id = n.id and private.has_arrived(o.organization_id, o.id)
        offset 0)
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
comment on function private.take_back(uuid, uuid[], timestamptz) is
  'Takes notifications out of the app that were not pushed and no longer hold. What has been read, or has arrived on a device, stays; what coordinators were told of it goes along. For whoever has taken back the push and holds the locks of the people (private.retract_unmatched).';
revoke all on function private.take_back(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.take_back(uuid, uuid[], timestamptz) to service_role;
