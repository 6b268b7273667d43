create function private.is_language(p_language text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select p_language ~* '^[a-z]{2,3}(-[a-z0-9]{2,8})*$';
$$;
comment on function private.is_language(text) is 'Whether this is a well-formed language tag (BCP 47), such as nb, es or en-GB. Unknown languages are allowed: templates may exist for them.';
revoke all on function private.is_language(text) from public, anon, authenticated, service_role;
grant execute on function private.is_language(text) to authenticated, service_role;
