-- Which schedule rings which function, and how long each may take where that is not until it is due again.
update private.schedules s
set function_name = w.function_name, window_length = w.window_length
from (values
  ('scenario-evaluation', 'scenario-trigger-engine', interval '1 hour'),
  ('scenario-sweep', 'scenario-trigger-engine', null),
  ('statistics-sweep', 'statistics-recompute', null),
  ('statistics-rebuild', 'statistics-recompute', null),
  -- The hours in which cron rings them.
  ('statistics-reconcile', 'statistics-recompute', interval '5 hours'),
  ('pastoral-cases', 'pastoral-cases', interval '4 hours'),
  ('care-sweep', 'pastoral-cases', null),
  ('push-sweep', 'push-notification-dispatcher', null),
  ('engagement-scores', null, interval '1 hour'),
  ('housekeeping', null, interval '1 hour')) as w (name, function_name, window_length)
where s.name = w.name;

insert into private.schedules (name, description, expected_interval) values
  ('heartbeat', 'Tells an outside monitor that all is well, as long as it is.', interval '5 minutes');

select cron.schedule('attend-heartbeat', '*/5 * * * *', $job$
do $do$
begin
  perform private.note_schedule_started('heartbeat');
  commit;
  perform private.beat();
end
$do$
$job$);
