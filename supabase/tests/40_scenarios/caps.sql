-- How much a person is told on one of their days, and what goes first.
begin;
\ir ../helpers.psql
select plan(41);
insert into public.organizations (id, name, time_zone) values (tests.id('k'), 'Caps', 'Europe/Oslo');
insert into public.users (organization_id, id, full_name, role, joined_at) values
  (tests.id('k'), tests.id('k mentor'), 'Mentor', 'peer_mentor', '2024-01-01 00:00+00'), (tests.id('k'), tests.id('k far'), 'Far', 'peer_mentor', '2024-01-01 00:00+00');
update public.users set time_zone = 'America/New_York' where id = tests.id('k far');
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, threshold_days, priority) values
  (tests.id('k'), tests.id('k low'), 'inactivity', 'low', true, 21, 10), (tests.id('k'), tests.id('k high'), 'inactivity', 'high', true, 30, 200), (tests.id('k'), tests.id('k middle'), 'inactivity', 'middle', true, 25, 50);

create function tests.cap(p_cap integer) returns void language sql as $$
  insert into public.org_settings_kv values (tests.id('k'), 'notification_daily_cap', to_jsonb(p_cap))
  on conflict (organization_id, key) do update set value = excluded.value
$$;
-- As "rule gate, …", in the order of the names.
create function tests.gates(p_now timestamptz, p_person text default 'mentor') returns text language sql as $$
  select string_agg(r.name || ' ' || g.gate, ', ' order by r.name)
  from private.scenario_gates(tests.id('k'), null, null, array[tests.id('k ' || p_person)], private.rules_of(tests.id('k'), null), p_now, null) g
  join public.scenario_rules r on r.id = g.rule_id
$$;
create function tests.decide(p_now timestamptz, p_person text default 'mentor') returns jsonb language sql as
$$ select public.evaluate_people(tests.id('k'), array[tests.id('k ' || p_person)], p_now) #> '{counts,inactivity}' $$;
create function tests.told(p_person text default 'mentor') returns text language sql as $$
  select coalesce(string_agg(r.name, ' ' order by n.triggered_at, r.name), 'nothing') from public.notifications n join public.scenario_rules r on r.id = n.rule_id where n.user_id = tests.id('k ' || p_person)
$$;
create function tests.forget() returns void language sql as $$
  delete from public.notifications where organization_id = tests.id('k');
  delete from private.cooldowns where organization_id = tests.id('k');
  delete from private.held_decisions where organization_id = tests.id('k');
$$;

-- Priority is real: all scenarios of a person are decided together.
select is(tests.gates('2024-02-10 12:00+00'), 'high would_send, low would_send, middle would_send', 'without a cap all are told');
select tests.cap(1);
select is(tests.gates('2024-02-10 12:00+00'), 'high would_send, low capped, middle capped', 'with a cap of one the highest priority, though it crossed last');
select tests.cap(2);
select is(tests.gates('2024-02-10 12:00+00'), 'high would_send, low capped, middle would_send', 'with two the two highest');
select is(tests.gates('2024-01-27 12:00+00'), 'high not_matched, low would_send, middle would_send', 'what does not match takes no place');
select tests.cap(1);
update public.scenario_rules set priority = 100;
select is(tests.gates('2024-02-10 12:00+00'), 'high capped, low would_send, middle capped', 'of equals what crossed first');
update public.scenario_rules set threshold_days = 21;
select is((select subject from private.scenario_gates(tests.id('k'), null, null, array[tests.id('k mentor')], private.rules_of(tests.id('k'), null), '2024-02-10 12:00+00', null) where gate = 'would_send'),
  (select min(id::text) from public.scenario_rules), 'and of those the lowest subject, so that it is the same whenever it is asked');
update public.scenario_rules set priority = case name when 'low' then 10 when 'middle' then 50 else 200 end;

