-- What was so at a time: people, certificates and activities as a question about the past finds them.
begin;
\ir ../helpers.psql
select plan(50);
-- The questions below go back further than two years.
update private.retention set keep_for = null;
insert into public.organizations (id, name, time_zone, created_at) values (tests.id('h'), 'History', 'UTC', '2024-01-01');
insert into public.users (organization_id, id, full_name, role, joined_at, created_at) values (tests.id('h'), tests.id('h mentor'), 'Mentor', 'peer_mentor', '2024-01-01', '2024-01-01');
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('h'), tests.id('h rule'), 'inactivity', 'quiet', true);
update public.scenario_rule_versions set valid_from = '2024-01-01';

-- People.
create function tests.rows() returns bigint language sql as $$ select count(*) from private.user_history where user_id = tests.id('h mentor') $$;
update public.users set full_name = 'Another name' where id = tests.id('h mentor');
select is(tests.rows(), 0::bigint, 'what no rule reads leaves no history');
update public.users set role = role, is_active = is_active where id = tests.id('h mentor');
select is(tests.rows(), 0::bigint, 'nor what is as it was');
update public.users set role = 'coordinator' where id = tests.id('h mentor');
update public.users set is_active = false where id = tests.id('h mentor');
update public.users set is_active = true where id = tests.id('h mentor');
update public.users set role = 'peer_mentor', joined_at = '2024-02-01', reactivated_at = null where id = tests.id('h mentor');
update public.users set away_from = '2024-03-01' where id = tests.id('h mentor');
update public.users set away_until = '2024-03-08' where id = tests.id('h mentor');
update public.users set time_zone = 'Europe/Oslo' where id = tests.id('h mentor');
select results_eq($$select role::text, is_active, joined_at, reactivated_at is not null, away_from, away_until, time_zone from private.user_history where user_id = tests.id('h mentor') order by id$$,
  $$values ('peer_mentor', true, timestamptz '2024-01-01', false, null::timestamptz, null::timestamptz, null::text), ('coordinator', true, '2024-01-01', false, null, null, null),
    ('coordinator', false, '2024-01-01', false, null, null, null), ('coordinator', true, '2024-01-01', true, null, null, null), ('peer_mentor', true, '2024-02-01', false, null, null, null),
    ('peer_mentor', true, '2024-02-01', false, '2024-03-01', null, null), ('peer_mentor', true, '2024-02-01', false, '2024-03-01', '2024-03-08', null)$$, 'each change keeps what was before it');
-- As if each had been changed at noon of its own day, from 2 April on.
update private.user_history h set valid_to = timestamptz '2024-04-01 12:00+00' + n.position * interval '1 day'
from (select id, row_number() over (order by id) as position from private.user_history) n where n.id = h.id;
create function tests.was(p_at timestamptz) returns text language sql as $$
  select concat_ws(' ', f.role, case when f.is_active then 'active' else 'inactive' end, f.joined_at::date, 'away ' || f.away_from::date, 'until ' || f.away_until::date, f.time_zone)
  from private.facts_as_of(tests.id('h'), null, null, null, p_at) f where f.user_id = tests.id('h mentor')
$$;
set local time zone 'UTC';
select is(tests.was('2023-12-31 23:59:59.999999+00'), null, 'before there was such a person');
select is(tests.was('2024-01-01'), 'peer_mentor active 2024-01-01', 'from the first moment');
select is(tests.was('2024-04-02 11:59:59.999999+00'), 'peer_mentor active 2024-01-01', 'until the first change');
select is(tests.was('2024-04-02 12:00+00'), 'coordinator active 2024-01-01', 'after it');
select is(tests.was('2024-04-03 12:00+00'), 'coordinator inactive 2024-01-01', 'after the second');
select is(tests.was('2024-04-05 12:00+00'), 'peer_mentor active 2024-02-01', 'a change of two at once is one');
select is(tests.was('2024-04-07 11:00+00'), 'peer_mentor active 2024-02-01 away 2024-03-01', 'until further notice, as it was then');
select is(tests.was(now()), 'peer_mentor active 2024-02-01 away 2024-03-01 until 2024-03-08 Europe/Oslo', 'now');
select results_eq($$select * from private.facts_now(tests.id('h'), null, null, null)$$, $$select * from private.facts_as_of(tests.id('h'), null, null, null, now())$$, 'the facts of now are those of this moment');
select tests.become('service');
select is((select count(*) from private.facts_as_of(tests.id('h'), null, null, null, now())), 1::bigint, 'the service asks');
select tests.become('postgres');

