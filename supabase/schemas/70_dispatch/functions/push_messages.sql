create function private.push_messages(p_releases private.push_release[])
returns table (
  organization_id uuid, outbox_id uuid, lease integer, device_id uuid, provider text, token text, title text, body text, collapse_key uuid,
  expires_at timestamptz, data json, problem text)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select r.organization_id, r.id, r.lease, d.id, d.provider, d.token, w.title, w.body, r.id, r.expires_at,
    json_build_object('notification_id', r.notification_id, 'scenario', r.scenario), w.problem
  from unnest(p_releases) as r
  join private.rendered_notifications(
      array(select r.organization_id from unnest(p_releases) as r), array(select r.notification_id from unnest(p_releases) as r)) w
    on w.organization_id = r.organization_id and w.id = r.notification_id
  left join public.devices d on d.organization_id = r.organization_id and d.user_id = r.user_id and d.is_active
    and not exists (
      select from private.outbox_devices x
      where x.organization_id = r.organization_id and x.outbox_id = r.id and x.device_id = d.id and x.verdict <> 'retry');
end;
$$;
comment on function private.push_messages(private.push_release[]) is
  'What is to be sent of these pushes: a row for each of the person''s devices that has not had it, and one without device where there is none. problem: why it cannot be put into words.';
revoke all on function private.push_messages(private.push_release[]) from public, anon, authenticated, service_role;
grant execute on function private.push_messages(private.push_release[]) to service_role;
