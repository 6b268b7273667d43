-- Whatever changes a person, or their activities, certificates or preferences, leaves a mark, in the same transaction; draining evaluates and deletes it.
begin;
\ir ../helpers.psql
select plan(52);
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

-- How many marks a change of a person makes. Leaves nothing behind.
create function tests.marks_of(p_change text) returns text language plpgsql as $$
declare
  v_marks bigint;
begin
  delete from private.scenario_marks;
  execute format('update public.users set %s where id = tests.id(''a other mentor'')', p_change);
  select count(*) into v_marks from private.scenario_marks;
  raise exception using errcode = 'TT000', message = v_marks::text;
exception when others then return sqlerrm;
end;
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
select is(tests.marked(), 'coordinator+mentor+mentor+mentor, 0 rings', 'an organisation that is erased does not fail on its marks: activities, preferences, certificates');

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

-- Certificates.
select tests.marked(), tests.next_transaction();
insert into public.certificates (organization_id, id, user_id, name, expires_at)
select tests.id('a'), tests.id('a driving ' || p), tests.id('a ' || p), 'Driving', now() + interval '1 year' from unnest('{mentor,servant,mentor}'::text[]) with ordinality as x (p, n) where n < 3;
select is(tests.marked(), 'mentor+servant, 1 rings', 'a certificate marks its holder');
update public.certificates set revoked_at = now() where id = tests.id('a driving servant');
select is(tests.marked(), 'servant, 0 rings', 'changed, too');
update public.certificates set user_id = tests.id('a manager') where id = tests.id('a driving servant');
select is(tests.marked(), 'manager+servant, 0 rings', 'handed on, both');
update public.certificates set revoked_at = now() where id = tests.id('no such certificate');
select is(tests.marked(), 'nobody, 0 rings', 'a statement that changes nothing marks nobody');
delete from public.certificates where name = 'Driving';
select is(tests.marked(), 'manager+mentor, 0 rings', 'taken away, too');
select tests.become('a admin');
insert into public.certificates (organization_id, user_id, name, expires_at) values (tests.id('a'), tests.id('a servant'), 'Driving', now());
select tests.become('postgres');
select is(tests.marked(), 'servant, 0 rings', 'whoever certifies need not know of marks');

-- Preferences.
insert into public.notification_preferences values (tests.id('a'), tests.id('a servant'), 'all', 'all', false), (tests.id('a'), tests.id('a servant'), 'inactivity', 'push', false);
select is(tests.marked(), 'servant, 0 rings', 'a preference marks whose it is, once');
update public.notification_preferences set is_enabled = true where user_id = tests.id('a servant');
select is(tests.marked(), 'servant, 0 rings', 'changed, too');
delete from public.notification_preferences where user_id = tests.id('a servant');
select is(tests.marked(), 'servant, 0 rings', 'withdrawn, too');
select tests.become('a mentor');
insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled) values (tests.id('a'), tests.id('a mentor'), 'milestone', false);
select tests.become('postgres');
select is(tests.marked(), 'mentor, 0 rings', 'whoever opts out need not know of marks');

-- People: whatever a rule reads of them.
insert into public.users (organization_id, id, full_name, role, joined_at) values
  (tests.id('a'), tests.id('a other mentor'), 'old', 'peer_mentor', now() - interval '23 hours' - interval '1 microsecond'), (tests.id('a'), tests.id('a new'), 'new', 'peer_mentor', now() - interval '23 hours');
select is(tests.marked(), 'other mentor, 0 rings', 'who joined long ago is marked; who joined today cannot be late for anything');
select is((select string_agg(tests.marks_of(c.change), ' ') from unnest(array['role = ''servant''', 'is_active = false', 'joined_at = now()', 'reactivated_at = now()', 'away_from = now()', 'time_zone = ''UTC''']) c (change)), '1 1 1 1 1 1', 'each of what rules read');
select is((select string_agg(tests.marks_of(c.change), ' ') from unnest(array['full_name = ''Another''', 'role = role', 'is_active = true']) c (change)), '0 0 0', 'and nothing else');
update public.users set away_from = now() - interval '2 days' where id = tests.id('a other mentor');
select tests.marked();
update public.users set away_until = now() + interval '2 days' where id in (tests.id('a other mentor'), tests.id('no such person'));
select is(tests.marked(), 'other mentor, 0 rings', 'the end of an absence, too');
select tests.become('a mentor');
update public.users set time_zone = 'Europe/Paris' where id = tests.id('a mentor');
select tests.become('postgres');
select is(tests.marked(), 'mentor, 0 rings', 'whoever travels need not know of marks');
delete from public.users where id in (tests.id('a other mentor'), tests.id('a new'));
select tests.marked();

-- Draining. (That a rule is new is another matter: ticks.sql.)
update private.rule_clocks set evaluated_until = now();
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
select tests.marked();
select tests.mark('a guest');
select is(public.drain_scenario_marks(1, now() - interval '1 microsecond') -> 'counts', '{"inactivity": {"not_matched": 1}}', 'a microsecond before');
select tests.mark('a guest');
select is(public.drain_scenario_marks(1, now()) -> 'counts', '{"inactivity": {"sent": 1}}', 'and then');
delete from private.cooldowns where user_id = tests.id('a guest');
select tests.mark('a guest');
create function tests.be_interrupted() returns trigger language plpgsql as $$ begin raise exception using errcode = 'deadlock_detected', message = 'a rival'; end $$;
create trigger be_interrupted before insert on public.notifications for each row execute function tests.be_interrupted();
select is(tests.error('select public.drain_scenario_marks(100, now())'), '40P01 a rival', 'an evaluation that fails through nobody''s fault');
select is((select count(*) from private.scenario_marks), 1::bigint, 'keeps the mark');
drop trigger be_interrupted on public.notifications;

select * from finish();
rollback;