-- Activities: what had taken place and been recorded.
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, recorded_at, duration_minutes) values
  (tests.id('h'), tests.id('h mentor'), 'other', '2024-05-01 10:00+00', '2024-05-01 11:00+00', 60), (tests.id('h'), tests.id('h mentor'), 'other', '2024-05-02 10:00+00', '2024-05-09 11:00+00', 30);
create function tests.last_activity(p_at timestamptz) returns timestamptz language sql as
$$ select f.last_activity_at from private.facts_as_of(tests.id('h'), null, null, array[tests.id('h mentor')], p_at) f $$;
create function tests.minutes(p_at timestamptz) returns integer language sql as
$$ select t.minutes from private.totals_as_of(tests.id('h'), array[tests.id('h mentor')], 'all_time', null, p_at) t $$;
select is(tests.last_activity('2024-05-01 10:59:59.999999+00'), null, 'before it was recorded nobody knew');
select is(tests.last_activity('2024-05-01 11:00+00'), '2024-05-01 10:00+00', 'then it was known');
select is(tests.last_activity('2024-05-09 10:59:59.999999+00'), '2024-05-01 10:00+00', 'what is written late was not known before');
select is(tests.last_activity('2024-05-09 11:00+00'), '2024-05-02 10:00+00', 'and then it was');
select is(array[tests.minutes('2024-05-01 10:30+00'), tests.minutes('2024-05-05'), tests.minutes('2024-05-10')], '{0,60,90}', 'totals, too');
select results_eq($$select * from private.totals_now(tests.id('h'), array[tests.id('h mentor')], 'all_time', null)$$, $$select * from private.totals_as_of(tests.id('h'), array[tests.id('h mentor')], 'all_time', null, now())$$, 'the totals of now are those of this moment');

-- Certificates.
insert into public.certificates (organization_id, id, user_id, name, expires_at, created_at) values (tests.id('h'), tests.id('h first'), tests.id('h mentor'), 'First aid', '2024-09-01', '2024-06-01');
update public.certificates set name = 'First aid I' where id = tests.id('h first');
update public.certificates set expires_at = '2024-10-01' where id = tests.id('h first');
update public.certificates set revoked_at = '2024-06-03' where id = tests.id('h first');
delete from public.certificates where id = tests.id('h first');
select results_eq($$select name, expires_at, revoked_at from private.certificate_history where certificate_id = tests.id('h first') order by id$$,
  $$values ('First aid', timestamptz '2024-09-01', null::timestamptz), ('First aid I', '2024-09-01', null), ('First aid I', '2024-10-01', null), ('First aid I', '2024-10-01', '2024-06-03')$$, 'each change and the end keep what was before');
update private.certificate_history h set valid_to = timestamptz '2024-06-01 12:00+00' + n.position * interval '1 day'
from (select id, row_number() over (order by id) as position from private.certificate_history) n where n.id = h.id;
create function tests.certified(p_at timestamptz) returns text language sql as $$
  select coalesce(string_agg(concat_ws(' ', c.name, c.expires_at::date, case when c.is_valid then 'valid' else 'void' end), ', '), 'nothing') from private.certificates_as_of(tests.id('h'), null, null, null, p_at) c
$$;
select is(tests.certified('2024-05-31 23:59:59.999999+00'), 'nothing', 'before there was one');
select is(tests.certified('2024-06-02 11:59:59.999999+00'), 'First aid 2024-09-01 valid', 'at first');
select is(tests.certified('2024-06-02 12:00+00'), 'First aid I 2024-09-01 valid', 'renamed');
select is(tests.certified('2024-06-03 12:00+00'), 'First aid I 2024-10-01 valid', 'prolonged');
select is(tests.certified('2024-06-04 12:00+00'), 'First aid I 2024-10-01 void', 'revoked');
select is(tests.certified('2024-06-05 12:00+00'), 'nothing', 'deleted');
select is(tests.certified(null), 'nothing', 'now');
insert into public.certificates (organization_id, id, user_id, name, expires_at) values (tests.id('h'), tests.id('h second'), tests.id('h mentor'), 'Driving', '2024-09-01');
select is(tests.certified(null), tests.certified(now()), 'the certificates of now are those of this moment');

