create function private.scenario_types() returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select array['inactivity', 'milestone', 'certification_expiry', 'pastoral_case'];
$$;
comment on function private.scenario_types() is
  'What people can be told of, and switch off. A new scenario adds its name here; private.rule_types leaves out those that no rule decides.';
revoke all on function private.scenario_types() from public, anon, authenticated, service_role;
grant execute on function private.scenario_types() to authenticated, service_role;