-- Capped takes nothing, and is tried again the next local day.
select is(tests.decide('2024-02-10 12:00+00'), '{"sent": 1, "capped": 2}', 'decided so');
select is(tests.told(), 'high', 'one is told');
select is((select count(*) from private.cooldowns where organization_id = tests.id('k')), 1::bigint, 'the others take no cooldown');
select results_eq($$select r.name, h.gate, h.look_again_at from private.held_decisions h join public.scenario_rules r on r.id = h.rule_id order by 1$$,
  $$values ('low', 'capped', timestamptz '2024-02-10 23:00+00'), ('middle', 'capped', '2024-02-10 23:00+00')$$, 'they are looked at again at midnight in Oslo');
select is(tests.gates('2024-02-10 22:59:59.999999+00'), 'high cooling_down, low capped, middle capped', 'not before');
select is((select eligible_again_at from private.scenario_gates(tests.id('k'), null, null, array[tests.id('k mentor')], private.rules_of(tests.id('k'), null), '2024-02-10 20:00+00', null) where rule_id = tests.id('k low')),
  '2024-02-10 23:00+00', 'which is said');
select is(tests.decide('2024-02-10 23:00+00'), '{"sent": 1, "capped": 1, "cooling_down": 1}', 'at midnight the next');
select is(tests.told(), 'high middle', 'in the order of priority');
select is(tests.decide('2024-02-11 12:00+00'), '{"capped": 1, "cooling_down": 2}', 'for this day is full, too');
select is(tests.decide('2024-02-12 12:00+00'), '{"sent": 1, "cooling_down": 2}', 'and the last a day later');
select is((select count(*) from private.held_decisions where organization_id = tests.id('k')), 0::bigint, 'nothing is held any more');
select results_eq($$select release_on from public.notifications where user_id = tests.id('k mentor') order by 1$$, $$values (date '2024-02-10'), ('2024-02-11'), ('2024-02-12')$$, 'one for each of her days');

-- Days are the person's.
select is(tests.decide('2024-02-10 12:00+00', 'far'), '{"sent": 1, "capped": 2}', 'another''s day is another''s');
select is(tests.decide('2024-02-11 04:59:59.999999+00', 'far'), '{"capped": 2, "cooling_down": 1}', 'in New York it is still the tenth');
select is(tests.decide('2024-02-11 05:00+00', 'far'), '{"sent": 1, "capped": 1, "cooling_down": 1}', 'and now it is not');
-- On the days that a clock change makes 23 and 25 hours long.
select is((select g.look_again_at from unnest(private.delivery_gates(tests.id('k'), array[row(tests.id('k mentor'), 'inactivity', s, null, 14, null, '{}', null, 100, false, false)::private.notification_claim,
    row(tests.id('k mentor'), 'inactivity', s || '2', null, 14, null, '{}', null, 100, false, false)::private.notification_claim], t::timestamptz, null)) g where g.gate = 'capped'), u::timestamptz, sentence)
from (values ('a', '2026-03-29 00:30+00', '2026-03-29 22:00+00', 'Oslo''s shortest day'), ('b', '2026-10-25 00:30+00', '2026-10-25 23:00+00', 'Oslo''s longest day')) v (s, t, u, sentence);

