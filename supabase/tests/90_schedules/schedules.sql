-- What runs by the clock: cron rings when something is due, and every schedule is a row that says what it last did.
begin;
\ir ../helpers.psql
select plan(47);
select tests.populate();
set constraints all immediate;
delete from net.http_request_queue;
delete from private.scenario_marks;
delete from private.statistics_marks;
delete from vault.secrets where name in ('attend_functions_url', 'attend_webhook_secret');
select vault.create_secret('http://127.0.0.1:1', 'attend_functions_url'), vault.create_secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'attend_webhook_secret');

select results_eq($$select jobname::text, schedule::text from cron.job where jobname like 'attend-%' order by 1$$,
  $$values ('attend-care-sweep', '* * * * *'), ('attend-engagement-scores', '27 2 * * *'), ('attend-heartbeat', '*/5 * * * *'), ('attend-housekeeping', '7,17,27,37,47,57 3-4 * * *'),
    ('attend-pastoral-cases', '* 2-5 * * *'), ('attend-push-sweep', '* * * * *'), ('attend-scenario-evaluation', '* * * * *'), ('attend-scenario-sweep', '* * * * *'),
    ('attend-scenario-tick', '* * * * *'), ('attend-statistics-rebuild', '* * * * *'), ('attend-statistics-reconcile', '* 1-5 * * *'),
    ('attend-statistics-sweep', '* * * * *')$$, 'twelve jobs');
select results_eq('select name, expected_interval from private.schedules order by 1',
  $$values ('care-sweep', interval '1 minute'), ('engagement-scores', interval '1 day'), ('heartbeat', interval '5 minutes'), ('housekeeping', interval '1 day'),
    ('pastoral-cases', interval '1 day'), ('push-sweep', interval '1 minute'), ('scenario-evaluation', interval '1 day'), ('scenario-sweep', interval '1 minute'), ('scenario-tick', interval '1 minute'),
    ('statistics-rebuild', null), ('statistics-reconcile', interval '1 day'),
    ('statistics-sweep', interval '1 minute')$$, 'twelve schedules, with what is expected of them');
select is((select count(*) from cron.job where jobname like 'attend-%' and username <> 'postgres'), 0::bigint, 'cron runs them as postgres');

-- The calls queued since the last look.
create function tests.calls() returns text language sql as $$
  with gone as (delete from net.http_request_queue returning convert_from(body, 'utf8')::jsonb - 'bell_id' as body)
  select coalesce(string_agg(concat_ws(' ', body ->> 'type', body ->> 'schedule', body ->> 'table'), ', '), 'none') from gone
$$;
-- Rung two minutes ago and started p_before ago.
create function tests.started(p_before interval) returns void language sql as $$
  update private.schedules set last_started_at = clock_timestamp() - p_before, last_rung_at = clock_timestamp() - interval '2 minutes'
  where name = 'scenario-evaluation'
$$;
-- What cron's own command runs.
create function tests.run_job(p_name text) returns void language plpgsql as $$
begin
  execute (select j.command from cron.job j where j.jobname = p_name);
end;
$$;
create function tests.sweep() returns void language sql as $$ select tests.run_job('attend-scenario-sweep') $$;

-- Evaluation.
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'SCHEDULE scenario-evaluation', 'never started: due');
select ok((select last_rung_at is not null and last_started_at is null from private.schedules where name = 'scenario-evaluation'), 'rung is not started: only the function says that');
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'none', 'a function that starts slowly is not rung twice');
update private.schedules set last_rung_at = clock_timestamp() - interval '90 seconds' where name = 'scenario-evaluation';
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'SCHEDULE scenario-evaluation', 'nobody came for a minute and a half: rung again');
select tests.started('21 hours');
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'none', 'started 21 hours ago: not due');
select tests.started('22 hours');
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'SCHEDULE scenario-evaluation', 'a tenth early is on time');
select tests.started('1 minute');
update private.schedules set expected_interval = '1 minute' where name = 'scenario-evaluation';
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'SCHEDULE scenario-evaluation', 'the interval is the row''s');
update private.schedules set expected_interval = '1 hour' where name = 'scenario-evaluation';
select tests.started('1 minute');
select public.start_run('scenario-evaluation', tests.id('holder'));
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'none', 'a run of which others have all in hand is left alone');
savepoint all_in_hand;
update private.run_slices set to_organization_id = tests.id('a'), to_user_id = tests.id('a mentor');
insert into private.run_slices (run_id, from_organization_id, from_user_id) select r.id, tests.id('a'), tests.id('a mentor') from private.runs r;
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'SCHEDULE scenario-evaluation', 'where something is left to take, another is called to join');
update private.runs set state = 'finished', finished_at = now();
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'none', 'a run that was given up calls nobody');
rollback to savepoint all_in_hand;
select public.pause_run((select max(id) from private.runs), tests.id('holder'));
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'SCHEDULE scenario-evaluation', 'a paused one is continued, whatever the interval');
select public.start_run('scenario-evaluation', tests.id('holder'));
update private.run_slices set lease_until = clock_timestamp() - interval '1 microsecond';
select private.tick_run('scenario-evaluation', 'scenario-trigger-engine');
select is(tests.calls(), 'SCHEDULE scenario-evaluation', 'an abandoned one too');

