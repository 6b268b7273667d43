create function private.current_organization_id() returns uuid
language sql stable security definer parallel safe
set search_path = ''
as $$
  select ul.organization_id from public.user_logins ul where ul.auth_user_id = (select auth.uid());
$$;
-- Definer because policies ask it before the reader may see any row; it answers only about auth.uid() itself.
comment on function private.current_organization_id() is 'The organisation of who is signed in, null without a linked login.';
revoke all on function private.current_organization_id() from public, anon, authenticated, service_role;
grant execute on function private.current_organization_id() to authenticated, service_role;
