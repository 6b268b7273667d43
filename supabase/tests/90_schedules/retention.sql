-- How long what piles up is kept: no longer than private.retention says, and never so short that a rule or an answer is wrong.
begin;
\ir ../helpers.psql
select plan(49);
select tests.populate();

-- What may be set.
select is(tests.violated(m.statement), m.name, m.sentence) from (values
  ('a webhook id is kept while its signature is good', 'retention_is_known_and_long_enough', 'update private.retention set keep_for = ''59 minutes'' where name = ''webhook_deliveries'''),
  ('a history while questions may be asked', 'retention_is_known_and_long_enough', 'update private.retention set keep_for = ''89 days'' where name = ''histories'''),
  ('so is what people were told', 'retention_is_known_and_long_enough', 'update private.retention set keep_for = ''1 day'' where name = ''notifications'''),
  ('nothing is kept for less than no time', 'retention_is_known_and_long_enough', 'update private.retention set keep_for = ''-1 day'' where name = ''runs'''),
  ('cooldowns have no end', 'retention_is_known_and_long_enough', 'insert into private.retention values (''cooldowns'', ''x'', ''1 year'')'),
  ('nor have achievements', 'retention_is_known_and_long_enough', 'insert into private.retention values (''achievements'', ''x'', ''100 years'')'),
  ('nor versions of rules', 'retention_is_known_and_long_enough', 'insert into private.retention values (''rule_versions'', ''x'', null)'),
  ('what is shorter and long enough may be', 'nothing', 'update private.retention set keep_for = ''90 days'' where name = ''histories'''),
  ('for ever may be', 'nothing', 'update private.retention set keep_for = null')
) as m (sentence, name, statement);
select is((select count(*) from private.retention), 9::bigint, 'nine things pile up');
select is(private.kept_since('webhook_deliveries', now()), now() - interval '1 day', 'since when everything is there');
select is(private.kept_since('cooldowns', now()), '-infinity', 'what has no retention is kept for ever');

-- One row of everything on either side of its day: the first of each pair goes.
update private.retention set keep_for = '100 days';
select now() - interval '100 days' as horizon \gset
select :'horizon'::timestamptz - interval '1 microsecond' as before \gset
create function tests.left_of(p_query text) returns text language plpgsql as $$
declare
  v text;
begin
  execute format('select coalesce(string_agg(r.name, '' '' order by r.name), ''none'') from (%s) r (name)', p_query) into v;
  return v;
end;
$$;
insert into private.webhook_deliveries (id, answer, received_at) values ('old', '{}', :'before'), ('young', '{}', :'horizon');
insert into private.runs (kind, state, as_of, finished_at) values
  ('old', 'finished', now(), :'before'), ('lone', 'finished', now(), :'before'), ('old', 'finished', now(), :'horizon');
insert into private.runs (kind, as_of) values ('open', :'before');
insert into private.case_runs (as_of, finished_at, organizations) values (now(), :'before', 1), (now(), :'before', 2);
insert into private.case_runs (as_of, started_at, organizations) values (now(), :'before', 3);
insert into private.statistics_drift (organization_id, user_id, run_id, rows_changed, found_at) values (tests.id('a'), tests.id('a mentor'), 1, 1, :'before'), (tests.id('a'), tests.id('a mentor'), 1, 2, :'horizon');
insert into private.sweep_findings (organization_id, user_id, run_id, scenario, subject, crossed_at, found_at)
values (tests.id('a'), tests.id('a mentor'), 1, 'inactivity', 'old', now(), :'before'), (tests.id('a'), tests.id('a mentor'), 1, 'inactivity', 'young', now(), :'horizon');
insert into public.statistics_warnings (organization_id, user_id, rule, details, recorded_at) values (tests.id('a'), tests.id('a mentor'), 'old', '{}', :'before'), (tests.id('a'), tests.id('a mentor'), 'young', '{}', :'horizon');
insert into cron.job_run_details (jobid, runid, username, command, start_time, end_time)
select j.jobid, r.runid, 'postgres', r.command, r.ended - interval '1 second', r.ended
from cron.job j, (values (-3, 'old', :'before'::timestamptz), (-2, 'young', :'horizon'), (-1, 'running', null)) r (runid, command, ended) where j.jobname = 'attend-housekeeping'
union all select -4, -4, 'postgres', 'somebody else''s', :'before', :'before';
update public.invitations set created_at = :'before'::timestamptz - interval '9 days', expires_at = :'before' where organization_id = tests.id('a');
update public.invitations set created_at = :'before'::timestamptz - interval '9 days', expires_at = :'before', accepted_at = :'horizon' where organization_id = tests.id('b');
insert into private.held_decisions (organization_id, user_id, subject, scenario, rule_id, rule_version, gate, decided_at, look_again_at) values
  (tests.id('a'), tests.id('a mentor'), 'old', 'inactivity', tests.id('a rule'), 1, 'opted_out', :'before', null),
  (tests.id('a'), tests.id('a mentor'), 'young', 'inactivity', tests.id('a rule'), 1, 'opted_out', :'horizon', null),
  (tests.id('a'), tests.id('a mentor'), 'waits', 'inactivity', tests.id('a rule'), 1, 'capped', :'before', now());
