-- Whatever changes a person's completed activities leaves marks of the days, in the same transaction; draining counts and deletes them.
begin;
\ir ../helpers.psql
select plan(20);
select tests.populate();

-- The marks since the last look, as "person day, person day", and how many of them ring.
create function tests.marked() returns text language plpgsql as $$
declare
  v_marked text;
begin
  with gone as (delete from private.statistics_marks where true returning user_id, day, rings)
  select format('%s, %s rings', coalesce(string_agg(format('%s %s', p.label, coalesce(gone.day::text, 'all days')), ', ' order by p.label, gone.day), 'nobody'),
    count(*) filter (where gone.rings)) into v_marked
  from gone left join unnest('{mentor,other mentor}'::text[]) p (label) on gone.user_id = tests.id('a ' || p.label);
  return v_marked;
end;
$$;
-- As the next transaction would begin.
create function tests.next_transaction() returns void language sql as $$ select set_config('attend.statistics_bell', '', true) $$;
create function tests.write(p_name text, p_at text, p_status public.activity_status default 'completed') returns void language sql as $$
  insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at, status)
  values (tests.id('a'), tests.id(p_name), tests.id('a mentor'), 'other', p_at::timestamptz, p_status)
$$;
set local time zone 'Europe/Oslo';
delete from public.activities where organization_id = tests.id('a');
select tests.marked();

select tests.next_transaction();
select tests.write('one', '2026-03-01 00:30+01');
select is(tests.marked(), 'mentor 2026-02-28, 1 rings', 'an insert marks the person and the UTC day');
select tests.write('two', '2026-03-01 00:30+00');
select is(tests.marked(), 'mentor 2026-03-01, 0 rings', 'one transaction rings once');
select tests.next_transaction();
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select tests.id('a'), tests.id('a mentor'), 'other', timestamptz '2026-03-05 00:00+00' + make_interval(secs => n) from generate_series(1, 1000) n;
select is(tests.marked(), 'mentor 2026-03-05, 1 rings', 'a thousand rows of a day in one statement are one mark');
select tests.next_transaction();
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select tests.id('a'), p.id, 'other', '2026-03-06 12:00+00' from unnest(array[tests.id('a other mentor'), tests.id('a mentor')]) p (id);
select is(tests.marked(), 'mentor 2026-03-06, other mentor 2026-03-06, 1 rings', 'of several marks of one statement one rings');
delete from public.activities where occurred_at = '2026-03-06 12:00+00';
select tests.marked();
select tests.write('planned', '2026-03-02 12:00+00', 'planned');
select is(tests.marked(), 'nobody, 0 rings', 'what is planned marks nothing');
update public.activities set status = 'completed' where id = tests.id('planned');
select is(tests.marked(), 'mentor 2026-03-02, 0 rings', 'its completion does');
update public.activities set status = 'cancelled' where id = tests.id('planned');
select is(tests.marked(), 'mentor 2026-03-02, 0 rings', 'so does taking it back');
update public.activities set occurred_at = '2026-03-09 12:00+00' where id = tests.id('two');
select is(tests.marked(), 'mentor 2026-03-01, mentor 2026-03-09, 0 rings', 'a move in time marks both days');
update public.activities set user_id = tests.id('a other mentor') where id = tests.id('two');
select is(tests.marked(), 'mentor 2026-03-09, other mentor 2026-03-09, 0 rings', 'a move between people marks both');
update public.activities set duration_minutes = 7 where id = tests.id('nothing');
select is(tests.marked(), 'nobody, 0 rings', 'a statement that changes nothing marks nobody');

insert into public.contacts (organization_id, id) values (tests.id('a'), tests.id('somebody met'));
insert into public.activity_contacts values (tests.id('a'), tests.id('one'), tests.id('somebody met'));
select is(tests.marked(), 'mentor 2026-02-28, 0 rings', 'a contact added marks the activity''s day');
delete from public.contacts where id = tests.id('somebody met');
select is(tests.marked(), 'mentor 2026-02-28, 0 rings', 'so does a contact who is erased');

-- Draining.
select tests.write('three', '2026-03-20 12:00+00');
select is((select public.drain_statistics_marks(2000, '2026-04-01 00:00+00') ->> 'marks'), '1', 'a drain takes what is marked');
select is(tests.marked(), 'nobody, 0 rings', 'and leaves nothing of it');
select is((select s.total_activities from public.activity_statistics s where s.user_id = tests.id('a mentor') and s.period_type = 'day' and s.period_start = '2026-03-20 00:00+00'),
  1, 'the day is counted');
delete from public.activities where id = tests.id('three');
select is((select public.drain_statistics_marks(2000, '2026-04-01 00:00+00') ->> 'marks'), '1', 'a delete is marked, too');
select is((select count(*) from public.activity_statistics s where s.user_id = tests.id('a mentor') and s.period_type = 'day' and s.period_start = '2026-03-20 00:00+00'),
  0::bigint, 'and an emptied day is no row');

-- Rules of Bufdir mark what they cover, at the commit.
set constraints all immediate;
select tests.marked();
insert into public.bufdir_rules values (tests.id('a'), '2026-03-01', 15, false, false);
select is(tests.marked(), 'mentor 2026-03-05, other mentor 2026-03-09, 0 rings', 'a rule marks the days from its date');
insert into public.bufdir_rules values (tests.id('a'), '2026-03-07', 15, false, false);
select is(tests.marked(), 'other mentor 2026-03-09, 0 rings', 'and only until the next one');
delete from public.bufdir_rules where organization_id = tests.id('a') and effective_from = '2026-03-01';
select is(tests.marked(), 'mentor 2026-03-05, 0 rings', 'a rule that goes marks what it covered');

select * from finish();
rollback;
