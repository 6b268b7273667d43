-- At its release a push is judged once more: preference, quiet hours, cap, deadline, and the condition itself.
begin;
\ir ../helpers.psql
select plan(75);
select tests.populate();
delete from public.notifications;
delete from public.notification_preferences;
delete from public.org_settings_kv;
insert into public.devices (organization_id, user_id, provider, platform, token) values (tests.id('a'), tests.id('a mentor'), 'fcm', 'android', 'fcm-token-number-00001');

create function tests.push(p_name text default 'p', p_now timestamptz default '2026-06-10 12:00+00', p_rule text default null, p_subject text default null,
  p_scenario text default 'inactivity', p_context jsonb default '{"days": 21}', p_on date default null, p_mandatory boolean default false) returns void language sql as $$
  insert into public.notifications (organization_id, id, user_id, scenario, subject, context, triggered_at, rule_id, release_on, is_mandatory) values
    (tests.id('a'), tests.id('n ' || p_name), tests.id('a mentor'), p_scenario, coalesce(p_subject, p_name), p_context, p_now, tests.id(p_rule), p_on, p_mandatory);
  insert into private.outbox (organization_id, id, notification_id, user_id, channel, release_at, next_attempt_at)
  values (tests.id('a'), tests.id(p_name), tests.id('n ' || p_name), tests.id('a mentor'), 'push', p_now, p_now);
$$;
create function tests.claim(p_now timestamptz default '2026-06-10 12:00+00') returns text language sql as $$
  select format('%s go, held %s', json_array_length(c -> 'messages'), c -> 'held') from public.claim_outbox(tests.id('holder'), 100, 60, p_now) c
