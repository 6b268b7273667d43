create function private.scenario_types() returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select array['inactivity', 'milestone', 'certification_expiry'];
$$;
comment on function private.scenario_types() is 'The scenarios the engine knows. A new scenario adds its name here.';
revoke all on function private.scenario_types() from public, anon, authenticated, service_role;
grant execute on function private.scenario_types() to authenticated, service_role;
