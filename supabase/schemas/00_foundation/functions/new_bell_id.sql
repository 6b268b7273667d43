create function private.new_bell_id() returns text
language sql volatile
set search_path = ''
as $$
  select 'bell_' || replace(gen_random_uuid()::text, '-', '');
$$;
comment on function private.new_bell_id() is 'A fresh id for a bell, unique for ever.';
revoke all on function private.new_bell_id() from public, anon, authenticated, service_role;
grant execute on function private.new_bell_id() to service_role;