-- What was taken back makes room; what was only for the app counts; coordinators' copies do not.
select tests.forget();
select tests.decide('2024-02-10 12:00+00');
update public.notifications set retracted_at = '2024-02-10 13:00+00' where organization_id = tests.id('k');
select is(tests.gates('2024-02-10 14:00+00'), 'high cooling_down, low capped, middle would_send', 'what was retracted leaves its place');
update public.notifications set retracted_at = null, read_at = now() where organization_id = tests.id('k');
select is(tests.gates('2024-02-10 14:00+00'), 'high cooling_down, low capped, middle capped', 'what was read does not');
select tests.forget();
insert into public.notification_preferences values (tests.id('k'), tests.id('k mentor'), 'all', 'push', false);
select is(tests.decide('2024-02-10 12:00+00'), '{"sent": 1, "capped": 2}', 'without push');
select is(tests.gates('2024-02-10 14:00+00'), 'high cooling_down, low capped, middle capped', 'the day is full all the same');
delete from public.notification_preferences where organization_id = tests.id('k');
select tests.forget();
insert into public.notifications (organization_id, user_id, scenario, subject, triggered_at, about_user_id) values (tests.id('k'), tests.id('k mentor'), 'inactivity', 'x', '2024-02-10 11:00+00', tests.id('k far'));
select is(tests.gates('2024-02-10 12:00+00'), 'high would_send, low capped, middle capped', 'what somebody is told of another takes no place');
-- Nobody takes a place who is not told anyway.
update public.scenario_rules set max_reminders = 1 where name = 'high';
select tests.decide('2024-02-10 12:00+00');
select is(tests.gates('2024-03-10 12:00+00'), 'high enough_reminders, low capped, middle would_send', 'enough reminders take no place');
update public.notifications set read_at = now() where organization_id = tests.id('k');
insert into public.notification_preferences values (tests.id('k'), tests.id('k mentor'), 'inactivity', 'all', false);
select is(tests.gates('2024-03-10 12:00+00'), 'high enough_reminders, low opted_out, middle opted_out', 'opting out comes before the cap');
update public.scenario_rules set is_mandatory = true where name = 'low';
select is(tests.gates('2024-03-10 12:00+00'), 'high enough_reminders, low would_send, middle opted_out', 'a mandatory rule is told whatever the preference');
select tests.decide('2024-03-10 12:00+00');
select is(tests.told(), 'high low', 'so it is');
update public.scenario_rules set is_mandatory = true where name = 'middle';
select is(tests.gates('2024-03-10 13:00+00'), 'high enough_reminders, low cooling_down, middle capped', 'but not beyond the cap');
delete from public.notification_preferences where organization_id = tests.id('k');

-- Senders outside share the day.
select tests.forget();
create function tests.enqueue(p_subject text, p_now timestamptz) returns jsonb language sql as
$$ select public.enqueue_notification(tests.id('k mentor'), 'inactivity', '{}', p_subject, 1, p_now) $$;
select is(tests.enqueue('one', '2024-02-10 12:00+00') ->> 'outcome', 'sent', 'the first of the day');
select is(tests.enqueue('two', '2024-02-10 12:00+00'), '{"outcome": "capped", "notification_id": null, "until": "2024-02-10T23:00:00+00:00"}', 'the second is capped, and until when');
select is(tests.gates('2024-02-10 12:00+00'), 'high capped, low capped, middle capped', 'what was sent from outside fills the day');
select is(tests.enqueue('two', '2024-02-10 23:00+00') ->> 'outcome', 'sent', 'the next day it is sent');

-- A milestone that is capped is not recorded: tomorrow it is told.
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, thresholds, priority) values (tests.id('k'), tests.id('k milestone'), 'milestone', 'milestone', true, '{1,2}', 1);
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) select tests.id('k'), tests.id('k far'), 'other', '2024-03-01 12:00+00' from generate_series(1, 2);
select tests.forget();
insert into public.notifications (organization_id, user_id, scenario, subject, triggered_at, release_on) values (tests.id('k'), tests.id('k far'), 'inactivity', 'x', '2024-03-01 13:00+00', '2024-03-01');
create function tests.milestones(p_now timestamptz) returns jsonb language sql as
$$ select public.evaluate_people(tests.id('k'), array[tests.id('k far')], p_now) #> '{counts,milestone}' $$;
select is(tests.milestones('2024-03-01 14:00+00'), '{"capped": 1, "superseded": 1}', 'reached on a full day');
select is((select count(*) from public.achievements where organization_id = tests.id('k')), 0::bigint, 'nothing is recorded, of the lower one neither');
select is(tests.milestones('2024-03-02 14:00+00'), '{"sent": 1, "superseded": 1}', 'told on the next');
select is((select string_agg(a.outcome, ' ' order by a.threshold) from public.achievements a where a.organization_id = tests.id('k')), 'superseded celebrated', 'and recorded');

select * from finish();
rollback;
