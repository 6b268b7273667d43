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
