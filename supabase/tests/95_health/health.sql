-- Health: nothing is found where nothing is wrong, and each fault by its name. The clock is an argument: hours pass in these lines.
begin;
\ir ../helpers.psql
select plan(60);
select tests.populate();
set constraints all immediate;
delete from net.http_request_queue;
delete from private.scenario_marks;
delete from private.statistics_marks;
delete from private.care_marks;
delete from private.rings;
delete from vault.secrets where name like 'attend_%';
select vault.create_secret('http://127.0.0.1:1', 'attend_functions_url'), vault.create_secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'attend_webhook_secret'),
  vault.create_secret('http://127.0.0.1:1/beat/topsecret', 'attend_heartbeat_url');

-- Whoever adds a schedule names its function, for that function's own health.
select is_empty($$select s.name from private.schedules s join cron.job j on j.jobname = 'attend-' || s.name
  join private.bells b on strpos(j.command, quote_literal(b.function_name)) > 0 where s.function_name is distinct from b.function_name$$,
  'a schedule says which function its job rings (supabase/schemas/95_health/tables.sql)');
select bag_eq($$select substr(j.jobname, 8)::text from cron.job j where j.jobname like 'attend-%'$$, 'select s.name from private.schedules s', 'every job is called after its schedule');

-- The dispatcher's bell and schedule would be found beside whatever is looked for.
delete from private.bells where function_name = 'push-notification-dispatcher';
update private.schedules set function_name = null where function_name = 'push-notification-dispatcher';

-- Errors and warnings that there are p_later from now, as "code name, …". The schedules are as after their last run now.
create function tests.found(p_later interval default '0') returns text language sql as $$
  select coalesce(string_agg(h.finding || ' ' || h.name, ', ' order by h.finding, h.name), 'nothing')
  from private.health_at(now() + p_later) h where h.severity <> 'ok'
$$;
create function tests.late(p_interval interval) returns text language sql as $$
  select string_agg('schedule_late ' || s.name, ', ' order by s.name) from private.schedules s where s.expected_interval = p_interval
$$;
create function tests.figure(p_part text, p_name text, p_figure text) returns text language sql as $$
  select h.figures ->> p_figure from private.health_at(now()) h where h.part = p_part and h.name = p_name
$$;
update private.schedules s set last_started_at = now() - interval '1 second', last_succeeded_at = now();
savepoint well;

