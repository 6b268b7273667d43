create function private.has_arrived(p_organization_id uuid, p_outbox_id uuid) returns boolean
language sql stable parallel safe
set search_path = ''
as $$
  select exists (
    select from private.outbox_devices d
    where d.organization_id = p_organization_id and d.outbox_id = p_outbox_id and d.verdict = 'sent');
$$;
comment on function private.has_arrived(uuid, uuid) is
  'Whether a push has reached its person on some device, while it may still wait for another: they have been told.';
revoke all on function private.has_arrived(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.has_arrived(uuid, uuid) to service_role;
