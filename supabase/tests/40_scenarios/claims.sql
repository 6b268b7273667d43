-- What a decision writes, and what it never writes twice.
begin;
\ir ../helpers.psql
select plan(57);
select tests.populate();

create function tests.evaluate(variadic p_people text[]) returns jsonb language sql as
$$ select public.evaluate_people(tests.id('a'), (select array_agg(tests.id(p)) from unnest(p_people) p), now()) $$;
create function tests.written() returns text language sql as $$
  select format('%s notifications, %s pushes, %s cooldowns',
    (select count(*) from public.notifications where triggered_at > now() - interval '60 days'), (select count(*) from private.outbox), (select count(*) from private.cooldowns))
$$;
create function tests.enqueue(p_person text, p_subject text default null, p_days integer default null, p_now timestamptz default now()) returns jsonb language sql as
$$ select public.enqueue_notification(tests.id(p_person), 'inactivity', '{"why": "because"}', p_subject, p_days, p_now) $$;

-- Evaluating.
select is(tests.evaluate('a mentor', 'a mentor', 'b mentor', 'nobody'), '{"people": 4, "counts": {"inactivity": {"sent": 1}}}', 'of these ids one is a quiet mentor, who is told once');
select is(tests.written(), '1 notifications, 1 pushes, 1 cooldowns', 'with a notification, a push and a cooldown');
select results_eq(
  $$select user_id, scenario, subject, rule_id, context, crossed_at, triggered_at, read_at from public.notifications where triggered_at = now()$$,
  $$select tests.id('a mentor'), 'inactivity', tests.id('a rule')::text, tests.id('a rule'),
    jsonb_build_object('anchor_at', now() - interval '40 days', 'last_activity_at', now() - interval '40 days', 'threshold_days', 21),
    now() - interval '19 days', now(), null::timestamptz$$, 'which says about what, by which rule, on which facts, and when it crossed');
select results_eq($$select o.user_id, o.channel, o.state::text from private.outbox o join public.notifications n on n.id = o.notification_id$$,
  $$values (tests.id('a mentor'), 'push', 'pending')$$, 'the push waits');
