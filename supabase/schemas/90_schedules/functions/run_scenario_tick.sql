create function private.run_scenario_tick() returns void
language plpgsql
set search_path = ''
as $$
declare
  v_result jsonb := private.tick_scenarios(now());
begin
  update private.schedules s set last_succeeded_at = clock_timestamp(), last_result = v_result where s.name = 'scenario-tick';
end;
$$;
comment on function private.run_scenario_tick() is
  'Cron: the incremental tick, with its result in private.schedules. Marks it makes ring the scenario-trigger-engine; with nobody due, nothing is called.';
revoke all on function private.run_scenario_tick() from public, anon, authenticated, service_role;
