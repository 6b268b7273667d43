create function private.people(p_organization_id uuid, p_from_user uuid, p_to_user uuid) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select array_agg(u.id)
    from public.users u
    where u.organization_id = p_organization_id
      and (p_from_user is null or u.id >= p_from_user) and (p_to_user is null or u.id < p_to_user));
end;
$$;
comment on function private.people(uuid, uuid, uuid) is 'The ids of everybody in a range (from inclusive, to exclusive, null: open); null: nobody.';
revoke all on function private.people(uuid, uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.people(uuid, uuid, uuid) to service_role;
