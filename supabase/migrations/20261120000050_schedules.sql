-- Schedules: see supabase/schemas/90_schedules/, to which the migrations are proven equal.
set check_function_bodies = off;

create function private.delete_old_webhook_deliveries() returns void
language plpgsql
set search_path = ''
as $$
declare
  v_deleted bigint;
begin
  -- A signature is good for minutes; a day covers every retry.
  delete from private.webhook_deliveries wd where wd.received_at < now() - interval '1 day';
  get diagnostics v_deleted = row_count;
  update private.schedules s
  set last_succeeded_at = clock_timestamp(), last_result = jsonb_build_object('webhook_deliveries_deleted', v_deleted)
  where s.name = 'housekeeping';
end;
$$;
comment on function private.delete_old_webhook_deliveries() is 'Cron: deletes answers to webhooks that can no longer be repeated.';
revoke all on function private.delete_old_webhook_deliveries() from public, anon, authenticated, service_role;

create function private.note_schedule_started(p_name text) returns void
language sql volatile
set search_path = ''
as $$
  update private.schedules s set last_started_at = clock_timestamp() where s.name = p_name;
$$;
comment on function private.note_schedule_started(text) is 'Notes that a schedule began to work; commit before the work, so that a failure leaves a trace.';
revoke all on function private.note_schedule_started(text) from public, anon, authenticated, service_role;

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

-- What runs by the clock. Cron rings, functions work, the ledger (private.schedules, private.runs) tells the truth:
-- cron's own log says "succeeded" when a call was merely queued.

create extension if not exists pg_cron with schema pg_catalog;

insert into private.schedules (name, description, expected_interval) values
  ('scenario-evaluation', 'Evaluates every rule for everybody, through the scenario-trigger-engine.', interval '15 minutes'),
  ('scenario-sweep', 'Rings for marks that no bell announced.', interval '1 minute'),
  ('housekeeping', 'Deletes answers to webhooks that can no longer be repeated.', interval '1 day');

-- Every minute, not every 15: a run that ran out of its time is continued by the next tick, and changing the interval is
-- an update of private.schedules.
select cron.schedule('attend-scenario-evaluation', '* * * * *', 'call private.tick_scenario_evaluation()');
select cron.schedule('attend-scenario-sweep', '* * * * *', 'call private.tick_scenario_sweep()');
-- The commit stands here because a routine with its own search_path may not have one.
select cron.schedule('attend-housekeeping', '17 3 * * *', $job$
do $do$
begin
  perform private.note_schedule_started('housekeeping');
  commit;
  perform private.delete_old_webhook_deliveries();
end
$do$
$job$);