-- Sweep.
select tests.sweep();
select is(tests.calls(), 'none', 'no mark, no ring');
select is((select last_result from private.schedules where name = 'scenario-sweep'), '{"rang": false, "oldest": null}', 'which is a success, and said so');
insert into private.scenario_marks (organization_id, user_id, rings, marked_at) values (tests.id('a'), tests.id('a mentor'), false, now() - interval '1 hour');
select tests.sweep();
select is(tests.calls(), 'BELL activities', 'a mark that nobody drained is rung for');
select is((select last_result ->> 'rang' from private.schedules where name = 'scenario-sweep'), 'true', 'which is said');
update private.schedules set last_succeeded_at = null, last_rung_at = null where name = 'scenario-sweep';
delete from vault.secrets where name = 'attend_webhook_secret';
select tests.sweep();
select results_eq($$select last_succeeded_at, last_rung_at, last_started_at is not null, last_result ->> 'rang' from private.schedules where name = 'scenario-sweep'$$,
  $$values (null::timestamptz, null::timestamptz, true, 'false')$$, 'a sweep that cannot ring has started and not succeeded');
select lives_ok('select private.tick_run(''scenario-evaluation'', ''scenario-trigger-engine'')', 'an evaluation that cannot be rung fails nothing');

-- Statistics: the same two, with marks of their own and the streaks that midnight ended.
select tests.run_job('attend-statistics-sweep');
select is(tests.calls(), 'none', 'no mark and no streak that ended: no ring');
update public.activity_statistics set streak_days = 3, last_activity_date = now() - interval '72 hours'
where user_id = tests.id('a mentor') and period_type = 'all_time';
select vault.create_secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'attend_webhook_secret');
select tests.run_job('attend-statistics-sweep');
select is(tests.calls(), 'BELL activities', 'a streak that ended is work that nobody marked');
select is((select (last_result ->> 'oldest')::timestamptz from private.schedules where name = 'statistics-sweep'), date_trunc('day', now(), 'UTC'), 'since midnight');
update public.activity_statistics set streak_days = 0;
insert into private.statistics_marks (organization_id, user_id, rings, marked_at) values (tests.id('a'), tests.id('a mentor'), false, now() - interval '1 hour');
select tests.run_job('attend-statistics-sweep');
select is(tests.calls(), 'BELL activities', 'a mark that nobody drained is rung for');
select is((select (last_result ->> 'oldest')::timestamptz from private.schedules where name = 'statistics-sweep'), now() - interval '1 hour', 'and how long it waits is said');
select tests.run_job('attend-statistics-rebuild');
select is(tests.calls(), 'none', 'a rebuild nobody asked for is not started');
select public.start_run('statistics-rebuild', tests.id('a holder'));
update private.run_slices s set lease_until = now() from private.runs r where r.id = s.run_id and r.kind = 'statistics-rebuild';
select tests.run_job('attend-statistics-rebuild');
select is(tests.calls(), 'SCHEDULE statistics-rebuild', 'one that was left open is continued');
select tests.run_job('attend-statistics-reconcile');
select is(tests.calls(), 'SCHEDULE statistics-reconcile', 'the nightly comparison is a run');

