create procedure private.tick_scenario_sweep()
language plpgsql
set search_path = ''
as $$
declare
  v_oldest_mark timestamptz;
  v_rang boolean := false;
begin
  update private.schedules s set last_started_at = clock_timestamp() where s.name = 'scenario-sweep';
  select min(m.marked_at) into v_oldest_mark from private.scenario_marks m;
  if v_oldest_mark is not null then
    v_rang := private.post_signed('scenario-trigger-engine', jsonb_build_object(
      'type', 'BELL', 'schema', 'public', 'table', 'activities', 'bell_id', private.new_bell_id())) is not null;
  end if;
  update private.schedules s
  set last_rung_at = case when v_rang then clock_timestamp() else s.last_rung_at end,
      last_succeeded_at = case when v_oldest_mark is null or v_rang then clock_timestamp() else s.last_succeeded_at end,
      last_result = jsonb_build_object('oldest_mark', v_oldest_mark, 'rang', v_rang)
  where s.name = 'scenario-sweep';
end;
$$;
comment on procedure private.tick_scenario_sweep() is 'Cron: rings the engine when marks wait, whatever became of the bell that should have announced them.';
revoke all on procedure private.tick_scenario_sweep() from public, anon, authenticated, service_role;
