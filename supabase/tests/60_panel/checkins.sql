-- What is kept of students follows every way in which check-ins come, change and go.
begin;
\ir ../helpers.psql
\ir rows.psql
select plan(21);
select tests.populate();
select tests.populate_panel();

create function tests.came(p_student integer, variadic p_days_ago integer[]) returns void language sql as $$
  insert into public.student_attendance (organization_id, student_id, checkin_time)
  select tests.id('a'), p_student, now() - make_interval(days => d) from unnest(p_days_ago) d
$$;
create function tests.went(p_student integer, variadic p_days_ago integer[]) returns void language sql as $$
  delete from public.student_attendance a using unnest(p_days_ago) d
  where a.organization_id = tests.id('a') and a.student_id = p_student and a.checkin_time = now() - make_interval(days => d)
$$;

select is(tests.kept(1), '1 20 20', 'a first check-in');
select is(tests.kept(2), '0', 'whoever never came has no first and no last');
select lives_ok('select tests.came(1, 5)'); select is(tests.kept(1), '2 20 5', 'a later one');
select tests.came(1, 30); select is(tests.kept(1), '3 30 5', 'one that was entered late');
select tests.came(1, 10, 40, 3, 3); select is(tests.kept(1), '7 40 3', 'many at once, two of them at one instant');
select tests.went(1, 10); select is(tests.kept(1), '6 40 3', 'one of the middle is deleted');
select tests.went(1, 3); select is(tests.kept(1), '4 40 5', 'the last two are deleted: the one before is the last');
select tests.went(1, 40, 5); select is(tests.kept(1), '2 30 20', 'the first and the last together');
update public.student_attendance set checkin_time = now() - interval '50 days' where student_id = 1 and checkin_time = now() - interval '20 days';
select is(tests.kept(1), '2 50 30', 'the last becomes the first');
update public.student_attendance set minutes = 10; select is(tests.kept(1), '2 50 30', 'minutes change nothing that is kept');
update public.student_attendance set student_id = 2 where organization_id = tests.id('a') and checkin_time = now() - interval '50 days';
select is(tests.kept(1) || ', ' || tests.kept(2), '1 30 30, 1 50 50', 'one was somebody else''s');
with gone as (delete from public.student_attendance where organization_id = tests.id('a') and student_id = 1 returning *)
insert into public.student_attendance (organization_id, student_id, checkin_time, minutes)
select g.organization_id, g.student_id, now() - interval '7 days', g.minutes from gone g;
select is(tests.kept(1), '1 7 7', 'deleted and entered anew by one statement');
insert into public.student_attendance (organization_id, student_id, checkin_time, id) overriding system value
select a.organization_id, a.student_id, a.checkin_time, a.id from public.student_attendance a where a.organization_id = tests.id('a')
union all select tests.id('a'), 1, now() - interval '2 days', 900 union all select tests.id('a'), 1, now() - interval '9 days', 901
on conflict (organization_id, student_id, checkin_time, id) do update set checkin_time = excluded.checkin_time - interval '1 day';
select is(tests.kept(1) || ', ' || tests.kept(2), '3 9 2, 1 51 51', 'some are new and some are corrected by one statement');
delete from public.student_attendance where false; select is(tests.kept(1), '3 9 2', 'a statement that does nothing does nothing');
delete from public.student_attendance where organization_id = tests.id('a') and student_id = 1;
select is(tests.kept(1), '0', 'the last of all');
select tests.came(1, 4);
truncate public.student_attendance;
select is((select string_agg(s.checkins::text, '') from public.students s), '000', 'a truncated table: nobody has been here');
alter table public.student_attendance disable trigger user;
select tests.came(1, 4, 6);
alter table public.student_attendance enable trigger user;
select is(private.recount_checkins(), 1::bigint, 'what was written past the triggers is counted by hand');
select is(tests.kept(1), '2 6 4', 'and right');
select is(private.recount_checkins(tests.id('a')), 0::bigint, 'and then there is nothing to mend');
select lives_ok('delete from public.students', 'whoever is erased takes their check-ins along');

select * from finish();
rollback;
