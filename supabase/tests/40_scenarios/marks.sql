-- Whatever changes a person's activities leaves a mark, in the same transaction; draining evaluates and deletes it.
begin;
\ir ../helpers.psql
select plan(37);
select tests.populate();

-- The marks since the last look, as "person+person", and how many of them ring.
create function tests.marked() returns text language plpgsql as $$
declare
  v_marked text;
begin
  with gone as (delete from private.scenario_marks returning user_id, rings)
  select format('%s, %s rings', coalesce(string_agg(coalesce(u.label, 'somebody'), '+' order by u.label), 'nobody'), count(*) filter (where gone.rings)) into v_marked
  from gone left join (
    select tests.id(o || ' ' || p) as id, p as label from unnest('{a,b}'::text[]) o, unnest('{mentor,other mentor,coordinator,servant,manager,admin,retired admin,guest}'::text[]) p
  ) u on u.id = gone.user_id;
  return v_marked;
end;
$$;
-- As the next transaction would begin.
create function tests.next_transaction() returns void language sql as $$ select set_config('attend.scenario_bell', '', true) $$;
create function tests.write(p_person text, p_count integer default 1) returns void language sql as $$
  insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
  select tests.id('a'), tests.id('a ' || p_person), 'other', now() - interval '30 days' from generate_series(1, p_count)
$$;

select tests.marked();
select tests.next_transaction();
select tests.write('mentor');
select is(tests.marked(), 'mentor, 1 rings', 'an insert marks whose it is');
select tests.write('mentor');
select is(tests.marked(), 'mentor, 0 rings', 'one transaction rings once');
select tests.next_transaction();
select tests.write('mentor', 1000);
select is(tests.marked(), 'mentor, 1 rings', 'a thousand rows in one statement are one mark');
select tests.next_transaction();
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select tests.id('a'), tests.id('a ' || p), 'other', now() - interval '30 days' from unnest('{mentor,other mentor,mentor,servant}'::text[]) p;
select is(tests.marked(), 'mentor+other mentor+servant, 1 rings', 'of three people three, one of which rings');

update public.activities set duration_minutes = 7 where id = tests.id('a mentor pending');
select is(tests.marked(), 'mentor, 0 rings', 'an update marks whose it is');
update public.activities set user_id = tests.id('a other mentor') where id = tests.id('a mentor pending');
select is(tests.marked(), 'mentor+other mentor, 0 rings', 'a move marks both sides');
update public.activities set user_id = tests.id('a mentor') where id = tests.id('a mentor pending');
select tests.marked();
update public.activities set duration_minutes = 7 where id = tests.id('no such activity');
select is(tests.marked(), 'nobody, 0 rings', 'a statement that changes nothing marks nobody');
delete from public.activities where user_id = tests.id('a servant');
select is(tests.marked(), 'servant, 0 rings', 'a delete marks whose it was');
insert into public.activities select * from public.activities where id = tests.id('a mentor pending')
on conflict (organization_id, id) do update set duration_minutes = 9;
select is(tests.marked(), 'mentor, 0 rings', 'an upsert too');

-- Only what is completed counts.
insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at, status)
values (tests.id('a'), tests.id('a plan'), tests.id('a servant'), 'other', now() + interval '1 hour', 'planned');
update public.activities set duration_minutes = 5 where id = tests.id('a plan');
select is(tests.marked(), 'nobody, 0 rings', 'a plan marks nobody');
update public.activities set status = 'completed', occurred_at = now() where id = tests.id('a plan');
select is(tests.marked(), 'servant, 0 rings', 'carried out, it does');
update public.activities set status = 'cancelled' where id = tests.id('a plan');
select is(tests.marked(), 'servant, 0 rings', 'called off after all, too');
delete from public.activities where id = tests.id('a plan');
select is(tests.marked(), 'nobody, 0 rings', 'what was called off is deleted without a mark');

-- Contacts are part of the activity.
insert into public.contacts (organization_id, id) values (tests.id('a'), tests.id('a second contact'));
insert into public.activity_contacts values (tests.id('a'), tests.id('a mentor pending'), tests.id('a second contact'));
select is(tests.marked(), 'mentor, 0 rings', 'a contact added marks whose activity it is');
update public.activity_contacts set activity_id = tests.id('a coordinator pending') where contact_id = tests.id('a second contact');
select is(tests.marked(), 'coordinator+mentor, 0 rings', 'moved, both');
delete from public.contacts where id = tests.id('a second contact');
select is(tests.marked(), 'coordinator, 0 rings', 'a contact that is erased marks everybody who met them');
truncate public.activity_contacts;
select is(tests.marked(), 'admin+admin+coordinator+coordinator+guest+guest+manager+mentor+mentor+other mentor+retired admin+servant, 0 rings', 'a truncate tells nobody which rows there were: everybody is marked');