$$;
create function tests.state(p_name text default 'p') returns text language sql as $$
  select concat_ws(' ', o.state, o.skipped_reason, case when o.state = 'deferred' then to_char(o.next_attempt_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') end,
    case when n.retracted_at is not null then 'taken back' end)
  from private.outbox o join public.notifications n on n.id = o.notification_id where o.id = tests.id(p_name)
$$;
create function tests.anew() returns void language sql as $$
  delete from public.notifications; delete from public.notification_preferences; delete from public.org_settings_kv; delete from private.outbox;
  update public.users set time_zone = null, is_active = true where id = tests.id('a mentor');
$$;

select tests.push();
select is(tests.claim(), '1 go, held {}', 'nothing speaks against it');
select is(tests.state(), 'claimed', 'and it is on its way');

-- Preferences. (Opting out takes back what waits: this is what it could not take back, being claimed by one that died.)
create function tests.opt_out(p_scenario text, p_channel text) returns text language plpgsql as $$
declare
  v_state text;
begin
  perform tests.anew(), tests.push();
  update private.outbox set state = 'claimed', holder = tests.id('dead'), lease = 1;
  insert into public.notification_preferences values (tests.id('a'), tests.id('a mentor'), p_scenario, p_channel, false);
  perform tests.claim();
  return tests.state();
end;
$$;
select is(tests.opt_out('inactivity', 'push'), 'skipped opted_out', 'opted out of its pushes');
select is(tests.opt_out('all', 'push'), 'skipped opted_out', 'of every push');
select is(tests.opt_out('inactivity', 'all'), 'skipped retracted taken back', 'of the scenario: taken back already');
select is(tests.opt_out('milestone', 'push'), 'claimed', 'another scenario''s are another matter');
select tests.anew(), tests.push(p_mandatory => true);
insert into public.notification_preferences values (tests.id('a'), tests.id('a mentor'), 'all', 'all', false);
select is(tests.claim(), '1 go, held {}', 'what is mandatory goes');
select tests.anew(), tests.push(p_mandatory => true);
update public.notifications set read_at = now();
select is(tests.claim(), '0 go, held {"read": 1}', 'who has read it in the app is not told again, mandatory or not');
select is(tests.state(), 'skipped read', 'and it says so');
select tests.anew(), tests.push(), tests.push('q');
update public.notifications set dismissed_at = now() where id = tests.id('n q');
select is(tests.claim(), '1 go, held {"read": 1}', 'nor who has dismissed it');
select is(tests.state('q'), 'skipped read', 'to whom it is the same');
select tests.anew(), tests.push();
update public.users set is_active = false where id = tests.id('a mentor');
select is(tests.claim(), '0 go, held {"person_inactive": 1}', 'who has left is not told');
select is(tests.state(), 'skipped person_inactive', 'and it says so');
select tests.anew(), tests.push();
update public.devices set is_active = false, deactivated_at = now(), deactivated_reason = 'x';
select is(tests.claim(), '0 go, held {"no_device": 1}', 'nowhere to send it');
select is(tests.state(), 'skipped no_device', 'in the app only: skipped');
update public.devices set is_active = true, deactivated_at = null, deactivated_reason = null;

-- Deadline.
select tests.anew(), tests.push();
select is(tests.claim('2026-06-11 11:59:59+00'), '1 go, held {}', 'late is not too late');
select is(tests.claim('2026-06-11 12:01+00'), '0 go, held {"stale": 1}', 'after a day it is');
select is(tests.state(), 'skipped stale', 'which is not a failure');
select tests.anew(), tests.push();
insert into public.org_settings_kv values (tests.id('a'), 'push_deadline_hours', '2');
select is(tests.claim('2026-06-10 14:00+00'), '0 go, held {"stale": 1}', 'or after as many hours as the organisation says');
select is(private.is_setting_valid('push_deadline_hours', '169'), false, 'up to a week');
select is(private.is_setting_valid('language', '"norsk bokmål"'), false, 'and a language is a tag');

-- Quiet hours, in the person's own zone.
create function tests.quiet(p_now timestamptz, p_zone text, p_from text default '21:00', p_to text default '08:00') returns text language plpgsql as $$
begin
  perform tests.anew(), tests.push(p_now => p_now);
  insert into public.org_settings_kv values (tests.id('a'), 'quiet_hours', jsonb_build_object('from', p_from, 'to', p_to));
  update public.users set time_zone = p_zone where id = tests.id('a mentor');
  perform tests.claim(p_now);
  return tests.state();
end;
$$;
select is(tests.quiet('2026-06-10 18:59:59+00', 'Europe/Oslo'), 'claimed', 'a moment before they begin');
select is(tests.quiet('2026-06-10 19:00+00', 'Europe/Oslo'), 'deferred 2026-06-11 06:00', 'when they begin: deferred to their end');
select is((select concat_ws(' ', o.release_at, h.event) from private.outbox o join private.outbox_history h on h.outbox_id = o.id), '2026-06-11 06:00:00+00 quiet_hours', 'from where the deadline counts, and told');
select is(tests.claim('2026-06-11 05:59:59+00'), '0 go, held {}', 'until then nobody takes it');
select is(tests.claim('2026-06-11 06:00+00'), '1 go, held {}', 'and then it goes');
select is(tests.quiet('2026-06-10 19:00+00', 'America/Guayaquil'), 'claimed', 'elsewhere it is day');
select is(tests.quiet('2026-06-10 19:00+00', 'Asia/Kathmandu'), 'deferred 2026-06-11 02:15', 'or night until a quarter past');
select is(tests.quiet('2026-06-10 19:00+00', 'Pacific/Kiritimati'), 'claimed', 'or tomorrow');
-- The clocks change: Oslo, 2026-03-29 02:00 → 03:00 and 2026-10-25 03:00 → 02:00.
select is(tests.quiet('2026-03-28 22:00+00', 'Europe/Oslo'), 'deferred 2026-03-29 06:00', 'over the short night');
select is(tests.quiet('2026-10-24 22:00+00', 'Europe/Oslo'), 'deferred 2026-10-25 07:00', 'over the long night');
select is(tests.quiet('2026-03-29 00:30+00', 'Europe/Oslo', '00:00', '02:30'), 'deferred 2026-03-29 01:00', 'an end that the clock jumps over is the jump');
select is(tests.quiet('2026-10-24 23:30+00', 'Europe/Oslo', '00:00', '02:30'), 'deferred 2026-10-25 00:30', 'an end that comes twice is the first');
select is(tests.quiet('2026-10-25 00:45+00', 'Europe/Oslo', '00:00', '02:30'), 'claimed', 'after which it is over');
select is(tests.quiet('2026-10-25 01:15+00', 'Europe/Oslo', '00:00', '02:30'), 'deferred 2026-10-25 01:30', 'until the clock shows it again');
select tests.anew(), tests.push();
insert into public.org_settings_kv values (tests.id('a'), 'quiet_hours', '{"from": "21:00", "to": "08:00"}');
select tests.claim();
update public.users set time_zone = 'Asia/Tokyo' where id = tests.id('a mentor');
select is(public.confirm_outbox(tests.id('holder'), (select jsonb_agg(jsonb_build_object('organization_id', o.organization_id, 'outbox_id', o.id, 'lease', o.lease)) from private.outbox o), 60, '2026-06-10 12:00+00') -> 'held',
  '{"quiet_hours": 1}', 'who has travelled meanwhile is asleep');

-- The cap of a day: planned, and at the release.
create function tests.capped(p_cap integer) returns void language sql as $$
  select tests.anew(); insert into public.org_settings_kv values (tests.id('a'), 'notification_daily_cap', to_jsonb(p_cap));
$$;
select tests.capped(2);
select tests.push('one', '2026-06-10 10:00+00', p_on => '2026-06-10'), tests.push('two', '2026-06-10 11:00+00', p_on => '2026-06-10');
select is(tests.claim(), '2 go, held {}', 'as many as planned');
select tests.capped(1);
select tests.push('one', '2026-06-10 10:00+00', p_on => '2026-06-10'), tests.push('two', '2026-06-10 11:00+00', p_on => '2026-06-10');
select is(tests.claim(), '1 go, held {"capped": 1}', 'the cap was lowered since');
select is(tests.state('one') || ', ' || tests.state('two'), 'claimed, deferred 2026-06-10 22:00', 'who was decided first goes first, the other on the next day of theirs');
select is((select n.release_on from public.notifications n where n.id = tests.id('n two')), '2026-06-11', 'where it is counted from now on');
update private.outbox set state = 'sent' where id = tests.id('one');
select is(tests.claim('2026-06-10 22:00+00'), '1 go, held {}', 'and goes');
select tests.capped(1);
insert into public.org_settings_kv values (tests.id('a'), 'quiet_hours', '{"from": "21:00", "to": "08:00"}');
select tests.push('one', '2026-06-10 10:00+00', p_on => '2026-06-10'), tests.push('two', '2026-06-10 11:00+00', p_on => '2026-06-10');
select tests.claim();
select is(tests.state('two'), 'deferred 2026-06-11 06:00', 'not in the night');
-- A dispatcher that was away for a night finds two days' pushes.
select tests.capped(2);
select tests.push('yesterday', '2026-06-09 20:00+00', p_on => '2026-06-09'), tests.push('late', '2026-06-09 21:00+00', p_on => '2026-06-09'), tests.push('today', '2026-06-10 08:00+00', p_on => '2026-06-10');
select is(tests.claim(), '2 go, held {"capped": 1}', 'no more than a day may have');
select is(tests.state('yesterday') || ', ' || tests.state('late') || ', ' || tests.state('today'), 'claimed, deferred 2026-06-10 22:00, claimed', 'what was planned for today goes before what is late');
select is((select string_agg(n.release_on::text, ' ' order by n.triggered_at) from public.notifications n), '2026-06-10 2026-06-11 2026-06-10', 'each counted on the day it goes');
select tests.capped(1);
select tests.push('told', '2026-06-10 11:00+00', p_on => '2026-06-10');
update private.outbox set state = 'sent';
select tests.push('one', '2026-06-10 10:00+00', p_on => '2026-06-10');
select is(tests.claim(), '0 go, held {"capped": 1}', 'a day that is full is full, whoever was decided first');
select tests.capped(1);
select tests.push('gone', '2026-06-10 09:00+00', p_on => '2026-06-10'), tests.push('one', '2026-06-10 10:00+00', p_on => '2026-06-10');
update private.outbox set state = 'retracted' where id = tests.id('gone');
update public.notifications set retracted_at = now() where id = tests.id('n gone');
select is(tests.claim(), '1 go, held {}', 'what was taken back makes room');

-- The condition, over raw rows: the aggregates are as stale as can be.
update public.scenario_rules set is_enabled = false where organization_id = tests.id('b');
update public.activities set occurred_at = '2026-01-01 00:00+00', recorded_at = '2026-01-01 00:00+00' where organization_id = tests.id('a');
update public.users set joined_at = '2026-01-01 00:00+00', created_at = '2026-01-01 00:00+00', reactivated_at = null where organization_id = tests.id('a');
create function tests.quiet_person() returns void language sql as $$ select tests.anew(); update public.users set reactivated_at = null where id = tests.id('a mentor'); select tests.push(p_rule => 'a rule', p_subject => tests.id('a rule')::text); $$;
select tests.quiet_person();
select is(tests.claim(), '1 go, held {}', 'still quiet: told');
select tests.quiet_person();
insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at, recorded_at) values (tests.id('a'), tests.id('late'), tests.id('a mentor'), 'other', '2026-06-10 11:59+00', '2026-06-10 11:59+00');
update public.activity_statistics set last_activity_date = '2026-01-01' where user_id = tests.id('a mentor');
delete from private.statistics_marks;
select is(tests.claim(), '0 go, held {"condition_gone": 1}', 'active a minute ago: not told, whatever the aggregates say');
select is(tests.state(), 'skipped condition_gone taken back', 'and it leaves the list');
select tests.quiet_person();
update public.notifications set read_at = now();
select tests.claim();
select is(tests.state(), 'skipped read', 'unless it was read');
delete from public.activities where id = tests.id('late');
select tests.quiet_person();
update public.scenario_rules set is_enabled = false where id = tests.id('a rule');
select is(tests.claim(), '0 go, held {"condition_gone": 1}', 'the rule was switched off');
update public.scenario_rules set is_enabled = true where id = tests.id('a rule');
select tests.quiet_person();
update public.users set away_from = '2026-06-09 00:00+00' where id = tests.id('a mentor');
select is(tests.claim(), '0 go, held {"condition_gone": 1}', 'who is away is left alone');
update public.users set away_from = null where id = tests.id('a mentor');
select tests.quiet_person();
insert into private.quarantine (organization_id, user_id, reason, message) values (tests.id('a'), tests.id('a mentor'), 'x', 'x');
insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at, recorded_at) values (tests.id('a'), tests.id('late'), tests.id('a mentor'), 'other', '2026-06-10 11:59+00', '2026-06-10 11:59+00');
select is(tests.claim(), '1 go, held {}', 'of who is in quarantine nobody knows: what was decided goes');
delete from private.quarantine;
delete from public.activities where id = tests.id('late');
-- Certificates.
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, lead_days) values (tests.id('a'), tests.id('expiry'), 'certification_expiry', 'papers', true, '{30}');
update public.certificates set expires_at = '2026-07-01 00:00+00', created_at = '2026-01-01' where id = tests.id('a certificate');
create function tests.expiry() returns void language sql as $$
  select tests.anew(), tests.push(p_rule => 'expiry', p_scenario => 'certification_expiry', p_subject => concat_ws(':', tests.id('expiry'), tests.id('a certificate'), 30),
    p_context => '{"name": "First aid", "expires_at": "2026-07-01T00:00:00Z"}')