-- Explaining and dry-running the past.
create function tests.explained(p_at timestamptz) returns text language sql as
$$ select r ->> 'gate' from jsonb_array_elements(public.explain_scenarios(tests.id('h'), tests.id('h mentor'), 'inactivity', p_at) -> 'answers') r $$;
delete from private.user_history;
update public.users set joined_at = '2024-01-01', away_from = null, away_until = null, role = 'peer_mentor' where id = tests.id('h mentor');
delete from private.user_history;
select is(tests.explained('2024-01-21 23:59:59.999999+00'), 'not_matched', 'not yet quiet');
select is(tests.explained('2024-01-22'), 'would_send', 'quiet');
select is(tests.explained('2024-05-05'), 'not_matched', 'active again, as was known');
select is(tests.explained('2024-05-22 10:00+00'), 'not_matched', 'for three weeks from the later one, recorded in time');
select is(tests.explained('2024-05-23 10:00+00'), 'would_send', 'and then quiet again');
insert into public.notifications (organization_id, user_id, scenario, subject, rule_id, rule_version, triggered_at, release_on, context) values (tests.id('h'), tests.id('h mentor'), 'inactivity', tests.id('h rule')::text, tests.id('h rule'), 1, '2024-05-23 10:00+00', '2024-05-23', '{"stored": "as it was"}');
select is(tests.explained('2024-05-23 10:00+00'), 'would_send', 'at the moment of the decision it had not been told');
select is(tests.explained('2024-05-23 10:00:00.000001+00'), 'cooling_down', 'a microsecond later it had');
select is(tests.explained('2024-06-06 10:00+00'), 'would_send', 'until the cooldown was over');
select is((select jsonb_path_query_array(public.explain_scenarios(tests.id('h'), tests.id('h mentor'), null, '2024-05-24') -> 'told', '$[*].detail')), '[{"stored": "as it was"}]', 'what was told is returned as stored');
select is(public.explain_scenarios(tests.id('h'), tests.id('h mentor'), null, '2024-05-22') -> 'told', '[]', 'and not before it was told');
insert into private.preference_history (organization_id, user_id, scenario, channel, was_enabled, valid_to) values (tests.id('h'), tests.id('h mentor'), 'all', 'all', false, '2024-02-01');
select is(tests.explained('2024-01-30'), 'opted_out', 'a preference of then');
select is(tests.explained('2024-02-01'), 'would_send', 'holds until it was changed');
update public.scenario_rules set threshold_days = 60;
update public.scenario_rule_versions set valid_to = '2024-02-10' where version = 1;
update public.scenario_rule_versions set valid_from = '2024-02-10' where version = 2;
select is(tests.explained('2024-02-09 23:59:59.999999+00'), 'would_send', 'a rule of then');
select is(tests.explained('2024-02-10'), 'not_matched', 'until it was changed');
select is(public.explain_scenarios(tests.id('h'), tests.id('h mentor'), null, '2024-02-09') #> '{answers,0,rule_version}', '1', 'and which version it was');
select is(public.dry_run_scenarios(tests.id('h'), '2024-02-09') #>> '{0,gate}', 'would_send', 'a dry run asks the same');
select is(jsonb_array_length(public.dry_run_scenarios(tests.id('h'), '2024-02-09', null, 10, 'milestone')), 0, 'of the scenario that was asked about');
-- The future, and what was before the organisation.
select is(regexp_replace(tests.error(format(m.statement, m.at)), '"latest": "[^"]*"', '"latest": "…"'), 'PT400 time_out_of_range ' || jsonb_build_object('at', m.at, 'earliest', timestamptz '2024-01-01', 'latest', '…')::text, m.sentence)
from (values ('select public.explain_scenarios(tests.id(''h''), tests.id(''h mentor''), null, %L)', now() + interval '61 seconds', 'the future is refused, with what is allowed'),
  ('select public.dry_run_scenarios(tests.id(''h''), %L)', timestamptz '2023-12-31 23:59:59.999999+00', 'and the time before the organisation')) m (statement, at, sentence);
select is(tests.error('select public.dry_run_scenarios(tests.id(''h''), now() + interval ''60 seconds'')'), 'no error', 'a clock may be a minute fast');

-- Erased with the person, with the organisation; and nobody writes it by hand.
delete from public.users where id = tests.id('h mentor');
select is((select count(*) from private.user_history) + (select count(*) from private.certificate_history) + (select count(*) from private.preference_history), 0::bigint, 'who is erased leaves no history');
insert into public.users (organization_id, id, full_name, role) values (tests.id('h'), tests.id('h mentor'), 'Mentor', 'peer_mentor');
insert into public.certificates (organization_id, user_id, name, expires_at) values (tests.id('h'), tests.id('h mentor'), 'First aid', '2024-09-01');
delete from public.organizations where id = tests.id('h');
select is((select count(*) from private.certificate_history), 0::bigint, 'nor does an organisation');

select * from finish();
rollback;
