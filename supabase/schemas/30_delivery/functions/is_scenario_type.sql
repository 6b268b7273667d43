create function private.is_scenario_type(p_scenario text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select p_scenario = any (private.scenario_types());
$$;
comment on function private.is_scenario_type(text) is 'Whether this is a scenario the engine knows.';
revoke all on function private.is_scenario_type(text) from public, anon, authenticated, service_role;
grant execute on function private.is_scenario_type(text) to authenticated, service_role;