$$;
select tests.expiry();
select is(tests.claim(), '1 go, held {}', 'about to expire: told');
select tests.expiry();
insert into private.cooldowns values (tests.id('a'), tests.id('a mentor'), 'certification_expiry', concat_ws(':', tests.id('expiry'), tests.id('a certificate'), 30), '2026-06-10 12:00+00', null);
update public.certificates set revoked_at = '2026-06-10 11:00+00' where id = tests.id('a certificate');
select is(tests.claim(), '0 go, held {"condition_gone": 1}', 'revoked: not told');
select is((select count(*) from private.cooldowns where user_id = tests.id('a mentor')), 0::bigint, 'and told again, should it expire after all');
update public.certificates set revoked_at = null where id = tests.id('a certificate');
select tests.expiry();
select is(tests.claim('2026-07-01 00:00+00'), '0 go, held {"stale": 1}', 'an old one is stale before all');
-- Milestones: reached, and fallen below.
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, thresholds) values (tests.id('a'), tests.id('milestone'), 'milestone', 'sessions', true, '{2}');
create function tests.milestone() returns void language sql as $$
  select tests.anew(), tests.push(p_rule => 'milestone', p_scenario => 'milestone', p_subject => concat_ws(':', tests.id('milestone'), 2, 2026),
    p_context => '{"metric": "sessions", "period": "year", "period_start": "2026-01-01T00:00:00Z", "threshold": 2}')
