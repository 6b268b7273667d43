create function private.time_zone_of_user(p_organization_id uuid, p_user_id uuid) returns text
language sql stable parallel safe
set search_path = ''
as $$
  select coalesce(u.time_zone, o.time_zone, 'UTC')
  from public.users u
  join public.organizations o on o.id = u.organization_id
  where u.organization_id = p_organization_id and u.id = p_user_id;
$$;
comment on function private.time_zone_of_user(uuid, uuid) is 'A person''s time zone: their own, else the organisation''s, else UTC (rules.md §1).';
revoke all on function private.time_zone_of_user(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.time_zone_of_user(uuid, uuid) to service_role;
