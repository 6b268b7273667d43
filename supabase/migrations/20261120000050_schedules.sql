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

create function private.tick_run(p_name text, p_function_name text) returns void
language plpgsql
set search_path = ''
as $$
begin
  -- A tenth early is on time: the tick of the exact minute may come a moment before the interval has passed. A bell that
  -- opened no run yet gets a minute and a half before it counts as lost: a cold start must not make two runs of one.
  update private.schedules s
  set last_rung_at = clock_timestamp()
  where s.name = p_name
    and ((coalesce(s.last_started_at, '-infinity') <= clock_timestamp() - s.expected_interval * 0.9
        and (s.last_rung_at is null or s.last_rung_at <= s.last_started_at
          or s.last_rung_at <= clock_timestamp() - interval '90 seconds'))
      or exists (select from private.runs r
                 where r.kind = s.name and r.state <> 'finished' and r.lease_until <= clock_timestamp()));
  if found then
    perform private.post_signed(p_function_name, jsonb_build_object(
      'type', 'SCHEDULE', 'schedule', p_name, 'bell_id', private.new_bell_id()));
  end if;
end;
$$;
comment on function private.tick_run(text, text) is
  'Cron: rings a function for its run when that is due by private.schedules.expected_interval, or when an open run waits to be continued. Without an interval it only continues.';
revoke all on function private.tick_run(text, text) from public, anon, authenticated, service_role;

create function private.tick_sweep(p_name text, p_function_name text, p_oldest timestamptz) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_rang boolean := false;
begin
  if p_oldest is not null then
    v_rang := private.post_signed(p_function_name, jsonb_build_object(
      'type', 'BELL', 'schema', 'public', 'table', 'activities', 'bell_id', private.new_bell_id())) is not null;
  end if;
  update private.schedules s
  set last_started_at = clock_timestamp(), last_rung_at = case when v_rang then clock_timestamp() else s.last_rung_at end,
      last_succeeded_at = case when p_oldest is null or v_rang then clock_timestamp() else s.last_succeeded_at end,
      last_result = jsonb_build_object('oldest', p_oldest, 'rang', v_rang)
  where s.name = p_name;
end;
$$;
comment on function private.tick_sweep(text, text, timestamptz) is
  'Cron: rings a function when work waits since p_oldest (null: none does), whatever became of the bell that should have announced it.';
revoke all on function private.tick_sweep(text, text, timestamptz) from public, anon, authenticated, service_role;

-- What runs by the clock. Cron rings, functions work, the ledger (private.schedules, private.runs) tells the truth:
-- cron's own log says "succeeded" when a call was merely queued.

create extension if not exists pg_cron with schema pg_catalog;

insert into private.schedules (name, description, expected_interval) values
  ('scenario-evaluation', 'Evaluates every rule for everybody, through the scenario-trigger-engine.', interval '15 minutes'),
  ('scenario-sweep', 'Rings the scenario-trigger-engine for marks that no bell announced.', interval '1 minute'),
  ('statistics-sweep', 'Rings statistics-recompute for marks that no bell announced, and after midnight for streaks that ended.', interval '1 minute'),
  ('statistics-reconcile', 'Compares every statistics row with its activities, repairs and reports drift.', interval '1 day'),
  ('statistics-rebuild', 'Recomputes every statistics row; started by whoever asks for it, continued by cron.', null),
  ('housekeeping', 'Deletes answers to webhooks that can no longer be repeated.', interval '1 day');

-- Every minute, not every 15: a run that ran out of its time is continued by the next tick, and changing the interval is
-- an update of private.schedules.
select cron.schedule('attend-scenario-evaluation', '* * * * *',
  $job$select private.tick_run('scenario-evaluation', 'scenario-trigger-engine')$job$);
select cron.schedule('attend-scenario-sweep', '* * * * *',
  $job$select private.tick_sweep('scenario-sweep', 'scenario-trigger-engine', (select min(m.marked_at) from private.scenario_marks m))$job$);
select cron.schedule('attend-statistics-sweep', '* * * * *',
  $job$select private.tick_sweep('statistics-sweep', 'statistics-recompute', private.oldest_statistics_work(now()))$job$);
-- At night, and every minute of it, so that a night's reconcile that ran out of time is continued.
select cron.schedule('attend-statistics-reconcile', '* 1-5 * * *',
  $job$select private.tick_run('statistics-reconcile', 'statistics-recompute')$job$);
select cron.schedule('attend-statistics-rebuild', '* * * * *',
  $job$select private.tick_run('statistics-rebuild', 'statistics-recompute')$job$);
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
