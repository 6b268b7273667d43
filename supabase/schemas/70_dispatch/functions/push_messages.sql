create function private.push_messages(p_releases private.push_release[])
returns table (organization_id uuid, id uuid, problem text, messages jsonb)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select r.organization_id, r.id, w.problem,
    (select jsonb_agg(jsonb_build_object('organization_id', r.organization_id, 'outbox_id', r.id, 'lease', r.lease,
        'device_id', d.id, 'provider', d.provider, 'token', d.token, 'title', w.title, 'body', w.body, 'collapse_key', r.id,
        'expires_at', r.expires_at, 'data', jsonb_build_object('notification_id', r.notification_id, 'scenario', n.scenario)))
     from public.devices d
     where d.organization_id = r.organization_id and d.user_id = r.user_id and d.is_active
       and not exists (
         select from private.outbox_devices x
         where x.organization_id = r.organization_id and x.outbox_id = r.id and x.device_id = d.id and x.verdict <> 'retry'))
  from unnest(p_releases) as r
  join private.rendered_notifications(
      array(select r.organization_id from unnest(p_releases) as r), array(select r.notification_id from unnest(p_releases) as r)) w
    on w.organization_id = r.organization_id and w.id = r.notification_id
  join public.notifications n on n.organization_id = r.organization_id and n.id = r.notification_id;
end;
$$;
comment on function private.push_messages(private.push_release[]) is
  'What is to be sent of these pushes: a message for each of the person''s devices that has not had it. null: there is none. problem: why it cannot be put into words.';
revoke all on function private.push_messages(private.push_release[]) from public, anon, authenticated, service_role;
grant execute on function private.push_messages(private.push_release[]) to service_role;
