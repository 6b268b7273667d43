-- How often one spell of inactivity is told, and what becomes of spells that began before a rule was switched on.
begin;
\ir ../helpers.psql
select plan(34);
insert into public.organizations (id, name) values (tests.id('r'), 'Reminders');
insert into public.users (organization_id, id, full_name, role, joined_at) values (tests.id('r'), tests.id('r mentor'), 'Mentor', 'peer_mentor', '2024-01-01 00:00+00');
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('r'), tests.id('r rule'), 'inactivity', 'quiet', true);

create function tests.decide(p_now timestamptz) returns text language sql as $$
  select (select string_agg(k, '+') from jsonb_object_keys(public.evaluate_people(tests.id('r'), array[tests.id('r mentor')], p_now) #> '{counts,inactivity}') k)
$$;
create function tests.gate(p_now timestamptz) returns table (gate text, crossed_at timestamptz, eligible_again_at timestamptz) language sql as $$
  select g.gate, g.crossed_at, g.eligible_again_at
  from private.scenario_gates(tests.id('r'), null, null, array[tests.id('r mentor')], private.rules_of(tests.id('r'), null), p_now, null) g
$$;
create function tests.act(p_at timestamptz) returns void language sql as $$
  insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) values (tests.id('r'), tests.id('r mentor'), 'other', p_at)
$$;
create function tests.forget() returns void language sql as $$
  delete from public.notifications where organization_id = tests.id('r');
  delete from private.cooldowns where organization_id = tests.id('r');
  delete from private.held_decisions where organization_id = tests.id('r');
$$;

-- Three in a spell, two weeks apart.
select is(tests.decide('2024-01-21 23:59:59.999999+00'), 'not_matched', 'before the threshold');
select is(tests.decide('2024-01-22 00:00+00'), 'sent', 'at it: the first');
select is(tests.decide('2024-02-04 23:59:59.999999+00'), 'cooling_down', 'within the cooldown');
select is(tests.decide('2024-02-05 00:00+00'), 'sent', 'after it: the second');
select is(tests.decide('2024-02-19 00:00+00'), 'sent', 'the third');
select is(tests.decide('2024-02-20 00:00+00'), 'enough_reminders', 'no more in this spell');
select is(tests.decide('2024-08-01 00:00+00'), 'enough_reminders', 'however long it lasts');
select results_eq($$select gate, crossed_at, rule_version, look_again_at from private.held_decisions where user_id = tests.id('r mentor')$$,
  $$values ('enough_reminders', timestamptz '2024-01-22 00:00+00', 1, null::timestamptz)$$, 'why not is kept');
select is((select count(distinct crossed_at) from public.notifications where organization_id = tests.id('r')), 1::bigint, 'all three are about one crossing');
-- Activity ends the spell.
select tests.act('2024-08-02 00:00+00');
select is(tests.decide('2024-08-02 00:00+00'), 'not_matched', 'an activity');
select is(tests.decide('2024-08-23 00:00+00'), 'sent', 'begins a new spell');
select is((select count(*) from private.held_decisions where user_id = tests.id('r mentor')), 0::bigint, 'and what held it back is forgotten');
-- A notification that was taken back has reminded nobody.
update public.notifications set retracted_at = triggered_at where triggered_at = '2024-08-23 00:00+00';
select is(array[tests.decide('2024-09-06 00:00+00'), tests.decide('2024-09-20 00:00+00'), tests.decide('2024-10-04 00:00+00'), tests.decide('2024-10-18 00:00+00')],
  '{sent,sent,sent,enough_reminders}', 'what was retracted does not count');
-- The document's wording: once.
update public.scenario_rules set max_reminders = 1;
select tests.act('2024-11-01 00:00+00');
select is(array[tests.decide('2024-11-22 00:00+00'), tests.decide('2024-12-24 00:00+00')], '{sent,enough_reminders}', 'with one reminder a spell is told once');
update public.scenario_rules set max_reminders = 2;
select is(tests.decide('2024-12-24 00:00+00'), 'sent', 'a rule that is changed reminds as it now says');
-- An absence and being active again are anchors, too.
update public.users set away_from = '2024-12-25', away_until = '2025-01-02' where id = tests.id('r mentor');
select is(tests.decide('2025-01-22 23:59:59.999999+00'), 'not_matched', 'after an absence');
select is(tests.decide('2025-01-23 00:00+00'), 'sent', 'a new spell');

-- Skip: the rule acts as if it had been on all the time.
select tests.forget();
delete from public.activities where organization_id = tests.id('r');
update public.users set away_from = null, away_until = null where id = tests.id('r mentor');
update public.scenario_rules set max_reminders = 3, activation = 'skip', effective_from = '2024-02-10 00:00+00';
-- It would have told on 22 January and 5 February.
select results_eq($$select * from tests.gate('2024-02-10 00:00+00')$$, $$values ('before_effective', timestamptz '2024-01-22 00:00+00', timestamptz '2024-02-19 00:00+00')$$, 'a spell from before is not told at once, but when its next reminder is due');
select is(tests.decide('2024-02-18 23:59:59.999999+00'), 'before_effective', 'not a microsecond sooner');
select is((select look_again_at from private.held_decisions where user_id = tests.id('r mentor')), '2024-02-19 00:00+00', 'when it is looked at again');
select is(tests.decide('2024-02-19 00:00+00'), 'sent', 'then');
select is(tests.decide('2024-03-04 00:00+00'), 'enough_reminders', 'the two that were skipped count');
select tests.forget();
update public.scenario_rules set effective_from = '2024-03-04 00:00:00.000001+00';
select is(tests.decide('2024-04-01 00:00+00'), 'enough_reminders', 'a spell that had all its reminders before has no more');
update public.scenario_rules set effective_from = '2024-02-05 00:00+00';
select results_eq($$select gate, eligible_again_at from tests.gate('2024-02-05 00:00+00')$$, $$values ('would_send', null::timestamptz)$$, 'a reminder due at that very moment is told');
update public.scenario_rules set effective_from = '2024-01-22 00:00+00';
select is((select gate from tests.gate('2024-01-22 00:00+00')), 'would_send', 'as is a crossing at that very moment');
update public.scenario_rules set effective_from = '2024-01-22 00:00:00.000001+00';
select is((select eligible_again_at from tests.gate('2024-01-23 00:00+00')), '2024-02-05 00:00+00', 'a microsecond later it waits for the next');

-- All, and spread.
update public.scenario_rules set activation = 'all', effective_from = '2024-06-01';
select is((select gate from tests.gate('2024-06-01')), 'would_send', 'all: everybody at once');
update public.scenario_rules set activation = 'spread', spread_days = 10;
select results_eq($$select g.gate, g.eligible_again_at >= '2024-06-01', g.eligible_again_at < '2024-06-11' from tests.gate('2024-06-01'::timestamptz - interval '1 microsecond') g$$,
  $$values ('before_effective', true, true)$$, 'spread: within the days');
create function tests.hour() returns timestamptz language sql as $$ select g.eligible_again_at from tests.gate('2024-06-01'::timestamptz - interval '1 microsecond') g $$;
select is(tests.decide(tests.hour() - interval '1 microsecond'), 'before_effective', 'nobody sooner than at their hour');
select is(tests.decide(tests.hour()), 'sent', 'and everybody then');
insert into public.users (organization_id, id, full_name, role, joined_at) select tests.id('r'), tests.id('crowd ' || n), 'Crowd', 'peer_mentor', '2024-01-01' from generate_series(1, 2000) n;
create temporary table hours as
select extract(epoch from g.eligible_again_at - timestamptz '2024-06-01') / 3600 as hour
from private.scenario_gates(tests.id('r'), null, null, (select array_agg(id) from public.users where full_name = 'Crowd'), private.rules_of(tests.id('r'), null), '2024-06-01'::timestamptz - interval '1 microsecond', null) g;
select is((select count(*) from hours), 2000::bigint, 'of a crowd');
select ok((select min(hour) >= 0 and max(hour) <= 239 and bool_and(hour = trunc(hour)) from hours), 'each has an hour of the 240');
select ok((select max(n) < 30 and count(*) > 200 from (select count(*) as n from hours group by hour) h), 'and the hours are about evenly taken');
select tests.forget();
update public.scenario_rules set effective_from = '2023-12-01';
select is((select gate from tests.gate('2024-01-22')), 'would_send', 'who crosses after it took effect is not spread');

select * from finish();
rollback;