$$;
select tests.milestone();
select is(tests.claim(), '1 go, held {}', 'reached: told');
select tests.milestone();
delete from public.activities where id = tests.id('a mentor pending');
select is(tests.claim(), '0 go, held {"condition_gone": 1}', 'corrected: not told');
-- Cases.
insert into public.people (organization_id, id, full_name) values (tests.id('a'), tests.id('person'), 'Somebody');
insert into public.pastoral_cases (organization_id, id, person_id, priority, assigned_servant_id, notes, absences, absent_since, last_absent_on, opened_at)
values (tests.id('a'), tests.id('case'), tests.id('person'), 'normal', tests.id('a mentor'), 'x', 3, '2026-05-01', '2026-06-01', '2026-06-02');
create function tests.case_news() returns void language sql as $$
  select tests.anew(), tests.push(p_scenario => 'pastoral_case', p_context => jsonb_build_object('case_id', tests.id('case'), 'event', 'opened', 'absences', 3))
$$;
select tests.case_news();
select is(tests.claim(), '1 go, held {}', 'a case is still to be done: told');
select tests.case_news();
update public.pastoral_cases set assigned_servant_id = tests.id('a admin');
select is(tests.claim(), '0 go, held {"condition_gone": 1}', 'it is somebody else''s by now');
select tests.case_news();
update public.pastoral_cases set assigned_servant_id = tests.id('a mentor'), status = 'withdrawn', withdrawn_at = now(), withdrawn_reason = 'x';
select is(tests.claim(), '0 go, held {"condition_gone": 1}', 'withdrawn');
select tests.anew(), tests.push(p_scenario => 'pastoral_case', p_context => '{"absences": 3}');
select is(tests.claim(), '1 go, held {}', 'what somebody outside decided holds');