insert into private.user_history (organization_id, user_id, role, is_active, joined_at, time_zone, valid_to)
values (tests.id('a'), tests.id('a mentor'), 'peer_mentor', true, now(), 'old', :'before'), (tests.id('a'), tests.id('a mentor'), 'peer_mentor', true, now(), 'young', :'horizon');
insert into private.preference_history (organization_id, user_id, scenario, channel, valid_to)
values (tests.id('a'), tests.id('a mentor'), 'old', 'all', :'before'), (tests.id('a'), tests.id('a mentor'), 'young', 'all', :'horizon');
insert into private.certificate_history (organization_id, certificate_id, user_id, name, expires_at, created_at, valid_to)
values (tests.id('a'), tests.id('c'), tests.id('a mentor'), 'old', now(), now(), :'before'), (tests.id('a'), tests.id('c'), tests.id('a mentor'), 'young', now(), now(), :'horizon');

-- Notifications: the mentor's only activity is forty days old, the guest has none since, the coordinator's is older than the horizon.
update public.activities set occurred_at = :'horizon'::timestamptz - interval '1 day', recorded_at = :'horizon'::timestamptz - interval '1 day'
where user_id = tests.id('a coordinator');
delete from public.notifications;
create function tests.tell(p_user text, p_subject text, p_told timestamptz, p_done timestamptz, p_scenario text default 'inactivity') returns void language sql as $$
  insert into public.notifications (organization_id, id, user_id, scenario, subject, triggered_at, read_at)
  values (tests.id('a'), tests.id(p_subject), tests.id('a ' || p_user), p_scenario, p_subject, p_told, p_done);
  insert into private.outbox (organization_id, notification_id, user_id, channel, state, created_at)
  values (tests.id('a'), tests.id(p_subject), tests.id('a ' || p_user), 'push', 'sent', p_told);
$$;
select :'horizon'::timestamptz - interval '2 days 1 microsecond' as told \gset
select tests.tell('coordinator', 'ended', :'told', :'before');
select tests.tell('coordinator', 'read lately', :'told', :'horizon');
select tests.tell('coordinator', 'unread', :'told', null);
select tests.tell('coordinator', 'cap of a day', :'horizon'::timestamptz - interval '2 days', :'before');
select tests.tell('mentor', 'spell goes on', :'told', :'before');
select tests.tell('guest', 'never came back', :'told', :'before');
select tests.tell('guest', 'milestone', :'told', :'before', 'milestone');
select tests.tell('coordinator', 'cools down', :'told', :'before');
select tests.tell('coordinator', 'has cooled down', :'told', :'before');
select tests.tell('mentor', 'once and for all', :'told', :'before', 'milestone');
insert into private.cooldowns (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days) values
  (tests.id('a'), tests.id('a coordinator'), 'inactivity', 'cools down', now(), 3), (tests.id('a'), tests.id('a coordinator'), 'inactivity', 'has cooled down', now(), 2),
  (tests.id('a'), tests.id('a mentor'), 'milestone', 'once and for all', :'told', null);
update private.outbox set state = 'pending' where notification_id = tests.id('unread');
update private.outbox set created_at = :'horizon' where notification_id = tests.id('read lately');

-- Each name is about its own.
create function tests.swept_alone(p_name text) returns text language plpgsql as $$
begin
  update private.retention set keep_for = case when name = p_name then keep_for end;
  raise exception using errcode = 'TS000', message = coalesce((
    select string_agg(s.key, ' ' order by s.key) from jsonb_each_text(private.sweep_expired('{}', 1000) - 'more') s where s.value <> '0'), 'nothing');
