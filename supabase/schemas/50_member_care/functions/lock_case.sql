create function private.lock_case(p_case_id uuid) returns uuid
language plpgsql
set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  select c.organization_id into v_organization_id from public.pastoral_cases c
  where c.id = p_case_id and (
    c.organization_id = private.organization_as('{admin}')
    or (c.organization_id = private.organization_as('{servant,coordinator,manager}') and c.assigned_servant_id = private.current_user_id()))
  for no key update;
  if not found then
    -- Not theirs is as unknown as not there.
    raise exception using errcode = 'PT404', message = 'unknown_case', detail = jsonb_build_object('case_id', p_case_id)::text,
      hint = 'A case is worked by the servant it is assigned to, and by admins.';
  end if;
  return v_organization_id;
end;
$$;
comment on function private.lock_case(uuid) is
  'Locks a case for who is signed in, the servant it is assigned to or an admin, and returns the organisation. PT404 unknown_case.';
revoke all on function private.lock_case(uuid) from public, anon, authenticated, service_role;
