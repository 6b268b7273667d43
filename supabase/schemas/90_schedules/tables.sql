-- What runs by the clock. Cron rings, functions work, the ledger (private.schedules, private.runs) tells the truth:
-- cron's own log says "succeeded" when a call was merely queued.

create extension if not exists pg_cron with schema pg_catalog;

insert into private.schedules (name, description, expected_interval) values
  ('scenario-evaluation', 'Evaluates every rule for everybody, through the scenario-trigger-engine, and reports what the ticks missed.', interval '1 day'),
  ('scenario-tick', 'Marks whoever has become due since the last tick, which rings the scenario-trigger-engine.', interval '1 minute'),
  ('scenario-sweep', 'Rings the scenario-trigger-engine for marks that no bell announced.', interval '1 minute'),
  ('statistics-sweep', 'Rings statistics-recompute for marks that no bell announced, and after midnight for streaks that ended.', interval '1 minute'),
  ('statistics-reconcile', 'Compares every statistics row with its activities, repairs and reports drift.', interval '1 day'),
  ('statistics-rebuild', 'Recomputes every statistics row; started by whoever asks for it, continued by cron.', null),
  ('pastoral-cases', 'Makes, escalates and ends pastoral cases for everybody, through the function pastoral-cases.', interval '1 day'),
  ('care-sweep', 'Rings pastoral-cases for marks that no bell announced.', interval '1 minute'),
  ('engagement-scores', 'Refreshes the engagement scores.', interval '1 day'),
  ('push-sweep', 'Rings push-notification-dispatcher for what is due: deferred and failed pushes, receipts, and what no bell announced.', interval '1 minute'),
  ('housekeeping', 'Deletes what is no longer kept (private.retention).', interval '1 day');

-- The commits stand here because a routine with its own search_path may not have one.
select cron.schedule('attend-scenario-tick', '* * * * *', $job$
do $do$
begin
  perform private.note_schedule_started('scenario-tick');
  commit;
  perform private.run_scenario_tick();
end
$do$
$job$);
-- Every minute, not once a day: a run that ran out of its time is continued by the next minute's, and changing the interval
-- is an update of private.schedules.
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
-- Batches, each a transaction, for no longer than hosted projects let a statement run; the rest is for ten minutes later.
select cron.schedule('attend-housekeeping', '7,17,27,37,47,57 3-4 * * *', $job$
do $do$
declare
  v_counts jsonb := '{}';
  v_until constant timestamptz := clock_timestamp() + interval '60 seconds';
begin
  perform private.note_schedule_started('housekeeping');
  commit;
  loop
    v_counts := private.sweep_expired(v_counts);
    commit;
    exit when not (v_counts ->> 'more')::boolean or clock_timestamp() > v_until;
  end loop;
end
$do$
$job$);
select cron.schedule('attend-pastoral-cases', '* 2-5 * * *', $job$select private.tick_cases()$job$);
select cron.schedule('attend-care-sweep', '* * * * *',
  $job$select private.tick_sweep('care-sweep', 'pastoral-cases', (select min(m.marked_at) from private.care_marks m), 'people')$job$);
select cron.schedule('attend-push-sweep', '* * * * *',
  $job$select private.tick_sweep('push-sweep', 'push-notification-dispatcher', private.oldest_push_work(now()), 'notifications')$job$);
select cron.schedule('attend-engagement-scores', '27 2 * * *', $job$
do $do$
begin
  perform private.note_schedule_started('engagement-scores');
  commit;
  perform private.refresh_engagement_scores();
end
$do$
$job$);