select results_eq($$select subject, last_triggered_at, cooldown_days from private.cooldowns$$, $$select tests.id('a rule')::text, now(), 14$$, 'the cooldown begins at the clock of the decision');
select is(tests.evaluate('a mentor'), '{"people": 1, "counts": {"inactivity": {"cooling_down": 1}}}', 'again: cooling down');
select is(tests.written(), '1 notifications, 1 pushes, 1 cooldowns', 'and nothing more');
select is(tests.evaluate('b mentor'), '{"people": 1, "counts": {}}', 'a person of another organisation is nobody');
select is(public.evaluate_people(tests.id('a'), null, now()), '{"people": 0, "counts": {}}', 'no list is nobody, never everybody');
select is(public.evaluate_people(tests.id('a'), '{}', now()), '{"people": 0, "counts": {}}', 'an empty list too');
insert into public.notification_preferences values (tests.id('a'), tests.id('a other mentor'), 'inactivity', 'push', false);
select is(tests.evaluate('a other mentor') #>> '{counts,inactivity,sent}', '1', 'who wants no push is told');
select is(tests.written(), '2 notifications, 1 pushes, 2 cooldowns', 'in the app alone');
select is(tests.evaluate('a guest', 'a coordinator', 'a retired admin'),
  '{"people": 3, "counts": {"inactivity": {"not_matched": 2, "person_inactive": 1}}}', 'every person has a gate, and the gates add up');
delete from private.cooldowns where user_id = tests.id('a mentor');
select is(tests.violated('select private.decide(tests.id(''a''), null, null, array[tests.id(''a mentor'')], now())'), 'notifications_once_per_decision', 'even with the cooldown lost, one evaluation tells a person one thing once');
select is(public.evaluate_people(tests.id('a'), array[tests.id('a mentor')], now() + interval '14 days') #>> '{counts,inactivity,sent}', '1', 'a later evaluation may remind');

-- Enqueueing.
delete from private.cooldowns;
delete from private.outbox;
delete from public.notifications;
select is(tests.enqueue('a admin') - 'notification_id', jsonb_build_object('outcome', 'sent', 'until', now() + interval '14 days'), 'sent, and until when nothing more');
select results_eq('select user_id, scenario, subject, rule_id, context, crossed_at, triggered_at from public.notifications',
  $$select tests.id('a admin'), 'inactivity', 'inactivity', null::uuid, '{"why": "because"}'::jsonb, null::timestamptz, now()$$, 'the subject defaults to the scenario');
select is(tests.enqueue('a admin'), jsonb_build_object('outcome', 'cooling_down', 'until', now() + interval '14 days', 'notification_id', null), 'a second call within the cooldown tells nobody');
select is(tests.written(), '1 notifications, 1 pushes, 1 cooldowns', 'and writes nothing');
select is(tests.enqueue('a admin', null, null, now() + interval '14 days' - interval '1 microsecond') ->> 'outcome', 'cooling_down', 'a microsecond before its end');
select is(tests.enqueue('a admin', null, null, now() + interval '14 days') ->> 'outcome', 'sent', 'at its end');
select is(tests.enqueue('a admin', null, null, now()) ->> 'outcome', 'cooling_down', 'a clock that goes back tells nobody');
select is(tests.enqueue('a admin', 'another') ->> 'outcome', 'sent', 'another subject is another matter');
select is(tests.enqueue('a admin', 'short', 1) ->> 'until', to_jsonb(now() + interval '1 day') #>> '{}', 'a cooldown of its own');
select is(tests.enqueue('a retired admin') - 'until', '{"outcome": "person_inactive", "notification_id": null}', 'nobody who left is told');
insert into public.notification_preferences values (tests.id('a'), tests.id('a manager'), 'all', 'all', false);
select is(tests.enqueue('a manager') - 'until', '{"outcome": "opted_out", "notification_id": null}', 'nor who opted out');
select is((select count(*) from private.cooldowns where user_id in (tests.id('a manager'), tests.id('a retired admin'))), 0::bigint, 'and neither takes a cooldown');
select is((select n.user_id from public.notifications n where n.id = (tests.enqueue('a servant') ->> 'notification_id')::uuid), null, 'the id is of the row just made, in the same statement invisible');
select isnt((select n.user_id from public.notifications n where n.user_id = tests.id('a servant')), null, 'and then there');
-- All or nothing: the push cannot be written, so nothing is.
set constraints all immediate;
set constraints all deferred;
alter table private.outbox add constraint refuses_everything check (false) not valid;
select is(tests.violated('select tests.enqueue(''a coordinator'')'), 'refuses_everything', 'where the push cannot be written the claim fails');
select is((select count(*) from public.notifications where user_id = tests.id('a coordinator')) + (select count(*) from private.cooldowns where user_id = tests.id('a coordinator')), 0::bigint, 'whole');
alter table private.outbox drop constraint refuses_everything;

-- Advice.
create function tests.advice(p_person text, p_subject text default null, p_now timestamptz default now()) returns jsonb language sql as
$$ select public.should_notify(tests.id(p_person), 'inactivity', p_subject, p_now) $$;
select is(tests.advice('a coordinator'), '{"allowed": true, "reason": null, "until": null}', 'should_notify: yes');
select is(tests.advice('a retired admin'), '{"allowed": false, "reason": "person_inactive", "until": null}', 'not who left');
select is(tests.advice('a manager'), '{"allowed": false, "reason": "opted_out", "until": null}', 'not who opted out');
select is(tests.advice('a other mentor'), '{"allowed": true, "reason": null, "until": null}', 'who only wants no push may be told');
select is(tests.advice('a servant'), jsonb_build_object('allowed', false, 'reason', 'cooling_down', 'until', now() + interval '14 days'), 'not within a cooldown, and until when');
select is(tests.advice('a servant', null, now() + interval '14 days') ->> 'allowed', 'true', 'which ends exactly then');
select is(tests.advice('a servant', 'another') ->> 'allowed', 'true', 'another subject has its own');
select is(tests.advice('a admin', null) ->> 'reason', 'cooling_down', 'without a subject any cooldown counts');

insert into private.cooldowns values (tests.id('a'), tests.id('a coordinator'), 'inactivity', 'for ever', now() - interval '900 days', null);
select is(tests.advice('a coordinator', 'for ever'), '{"allowed": false, "reason": "cooling_down", "until": null}', 'what is told once and for all has no end');
select is(tests.advice('a coordinator') ->> 'allowed', 'true', 'and speaks against itself alone');
insert into private.cooldowns values (tests.id('a'), tests.id('a coordinator'), 'inactivity', tests.id('a rule')::text, now() - interval '10 days', 14);
select is(tests.advice('a coordinator', tests.id('a rule')::text) -> 'until', to_jsonb(now() + interval '4 days'), 'a rule''s subject has the rule''s cooldown');
update public.scenario_rules set cooldown_days = 10 where id = tests.id('a rule');
select is(tests.advice('a coordinator', tests.id('a rule')::text) ->> 'allowed', 'true', 'as it stands today, and not as it was told');
update public.scenario_rules set cooldown_days = 14 where id = tests.id('a rule');
delete from private.cooldowns where user_id = tests.id('a coordinator');

-- Senders outside.
create function tests.record(p_at timestamptz) returns timestamptz language sql as
$$ select (public.record_last_triggered(tests.id('a guest'), 'inactivity', 'outside', p_at) ->> 'last_triggered_at')::timestamptz $$;
select is(tests.record(now() - interval '2 days'), now() - interval '2 days', 'record_last_triggered notes');
select is(tests.record(now() - interval '1 day'), now() - interval '1 day', 'moves forward');
select is(tests.record(now() - interval '3 days'), now() - interval '1 day', 'never back');
select is(tests.record(now() - interval '1 day'), now() - interval '1 day', 'and repeats harmlessly');
select is(tests.enqueue('a guest', 'outside') ->> 'outcome', 'cooling_down', 'and the engine respects it');

-- Nonsense, named.
select is(tests.error(format(m.statement, tests.id('nobody'))), m.error, m.sentence) from (values
  ('select public.enqueue_notification(%L, ''inactivity'')', format('PT404 unknown_user {"user_id": "%s"}', tests.id('nobody')), 'enqueue: unknown user'),
  ('select public.should_notify(%L, ''inactivity'')', format('PT404 unknown_user {"user_id": "%s"}', tests.id('nobody')), 'advice: unknown user'),
  ('select public.record_last_triggered(%L, ''inactivity'')', format('PT404 unknown_user {"user_id": "%s"}', tests.id('nobody')), 'record: unknown user'),
  ('select public.evaluate_inactivity(%L, 21)', format('PT404 unknown_user {"user_id": "%s"}', tests.id('nobody')), 'evaluate: unknown user'),
  ('select public.enqueue_notification(tests.id(''a mentor''), ''weather'')', 'PT400 unknown_scenario {"allowed": ["inactivity", "milestone", "certification_expiry", "pastoral_case"], "scenario": "weather"}', 'enqueue: unknown scenario'),
  ('select public.enqueue_notification(tests.id(''a mentor''), ''inactivity'', ''[]'')', 'PT400 context_is_not_an_object', 'enqueue: a context is an object'),
  ('select public.enqueue_notification(tests.id(''a mentor''), ''inactivity'', p_cooldown_days => 0)', 'PT400 cooldown_days_out_of_range {"maximum": 3650, "minimum": 1, "cooldown_days": 0}', 'enqueue: a cooldown has days'),
  ('select public.evaluate_inactivity(tests.id(''a mentor''), 0)', 'PT400 threshold_days_out_of_range {"maximum": 3650, "minimum": 1, "threshold_days": 0}', 'evaluate: a threshold of nothing'),
  ('select public.evaluate_inactivity(tests.id(''a mentor''), 3651)', 'PT400 threshold_days_out_of_range {"maximum": 3650, "minimum": 1, "threshold_days": 3651}', 'evaluate: a threshold of ten years and a day')
) as m (statement, error, sentence);

select * from finish();
rollback;
