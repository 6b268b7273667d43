create function private.organization_of_push(p_outbox_id uuid) returns uuid
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  -- Organisation by organisation, each of which is one probe: the key begins with it.
  select g.id into v_organization_id
  from public.organizations g
  cross join lateral (
    select from private.outbox p where p.organization_id = g.id and p.id = p_outbox_id offset 0) o
  limit 1;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_push', detail = jsonb_build_object('outbox_id', p_outbox_id)::text,
      hint = 'public.list_outbox lists them.';
  end if;
  return v_organization_id;
end;
$$;
comment on function private.organization_of_push(uuid) is 'The organisation of a push. PT404 unknown_push when there is no such push.';
revoke all on function private.organization_of_push(uuid) from public, anon, authenticated, service_role;
grant execute on function private.organization_of_push(uuid) to service_role;
