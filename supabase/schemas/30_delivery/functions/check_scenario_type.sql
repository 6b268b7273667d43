create function private.check_scenario_type(p_scenario text) returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if private.is_scenario_type(p_scenario) is not true then
    raise exception using errcode = 'PT400', message = 'unknown_scenario',
      detail = jsonb_build_object('scenario', p_scenario, 'allowed', to_jsonb(private.scenario_types()))::text;
  end if;
end;
$$;
comment on function private.check_scenario_type(text) is 'Raises PT400 unknown_scenario unless the engine knows the scenario.';
revoke all on function private.check_scenario_type(text) from public, anon, authenticated, service_role;
grant execute on function private.check_scenario_type(text) to authenticated, service_role;
