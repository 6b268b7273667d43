create function private.person_kinds() returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select '{user,member,contact,student}'::text[];
$$;
comment on function private.person_kinds() is
  'The kinds of people who may ask: user (public.users, who works for the organisation), member (public.people, whom it cares for), contact (public.contacts, whom its people meet), student (public.students, whom it teaches).';
revoke all on function private.person_kinds() from public, anon, authenticated, service_role;
grant execute on function private.person_kinds() to service_role;
