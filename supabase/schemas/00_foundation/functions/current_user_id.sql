create function private.current_user_id() returns uuid
language sql stable security definer parallel safe
set search_path = ''
as $$
  select ul.user_id from public.user_logins ul where ul.auth_user_id = (select auth.uid());
$$;
-- Definer because policies ask it before the reader may see any row; it answers only about auth.uid() itself.
comment on function private.current_user_id() is 'The person who is signed in, null without a linked login. Wrap in a subselect so that a query asks once.';
revoke all on function private.current_user_id() from public, anon, authenticated, service_role;
grant execute on function private.current_user_id() to authenticated, service_role;
