create function private.organization_as(p_roles public.user_role[]) returns uuid
language sql stable security definer parallel safe
set search_path = ''
as $$
  select u.organization_id
  from public.user_logins ul
  join public.users u on u.organization_id = ul.organization_id and u.id = ul.user_id
  where ul.auth_user_id = (select auth.uid()) and u.is_active and u.role = any (p_roles);
$$;
-- Definer because policies on users must not select from users; it answers only about auth.uid() itself.
comment on function private.organization_as(public.user_role[]) is
  'The organisation of who is signed in, if they are active and have one of these roles; else null, which equals nothing.';
revoke all on function private.organization_as(public.user_role[]) from public, anon, authenticated, service_role;
grant execute on function private.organization_as(public.user_role[]) to authenticated, service_role;