-- One bad row among good ones.
select tests.anew(), tests.push('good'), tests.push('bad', p_context => '{}');
select is(tests.claim(), '1 go, held {"unrendered": 1}', 'what cannot be said is put aside, the rest goes');
select is((select concat_ws(' ', o.state, o.last_error, h.event) from private.outbox o join private.outbox_history h on h.outbox_id = o.id where o.id = tests.id('bad')), 'dead missing_value: days dead', 'with its reason');
select tests.anew(), tests.push('good'), tests.push('bad', p_rule => 'a rule', p_context => '{"days": 3, "period_start": "rubbish"}');
select is(tests.claim(), '1 go, held {"unjudged": 1}', 'what cannot be judged is put aside, the rest goes');
select is((select concat_ws(' ', o.state, o.attempts, o.last_error, o.next_attempt_at) from private.outbox o where o.id = tests.id('bad')), 'failed 1 condition_failed: 22007 invalid input syntax for type timestamp with time zone: "rubbish" 2026-06-10 12:10:00+00', 'and tried again');
select tests.anew(), tests.push('bad', p_rule => 'a rule', p_context => '{"days": 3, "period_start": "rubbish"}', p_on => '2026-06-09');
select is(tests.claim(), '0 go, held {"unjudged": 1}', 'on another day than it was planned for, too');
select is((select n.release_on from public.notifications n), '2026-06-09', 'of which it takes no room, as it does not go');

-- What has arrived on one device has been told, whatever the other says.
create function tests.half(p_scenario text, p_subject text, p_context jsonb, p_rule text default null) returns void language sql as $$
  select tests.anew(), tests.push(p_rule => p_rule, p_scenario => p_scenario, p_subject => p_subject, p_context => p_context);
  delete from private.cooldowns;
  insert into private.cooldowns values (tests.id('a'), tests.id('a mentor'), p_scenario, p_subject, '2026-06-10 12:00+00', null);
  update private.outbox set state = 'failed', attempts = 1;
  insert into private.outbox_devices (organization_id, outbox_id, device_id, verdict, attempted_at) values
    (tests.id('a'), tests.id('p'), tests.id('one'), 'sent', '2026-06-10 12:00+00'), (tests.id('a'), tests.id('p'), tests.id('other'), 'retry', '2026-06-10 12:00+00');
$$;
create function tests.half_expiry() returns void language sql as $$
  select tests.half('certification_expiry', concat_ws(':', tests.id('expiry'), tests.id('a certificate'), 30), '{"name": "First aid", "expires_at": "2026-07-01T00:00:00Z"}', 'expiry')
$$;
update public.scenario_rules set is_enabled = false where id = tests.id('a rule');
update public.certificates set revoked_at = '2026-06-10 11:00+00' where id = tests.id('a certificate');
select tests.half_expiry();
select public.evaluate_people(tests.id('a'), array[tests.id('a mentor')], '2026-06-10 12:10+00');
select is((select format('%s, cooldowns %s', tests.state(), count(*)) from private.cooldowns where scenario = 'certification_expiry'), 'failed, cooldowns 1', 'an evaluation does not take it back, nor forget that it was told');
select is(tests.claim('2026-06-10 12:10+00'), '0 go, held {"condition_gone": 1}', 'the other device is not told any more');
select is((select format('%s, cooldowns %s', tests.state(), count(*)) from private.cooldowns where scenario = 'certification_expiry'), 'sent, cooldowns 1', 'which settles it: sent');
update public.certificates set revoked_at = null where id = tests.id('a certificate');
select is(public.evaluate_people(tests.id('a'), array[tests.id('a mentor')], '2026-06-10 12:20+00') #> '{counts,certification_expiry,cooling_down}', '1', 'and it is not told twice');
select tests.half('pastoral_case', tests.id('person')::text, jsonb_build_object('case_id', tests.id('case'), 'event', 'opened', 'absences', 3));
select private.retract_case_news(tests.id('a'), array[tests.id('case')], '2026-06-10 12:10+00');
select is((select format('%s, cooldowns %s', tests.state(), count(*)) from private.cooldowns where scenario = 'pastoral_case'), 'failed, cooldowns 1', 'news of a case neither');

select * from finish();
rollback;