-- Care: a sweep with marks of its own, a run with a ledger of its own, and the scores.
select tests.run_job('attend-care-sweep');
select is(tests.calls(), 'none', 'no mark of care: no ring');
insert into private.care_marks (organization_id, person_id, rings, marked_at) values (tests.id('a'), tests.id('a person'), false, now() - interval '1 hour');
select tests.run_job('attend-care-sweep');
select is(tests.calls(), 'BELL people', 'a mark of care that nobody drained is rung for');
delete from private.care_marks;
select tests.run_job('attend-pastoral-cases');
select is(tests.calls(), 'SCHEDULE pastoral-cases', 'the nightly run was never started: due');
select tests.run_job('attend-pastoral-cases');
select is(tests.calls(), 'none', 'and not rung twice');
select public.work_case_run(now(), 1);
update private.schedules set last_rung_at = clock_timestamp() - interval '2 minutes' where name = 'pastoral-cases';
select tests.run_job('attend-pastoral-cases');
select is(tests.calls(), 'none', 'one that works is left alone');
update private.case_runs set updated_at = clock_timestamp() - interval '90 seconds';
select tests.run_job('attend-pastoral-cases');
select is(tests.calls(), 'SCHEDULE pastoral-cases', 'one that was left open is continued');
select public.work_case_run(now(), 10);
update private.schedules set last_rung_at = clock_timestamp() - interval '2 minutes' where name = 'pastoral-cases';
select tests.run_job('attend-pastoral-cases');
select is(tests.calls(), 'none', 'and a finished one is the night''s');
select private.note_schedule_started('engagement-scores');
select private.refresh_engagement_scores();
select ok((select last_started_at <= last_succeeded_at and last_result ? 'computed_at' from private.schedules where name = 'engagement-scores'), 'a refresh says when it began and that it succeeded');
drop index private.people_engagement_scores_person;
update private.schedules set last_succeeded_at = null where name = 'engagement-scores';
select private.refresh_engagement_scores();
select ok((select last_succeeded_at is null and last_result ->> 'sqlstate' = '55000' and last_result ? 'computed_at' from private.schedules where name = 'engagement-scores'), 'one that failed says why, and what is older says so');

-- Pushes: what is due is rung for, whatever became of its bell, and what is not is left to its time.
delete from net.http_request_queue;
select tests.run_job('attend-push-sweep');
select is(tests.calls(), 'none', 'nothing to push: no ring');
insert into private.outbox (organization_id, notification_id, user_id, channel, state, next_attempt_at)
values (tests.id('a'), tests.id('a notification'), tests.id('a mentor'), 'push', 'deferred', now() + interval '1 microsecond');
select tests.run_job('attend-push-sweep');
select is(tests.calls(), 'none', 'quiet hours are waited for');
update private.outbox set next_attempt_at = now();
select tests.run_job('attend-push-sweep');
select is(tests.calls(), 'BELL notifications', 'their end is rung');
update private.outbox set state = 'claimed', holder = tests.id('holder');
select tests.run_job('attend-push-sweep');
select is(tests.calls(), 'BELL notifications', 'and so is what a dispatcher that died had in hand');
update private.outbox set state = 'sent';
insert into private.outbox_devices (organization_id, outbox_id, device_id, verdict, provider_id, attempted_at, receipt_due_at)
select o.organization_id, o.id, tests.id('device'), 'sent', 'ticket', now(), now() from private.outbox o;
select tests.run_job('attend-push-sweep');
select is(tests.calls(), 'BELL notifications', 'and a receipt that is due');

-- Housekeeping. (What it deletes: retention.sql.)
select private.note_schedule_started('housekeeping');
select ok((select last_started_at is not null and last_succeeded_at is null from private.schedules where name = 'housekeeping'), 'it notes that it began before it works');
select private.sweep_expired();
select ok((select last_started_at <= last_succeeded_at and last_result ->> 'more' = 'false' from private.schedules where name = 'housekeeping'), 'and that it succeeded');

-- Cron alone calls these.
select is(tests.outcomes('select private.tick_sweep(''scenario-sweep'', ''scenario-trigger-engine'', now())'), '- - - - - - - - - - ', 'nobody calls a tick');
select is(tests.outcomes('select private.sweep_expired()'), '- - - - - - - - - - ', 'nor the housekeeping');

select * from finish();
rollback;
