-- The views at their very limits. (Over random populations, and at other times of the year: tests/integration/engagement_panel.)
begin;
\ir ../helpers.psql
\ir rows.psql
select plan(13);
select tests.populate();

create function tests.student(p_student integer, variadic p_before interval[]) returns void language sql as $$
  insert into public.students (organization_id, student_id, full_name) values (tests.id('a'), p_student, 'S');
  insert into public.student_attendance (organization_id, student_id, checkin_time)
  select tests.id('a'), p_student, now() - b from unnest(p_before) b;
$$;
create function tests.panel(p_query text) returns text language plpgsql as $$
declare
  v text;
begin
  perform tests.become('a manager');
  execute format('select string_agg(q::text, '' '') from (%s) q', p_query) into v;
  perform tests.become('postgres');
  return v;
end;
$$;

select tests.student(1, interval '4320 hours'); select tests.student(2, interval '4319:59:59.999999'); select tests.student(3, interval '720 hours');
select tests.student(4, interval '336 hours'); select tests.student(5, interval '168 hours'); select tests.student(6, interval '167:59:59.999999');
select tests.student(7, interval '-30 seconds'); select tests.student(8, variadic '{}');
select is(tests.panel('select student_id, inactivity_bucket from mgmt.engagement_inactive_roster_v'),
  '(1,long_term_inactive_180d) (2,dormant_30d) (3,dormant_30d) (4,inactive_14d) (5,inactive_7d) (6,active_recent) (7,active_recent) (8,active_recent)',
  'each limit belongs to the longer absence, the longest absent come first, whoever never came last');
select is(tests.panel('select days_since_last_checkin::numeric(20, 6) from mgmt.engagement_inactive_roster_v where student_id in (1, 5, 7, 8)'),
  '(180.000000) (7.000000) (0.000000) ()', 'days are of 24 hours, never below zero, and null for whoever never came');
select is(tests.panel('select student_id, sessions_30d, avg_days_between_visits from mgmt.engagement_student_activity_v where student_id in (1, 3, 7, 8)'),
  '(1,0,) (3,1,) (7,1,) (8,0,)', 'the thirtieth day counts; one visit has no gap');
select is(tests.panel('select student_id, consistency_score::numeric(20, 6) from mgmt.engagement_student_activity_v where student_id in (1, 3, 7, 8)'),
  '(1,0.000000) (3,0.630631) (7,3.333333) (8,)', '100 * (1 / 30) * (1 / (1 + days / 7))');
insert into public.student_attendance (organization_id, student_id, checkin_time) select tests.id('a'), 7, now() from generate_series(1, 40);
select is(tests.panel('select sessions_30d, consistency_score::numeric(20, 6) from mgmt.engagement_student_activity_v where student_id = 7'),
  '(41,100.000000)', 'more sessions than the target are full marks, and no more');
insert into public.org_settings_kv values (tests.id('a'), 'panel_session_target', '100');
select is(tests.panel('select sessions_30d, consistency_score::numeric(20, 6) from mgmt.engagement_student_activity_v where student_id = 7'),
  '(41,41.000000)', 'the target is the organisation''s own');
select is(tests.panel('select * from mgmt.engagement_session_frequency_30d_v'),
  '(0,3) (1,4) (2,0) (3,0) (4,0) (5,0) (6-7,0) (8-10,0) (11+,1)', 'nine bins, whoever did not come among them');
update public.students set is_active = false where student_id in (3, 8);
select is(tests.panel('select bin_label, student_count from mgmt.engagement_session_frequency_30d_v where student_count > 0'), '(0,2) (1,3) (11+,1)', 'former students are in no bin');

delete from public.students;
select tests.student(1, interval '672 hours', interval '336 hours'); select tests.student(2, interval '671:59:59.999999', interval '336 hours');
select tests.student(3, interval '336 hours', interval '0'); select tests.student(4, interval '700 days', interval '13 days', interval '1 day');
select tests.student(5, interval '3 days'); select tests.student(6, interval '60 days', interval '336:00:00.000001');
select tests.student(7, interval '40 days', interval '20 days', interval '5 days'); select tests.student(8, interval '336 hours', interval '1 hour', interval '0');
select tests.student(9, interval '50 days', interval '335:59:59', interval '-59 seconds');
select is(tests.panel('select student_id, days_inactive_before_return from mgmt.engagement_recent_reactivated_14d_v order by 1'),
  '(1,14) (3,14) (4,687) (7,15) (9,14)', 'fourteen days away, a return of the last fourteen days, however long ago they were last seen');
select is(tests.panel('select return_date = (now() + interval ''59 seconds'' - interval ''5 hours'')::date from mgmt.engagement_recent_reactivated_14d_v where student_id = 9'),
  '(t)', 'the latest return, on its local day (Guayaquil is five hours behind)');

delete from public.students;
select is(tests.panel('select daypart, return_rate is null from mgmt.engagement_daypart_retention_v'), '(morning_08_12,t) (afternoon_12_17,t) (evening_17_20,t)',
  'three parts of the day, without a rate where nobody came');
select is(tests.panel('select count(*), min(d) - max(d), sum(active_students), sum(total_minutes) from mgmt.engagement_dau_90d_v'), '(90,-89,0,0)', 'ninety days, whoever came');

insert into public.students (organization_id, student_id, full_name) select tests.id('a'), n, 'S' from generate_series(1, 4) n;
insert into public.student_attendance (organization_id, student_id, checkin_time) select tests.id('a'), n, now() - interval '30 days' from generate_series(1, 4) n;
insert into public.learning_progress (organization_id, student_id, lessons_completed, lessons_total, average_score, started_at, last_progress_at) values
  (tests.id('a'), 1, 5, 10, null, now() - interval '35 days', now() - interval '14 days'), (tests.id('a'), 2, 4, 10, null, now() - interval '35 days', now() - interval '1 day'),
  (tests.id('a'), 3, 5, 10, 59.99, now() - interval '35 days', now() - interval '1 day'), (tests.id('a'), 4, 10, 10, 1, now() - interval '900 days', now() - interval '800 days');
select is(tests.panel('select student_id, engagement_issue, learning_issue from mgmt.engagement_dual_risk_students_v'),
  '(1,"30+ días",Stalled) (2,"30+ días",Slow) (3,"30+ días","At risk")', 'whoever has finished is at no risk');

select * from finish();
rollback;