select is(tests.found(), 'nothing', 'where all is well nothing is found');
select is((select count(*) from public.health h where h.part = 'schedule'), (select count(*) from private.schedules), 'every schedule is there by being a row');
select is((select count(*) from public.health h where h.part = 'function'), (select count(*) from private.bells), 'every function by having a bell');
select is(tests.outcomes('select 1 from public.health where name = ''vault'''), '- - - - - - - - - 1 ', 'the service alone reads it: it counts over every organisation');
select is(tests.outcomes('select private.beat()'), '- - - - - - - - - - ', 'nobody calls the heartbeat');
select is(tests.outcomes('select * from private.platform_state()'), '- - - - - - - - - 1 ', 'what is said of Vault is said to the service');
select ok((select string_agg(h::text, '') from public.health h) !~ 'topsecret|MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'no secret is in it');

-- Every code that can be found has a kind, with what to do.
select is((select count(*) from private.finding_kinds() k where k.severity in ('error', 'warning', 'note') and least(length(k.says), length(k.remedy), length(k.runbook)) > 0),
  (select count(distinct k.code) from private.finding_kinds() k), 'every kind says what it is and what to do');
select bag_eq($$
    select distinct m[1] from pg_proc p, regexp_matches(p.prosrc, '(?:then|else|, ) ?''([a-z]+(?:_[a-z]+)+)''(?: else| end| when|\s+from|\s+end|$|\s*\n)', 'g') m
    where p.proname in ('schedule_health', 'ring_health', 'foundations', 'proofs') and p.pronamespace = 'private'::regnamespace
    union select b.finding from private.backlogs(now()) b$$,
  'select k.code from private.finding_kinds() k', 'every kind is found somewhere, and nothing else is');

-- Cron.
select cron.unschedule('attend-scenario-tick');
select is(tests.found(), 'job_missing scenario-tick', 'a job that is gone');
select is((select severity || ': ' || remedy from public.health where finding is not null), 'error: ' || (select remedy from private.finding_kinds() where code = 'job_missing'), 'with what to do');
rollback to savepoint well;
select cron.alter_job((select jobid from cron.job where jobname = 'attend-care-sweep'), active := false);
select is(tests.found(), 'job_disabled care-sweep', 'a job that is switched off');
rollback to savepoint well;

-- Late.
select is(tests.found('2 minutes 58 seconds'), 'nothing', 'three minutes of grace for what is due each minute');
select is(tests.found('3 minutes 5 seconds'), tests.late('1 minute'), 'then it is late');
select is(tests.found('5 minutes 5 seconds') ~ 'cron_silent cron', true, 'and after five minutes cron itself is silent');
update private.schedules set last_started_at = now() + interval '25 hours', last_succeeded_at = now() + interval '25 hours' where expected_interval < interval '1 hour';
select is(tests.found('25 hours'), tests.late('1 day'), 'a night has an hour of grace');
select is(tests.found('25 hours' - interval '2 seconds'), 'nothing', 'but no more');
select is((select since from private.health_at(now() + interval '25 hours') where name = 'housekeeping'), now() - interval '1 second', 'late since it last started');
rollback to savepoint well;
update private.schedules set last_started_at = null, last_succeeded_at = null, added_at = now() - interval '24 hours' where expected_interval = '1 day';
select is(tests.found(), 'nothing', 'what was added a day ago and never started is not late yet');
update private.schedules set added_at = now() - interval '26 hours' where name = 'housekeeping';
select is(tests.found(), 'schedule_late housekeeping', 'an hour later it is');
rollback to savepoint well;
update private.schedules set expected_interval = '1 hour', last_started_at = now() - interval '1 hour 3 minutes', last_succeeded_at = now() - interval '1 hour 3 minutes' where name = 'scenario-evaluation';
select is(tests.found(), 'schedule_late scenario-evaluation', 'what is expected is the row''s');
rollback to savepoint well;

-- Started, and no success.
update private.schedules set last_succeeded_at = now() - interval '5 minutes' where name = 'scenario-sweep';
select is(tests.found(), 'schedule_failing scenario-sweep', 'a sweep that starts each minute and cannot ring');
update private.schedules set last_succeeded_at = now() - interval '3 minutes' where name = 'scenario-sweep';
select is(tests.found(), 'nothing', 'once is nothing');
update private.schedules set last_started_at = now() - interval '2 hours 1 minute', last_succeeded_at = now() - interval '1 day' where name = 'housekeeping';
select is(tests.found(), 'schedule_failing housekeeping', 'a night''s job that began and never ended');
rollback to savepoint well;
update private.schedules set last_started_at = now() - interval '70 minutes', last_succeeded_at = now() where name = 'engagement-scores';
select is(tests.found(), 'window_exceeded engagement-scores', 'it took longer than its window');
select is(tests.figure('schedule', 'engagement-scores', 'last_duration_seconds')::numeric, 4200::numeric, 'how long is said');
rollback to savepoint well;

-- Runs.
select public.start_run('scenario-evaluation', tests.id('holder'));
select is(tests.found(), 'nothing', 'a run under way is nothing');
update private.runs set updated_at = now() - interval '10 minutes 1 second';
select is(tests.found(), 'run_stuck scenario-evaluation', 'one that stands still is stuck');
update private.runs set updated_at = now(), started_at = now() - interval '61 minutes';
select is(tests.found(), 'window_exceeded scenario-evaluation', 'one that goes on beyond its window is long');
rollback to savepoint well;
insert into private.runs (kind, state, as_of, started_at, finished_at) values ('statistics-reconcile', 'finished', now(), now() - interval '6 hours', now());
update private.schedules set last_result = jsonb_build_object('run_id', (select max(id) from private.runs)) where name = 'statistics-reconcile';
select is(tests.found(), 'window_exceeded statistics-reconcile', 'the last run''s time is its ledger''s, however often it was joined');
rollback to savepoint well;
select public.work_case_run(now(), 1);
update private.case_runs set updated_at = now() - interval '11 minutes';
select is(tests.found(), 'run_stuck pastoral-cases', 'the ledger of cases counts as well');
rollback to savepoint well;

-- Calls queued against calls handled.
select private.post_signed('pastoral-cases', jsonb_build_object('bell_id', 'bell_' || n)) from generate_series(1, 3) n;
delete from net.http_request_queue;
update private.rings set rung_at = now() - interval '4 minutes' where bell_id in ('bell_1', 'bell_2');
insert into private.webhook_deliveries (id, answer, received_at) values ('bell_3', '{}', now());
select is(tests.found(), 'nothing', 'whoever handles the last call is not silent, whatever was lost before');
select is(tests.figure('function', 'pastoral-cases', 'rung') || ' ' || tests.figure('function', 'pastoral-cases', 'handled'), '3 1', 'rung against handled');
delete from private.webhook_deliveries;
insert into private.webhook_deliveries (id, answer, received_at) values ('bell_1', '{}', now());
update private.rings set rung_at = now() - interval '10 minutes' where bell_id = 'bell_1';
select is(tests.found(), 'function_silent pastoral-cases', 'two calls, minutes old, and nothing handled since');
update private.rings set rung_at = now() - interval '1 minute' where bell_id <> 'bell_1';
select is(tests.found(), 'nothing', 'a minute is a cold start');
delete from private.rings where bell_id = 'bell_3';
update private.rings set rung_at = now() - interval '4 minutes' where bell_id = 'bell_2';
select is(tests.found(), 'nothing', 'one lost call is followed by the sweep''s');
rollback to savepoint well;
select private.post_signed('pastoral-cases', jsonb_build_object('bell_id', 'waits'));
select is(tests.found('59 seconds'), 'nothing', 'a call in the queue');
select is(tests.found('2 minutes'), 'net_queue_standing pg_net', 'that is not sent');
rollback to savepoint well;

-- What waits.
insert into private.scenario_marks (organization_id, user_id, rings) values (tests.id('a'), tests.id('a mentor'), false);
insert into private.statistics_marks (organization_id, user_id, rings) values (tests.id('a'), tests.id('a mentor'), false);
delete from private.scenario_marks where id <> (select min(id) from private.scenario_marks);
insert into private.care_marks (organization_id, person_id, rings) values (tests.id('a'), tests.id('a person'), false);
update private.schedules set last_started_at = now() + interval '10 minutes', last_succeeded_at = now() + interval '10 minutes';
select is(tests.found('9 minutes 59 seconds'), 'nothing', 'marks may wait for a sweep and a large drain');
select is(tests.found('10 minutes'), 'marks_old care_marks, marks_old scenario_marks, marks_old statistics_marks', 'not longer');
select is(tests.figure('backlog', 'care_marks', 'waiting'), '1', 'how many is said');
rollback to savepoint well;
-- Every table of marks is named in the registry.
select bag_eq($$select c.relname::text from pg_class c where c.relnamespace = 'private'::regnamespace and c.relkind = 'r' and c.relname like '%\_marks'$$,
  $$select b.name from private.backlogs(now()) b where b.finding = 'marks_old'$$, 'every table of marks is named in private.backlogs');
insert into private.outbox (organization_id, notification_id, user_id, channel, next_attempt_at)
values (tests.id('a'), tests.id('a notification'), tests.id('a mentor'), 'push', now() - interval '15 minutes');
select is(tests.found('-1 second'), 'nothing', 'a push may wait while a night is told at once');
select is(tests.found(), 'outbox_old outbox', 'not longer');
update private.outbox set state = 'deferred', next_attempt_at = now() + interval '1 hour';
select is(tests.found(), 'nothing', 'what is not to go out yet is not late');
update private.outbox set state = 'dead';
select is(tests.found(), 'dead_letters dead_letters', 'what was given up is said');
rollback to savepoint well;
insert into private.quarantine (organization_id, user_id, reason, message) values (tests.id('a'), tests.id('a mentor'), '22012', 'division by zero');
select is(tests.found(), 'quarantine_filled quarantine', 'somebody in quarantine');
rollback to savepoint well;

-- What the nightly proofs found.
update private.schedules set last_result = '{"run_id": 7, "people": 90, "counts": {"inactivity": {"sent": 3, "missed_by_ticks": 2}, "milestone": {"missed_by_ticks": 1}}}' where name = 'scenario-evaluation';
select is(tests.found() || ' ' || tests.figure('proof', 'sweep', 'missed_by_ticks'), 'sweep_found sweep 3', 'the evaluation told whom the ticks had missed');
rollback to savepoint well;
update private.schedules set last_result = '{"run_id": 8, "people": 90, "counts": {"statistics": {"people_with_drift": 2, "rows_repaired": 5}}}' where name = 'statistics-reconcile';
select is(tests.found() || ' ' || tests.figure('proof', 'reconcile', 'people_with_drift'), 'statistics_drifted reconcile 2', 'the reconcile repaired something');
rollback to savepoint well;

-- Vault.
delete from vault.secrets where name = 'attend_webhook_secret';
select is(tests.found() || ' ' || tests.figure('foundation', 'vault', 'missing'), 'bell_secret_missing vault ["attend_webhook_secret"]', 'a secret that is missing is named');
select vault.create_secret('whsec_…', 'attend_webhook_secret');
select is(tests.found() || ' ' || tests.figure('foundation', 'vault', 'malformed'), 'bell_secret_malformed vault ["attend_webhook_secret"]', 'a placeholder is no secret');
rollback to savepoint well;

-- The heartbeat.
select private.beat();
select is((select count(*) from net.http_request_queue where method = 'GET' and url = 'http://127.0.0.1:1/beat/topsecret'), 1::bigint, 'it beats where all is well');
select is((select last_rung_at is not null and (last_result ->> 'beat')::boolean from private.schedules where name = 'heartbeat'), true, 'and remembers when');
delete from net.http_request_queue;
insert into net._http_response (id, status_code, timed_out) values ((select (last_result ->> 'request_id')::bigint from private.schedules where name = 'heartbeat'), 404, false);
insert into private.quarantine (organization_id, user_id, reason, message) values (tests.id('a'), tests.id('a mentor'), '22012', 'division by zero');
select private.beat();
select is(tests.found() || ' ' || tests.figure('foundation', 'heartbeat', 'problem'), 'heartbeat_unheard heartbeat, quarantine_filled quarantine status_404', 'a monitor that does not take it, and no warning withholds it');
delete from net.http_request_queue;
select cron.unschedule('attend-scenario-tick');
select private.beat();
select is((select count(*) from net.http_request_queue) || ' ' || tests.figure('foundation', 'heartbeat', 'withheld_for'), '0 ["job_missing scenario-tick"]', 'an error does, and is named');
rollback to savepoint well;
select vault.update_secret((select id from vault.secrets where name = 'attend_heartbeat_url'), 'not a url');
select private.beat();
select is(tests.figure('foundation', 'heartbeat', 'problem') like 'not_queued_%', true, 'a malformed URL fails nothing and is said');
delete from vault.secrets where name = 'attend_heartbeat_url';
select private.beat();
select is(tests.found(), 'heartbeat_off heartbeat', 'no URL is no trouble, and said');
insert into private.rings (bell_id, function_name, request_id, rung_at) values ('old', 'x', 0, now() - interval '25 hours'), ('young', 'x', 0, now() - interval '23 hours');
select private.beat();
select is((select string_agg(bell_id, ' ') from private.rings), 'young', 'rings are forgotten after a day');

select * from finish();
rollback;