exception when sqlstate 'TS000' then
  return sqlerrm;
end;
$$;
select is(tests.swept_alone(r.name), r.name, r.name || ' alone') from private.retention r order by r.name;

-- In batches of one, as of a million in batches of thousands.
create temporary table batches as select private.sweep_expired('{}', 1) as counts;
select is((select counts ->> 'more' from batches), 'true', 'there may be more');
select is((select last_succeeded_at from private.schedules where name = 'housekeeping'), null, 'and so it has not succeeded yet');
do $$
begin
  for n in 1..30 loop
    update batches set counts = private.sweep_expired(counts, 1);
    exit when (select counts ->> 'more' from batches) = 'false';
  end loop;
end $$;
-- (Some pushes go with their notification, and are not counted.)
select is((select counts - 'outbox' from batches),
  '{"webhook_deliveries": 1, "cron_log": 1, "runs": 2, "findings": 3, "held_decisions": 1, "invitations": 1, "notifications": 4, "histories": 3, "more": false}',
  'one of each went, and is counted over all batches');
select is((select last_result from private.schedules where name = 'housekeeping'),
  jsonb_build_object('deleted', (select counts - 'more' from batches), 'more', false), 'which the schedule says');
select ok((select last_succeeded_at is not null from private.schedules where name = 'housekeeping'), 'and that it has succeeded');
select is(tests.left_of(m.query), m.remains, m.sentence) from (values
  ('webhook ids', 'select id from private.webhook_deliveries', 'young'),
  ('the latest run of a kind stays, and an open one', 'select kind from private.runs', 'lone old open'),
  ('of the nightly cases, too', 'select organizations::text from private.case_runs', '2 3'),
  ('drift', 'select rows_changed::text from private.statistics_drift', '2'),
  ('what ticks missed', 'select subject from private.sweep_findings', 'young'),
  ('warnings', 'select rule from public.statistics_warnings', 'young'),
  ('cron''s log of our jobs', 'select command from cron.job_run_details where runid < 0', 'running somebody else''s young'),
  ('invitations', 'select organization_id::text from public.invitations', tests.id('b')::text),
  ('held decisions, but not what waits', 'select subject from private.held_decisions', 'waits young'),
  ('people as they were', 'select time_zone from private.user_history', 'young'),
  ('preferences as they were', 'select scenario from private.preference_history where scenario in (''old'', ''young'')', 'young'),
  ('certificates as they were', 'select name from private.certificate_history', 'young'),
  ('notifications that no cap, cooldown, spell or person still needs', 'select subject from public.notifications',
    'cap of a day cools down never came back read lately spell goes on unread')
) as m (sentence, query, remains);
select is(tests.left_of('select n.subject from private.outbox o join public.notifications n on n.id = o.notification_id'), 'read lately unread', 'pushes that are over');
select is((select count(*) from private.cooldowns), 3::bigint, 'cooldowns stay');

-- What is no longer kept cannot be asked about.
update public.organizations set created_at = now() - interval '1 year';
select is(private.question_time(tests.id('a'), :'horizon'), :'horizon'::timestamptz, 'a question goes back as far as everything is kept');
select ok(tests.error('select private.question_time(tests.id(''a''), now() - interval ''100 days 1 second'')') like 'PT400 time_out_of_range%', 'and no further');
update private.retention set keep_for = '200 days' where name = 'histories';
select ok(tests.error('select private.question_time(tests.id(''a''), now() - interval ''101 days'')') like 'PT400 time_out_of_range%', 'as far as the shorter of the two');
update private.retention set keep_for = null where name in ('histories', 'notifications');
select is(private.question_time(tests.id('a'), now() - interval '364 days'), now() - interval '364 days', 'kept for ever, it goes back to the first day');
select is(private.question_time(tests.id('a'), null), null, 'now is always');

-- For ever is for ever, in whatever words.
update private.retention set keep_for = '9999 years';
select is(private.kept_since('outbox', now()), '-infinity', 'what is kept for thousands of years is kept for ever');
select is(private.sweep_expired() ->> 'more', 'false', 'and sweeping the rest goes on');
update private.retention set keep_for = null;
insert into private.webhook_deliveries (id, answer, received_at) values ('ancient', '{}', '-infinity');
select private.sweep_expired();
select ok(exists (select from private.webhook_deliveries where id = 'ancient'), 'nothing goes where everything is kept');

select * from finish();
rollback;
