create function private.next_people(p_organization_id uuid, p_from_user uuid, p_limit integer) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select coalesce(array_agg(p.id order by p.id), '{}')
    from (
      select u.id
      from public.users u
      where u.organization_id = p_organization_id and (p_from_user is null or u.id >= p_from_user)
      order by u.id
      limit p_limit + 1
    ) p);
end;
$$;
comment on function private.next_people(uuid, uuid, integer) is
  'The ids of the next p_limit people of an organisation in key order, and of one more: the exclusive end of their range.';
revoke all on function private.next_people(uuid, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function private.next_people(uuid, uuid, integer) to service_role;
