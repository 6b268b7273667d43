create procedure private.tick_scenario_evaluation()
language plpgsql
set search_path = ''
as $$
declare
  v_is_due boolean;
begin
  -- A tenth early is on time: the tick of the exact minute may come a moment before the interval has passed.
  select exists (select from private.runs r
                 where r.kind = s.name and r.state <> 'finished' and r.lease_until <= clock_timestamp())
      or coalesce(s.last_started_at, '-infinity') <= clock_timestamp() - s.expected_interval * 0.9
    into v_is_due
  from private.schedules s
  where s.name = 'scenario-evaluation';

  if v_is_due then
    update private.schedules s set last_rung_at = clock_timestamp() where s.name = 'scenario-evaluation';
    perform private.post_signed('scenario-trigger-engine', jsonb_build_object(
      'type', 'SCHEDULE', 'schedule', 'scenario-evaluation', 'bell_id', private.new_bell_id()));
  end if;
end;
$$;
comment on procedure private.tick_scenario_evaluation() is
  'Cron: rings the engine when an evaluation is due by private.schedules.expected_interval, or when an open run waits to be continued.';
revoke all on procedure private.tick_scenario_evaluation() from public, anon, authenticated, service_role;