-- Cascades.
delete from public.users where id = tests.id('a other mentor');
select is(tests.marked(), 'other mentor, 0 rings', 'a person who is erased is marked by the cascade');
delete from public.organizations where id = tests.id('b');
select is(tests.marked(), 'coordinator+mentor, 0 rings', 'an organisation that is erased does not fail on its marks');

-- What is rolled back was not rung for.
select tests.next_transaction();
savepoint before;
select tests.write('mentor');
rollback to savepoint before;
select is(tests.marked(), 'nobody, 0 rings', 'a rollback to a savepoint takes the mark');
select tests.write('mentor');
select is(tests.marked(), 'mentor, 1 rings', 'and the next mark of the transaction rings instead');

-- Who writes need not know of marks.
select tests.next_transaction();
select tests.become('a mentor');
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) values (tests.id('a'), tests.id('a mentor'), 'other', now() - interval '30 days');
select tests.become('postgres');
select is(tests.marked(), 'mentor, 1 rings', 'a mentor who writes her activity is marked');
select tests.become('service');
delete from public.users where id = tests.id('a coordinator');
select tests.become('postgres');
select is(tests.marked(), 'coordinator, 0 rings', 'a service that erases a person too');
truncate public.activities cascade;
select is(tests.marked() ~ '^(admin|.*\+.*), 0 rings$', true, 'a truncate of activities marks everybody');

-- Draining.
create function tests.mark(variadic p_people text[]) returns void language sql as $$
  insert into private.scenario_marks (organization_id, user_id, rings) select tests.id(left(p, 1)), tests.id(p), false from unnest(p_people) p
$$;
select tests.mark('a mentor', 'a mentor', 'a servant', 'a nobody', 'b mentor');
update private.bells set last_rung_at = '-infinity';
select is(public.drain_scenario_marks(100), '{"more": false, "marks": 5, "people": 4, "counts": {"inactivity": {"sent": 1, "not_matched": 1}}, "rang_again": false}',
  'a drain evaluates whom the marks name, once; who is gone is dropped');
select is(tests.marked(), 'nobody, 0 rings', 'and no mark is left');
select is((select count(*) from public.notifications where triggered_at = now()), 1::bigint, 'the notification is there');
select is(public.drain_scenario_marks(100), '{"more": false, "marks": 0, "people": 0, "counts": {}, "rang_again": false}', 'a drain of nothing is nothing');
select tests.mark('a mentor', 'a servant', 'a manager');
select is(public.drain_scenario_marks(2) -> 'more', 'true', 'a limit leaves the rest, and says so');
select is((select count(*) from private.scenario_marks), 1::bigint, 'which waits');
select is(public.drain_scenario_marks(2) -> 'more', 'false', 'the next drain has them');
update private.bells set last_rung_at = clock_timestamp();
select is((tests.error(format('select public.drain_scenario_marks(%s)', l))), format('PT400 limit_out_of_range {"limit": %s, "maximum": 100000, "minimum": 1}', l), format('a limit of %s is refused', l))
from unnest('{0,100001}'::integer[]) l;

-- The clock is the argument's, and a failing evaluation leaves its marks.
update public.users set joined_at = now() - interval '21 days' where id = tests.id('a guest');
select tests.mark('a guest');
select is(public.drain_scenario_marks(1, now() - interval '1 microsecond') -> 'counts', '{"inactivity": {"not_matched": 1}}', 'a microsecond before');
select tests.mark('a guest');
select is(public.drain_scenario_marks(1, now()) -> 'counts', '{"inactivity": {"sent": 1}}', 'and then');
delete from private.cooldowns where user_id = tests.id('a guest');
select tests.mark('a guest');
select is(tests.violated('select public.drain_scenario_marks(1, now())'), 'notifications_once_per_decision', 'an evaluation that fails');
select is(tests.marked(), 'guest, 0 rings', 'keeps the mark');

select * from finish();
rollback;
