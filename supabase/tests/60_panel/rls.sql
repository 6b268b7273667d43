-- Who sees and writes what of a school. Columns: tests.actors(). Managers read, the secret key writes, and nobody else does anything.
begin;
\ir ../helpers.psql
\ir rows.psql
select plan(42);
select tests.populate();
select tests.populate_panel();

select is(tests.outcomes(m.statement), m.outcomes, m.sentence) from (values
  --                                                                        an st me co se ma ad re ba sv
  ('managers read students', 'select from public.students',                '- 0 0 0 0 2 0 0 0 3 '),
  ('the school adds them', 'insert into public.students (organization_id, student_id, full_name) values (tests.id(''a''), 3, ''S'')', '- - - - - - - - - 1 '),
  ('and changes them', 'update public.students set is_active = false',     '- - - - - - - - - 3 '),
  ('but not what check-ins say of them', 'update public.students set checkins = 0', '- - - - - - - - - - '),
  ('nor at the beginning', 'insert into public.students (organization_id, student_id, full_name, checkins) values (tests.id(''a''), 3, ''S'', 1)', '- - - - - - - - - - '),
  ('and removes them', 'delete from public.students',                      '- - - - - - - - - 3 '),
  ('nobody moves to another school', 'update public.students set organization_id = tests.id(''b'') where student_id = 1 and organization_id = tests.id(''a'')', '- - - - - - - - - 23505 duplicate key value violates unique constraint "students_pkey"'),
  ('managers read check-ins', 'select from public.student_attendance',     '- 0 0 0 0 1 0 0 0 2 '),
  ('the school adds them', 'insert into public.student_attendance (organization_id, student_id) values (tests.id(''a''), 2)', '- - - - - - - - - 1 '),
  ('and corrects them', 'update public.student_attendance set minutes = 50', '- - - - - - - - - 2 '),
  ('and removes them', 'delete from public.student_attendance',            '- - - - - - - - - 2 '),
  ('managers read progress', 'select from public.learning_progress',       '- 0 0 0 0 1 0 0 0 2 '),
  ('the school adds it', 'insert into public.learning_progress (organization_id, student_id, lessons_total) values (tests.id(''a''), 2, 5)', '- - - - - - - - - 1 '),
  ('and changes it', 'update public.learning_progress set lessons_completed = 1', '- - - - - - - - - 2 '),
  ('and removes it', 'delete from public.learning_progress',               '- - - - - - - - - 2 '),

  ('the roster is the managers''', 'select from mgmt.engagement_inactive_roster_v', '- - - - - 2 - - - - '),
  ('so is activity', 'select from mgmt.engagement_student_activity_v',     '- - - - - 1 - - - - '),
  ('and who came back', 'select from mgmt.engagement_recent_reactivated_14d_v', '- - - - - 0 - - - - '),
  ('and the histogram', 'select from mgmt.engagement_session_frequency_30d_v', '- - - - - 9 - - - - '),
  ('and the parts of the day', 'select from mgmt.engagement_daypart_retention_v', '- - - - - 3 - - - - '),
  ('and dual risk', 'select from mgmt.engagement_dual_risk_students_v',    '- - - - - 1 - - - - '),
  ('and the days', 'select from mgmt.engagement_dau_90d_v',                '- - - - - 90- - - - '),
  ('and who learns badly', 'select from mgmt.learning_at_risk_learners_v', '- - - - - 1 - - - - '),
  ('and who is stuck', 'select from mgmt.learning_stuck_students_v',       '- - - - - 1 - - - - '),
  ('what they are made of is no way round', 'select from private.active_students', '- - - - - 1 - - - - '),
  ('nor this', 'select from private.concerned_learners',                   '- - - - - 1 - - - - ')
) as m (sentence, statement, outcomes);

-- Refused with the reason, whether there is anything to see or not.
create function tests.reason(p_actor text, p_statement text) returns text language plpgsql as $$
declare
  v text;
begin
  perform tests.become(p_actor);
  v := tests.error(p_statement);
  perform tests.become('postgres');
  return v;
end;
$$;
select is(tests.reason('a manager', 'update mgmt.engagement_inactive_roster_v set full_name = ''N'''), '55000 cannot update view "engagement_inactive_roster_v" Views containing WITH are not automatically updatable.', 'nobody writes through a view');
select is(tests.reason('a manager', 'insert into mgmt.engagement_student_activity_v (student_id) values (1)'), '55000 cannot insert into view "engagement_student_activity_v" Views that do not select from a single table or view are not automatically updatable.', 'nor adds');
select is(tests.reason('a manager', 'delete from mgmt.engagement_dau_90d_v'), '55000 cannot delete from view "engagement_dau_90d_v" Views containing WITH are not automatically updatable.', 'nor removes');
select is(tests.reason('a coordinator', 'select * from mgmt.engagement_inactive_roster_v'), '42501 only_managers_read_the_panel', 'a coordinator is told why');
select is(tests.reason('stranger', 'select * from mgmt.engagement_student_activity_v'), '42501 only_managers_read_the_panel', 'so is a stranger');
select is(tests.reason('postgres', 'select * from mgmt.engagement_daypart_retention_v'), '42501 only_managers_read_the_panel', 'and the owner, whom no policy holds back');
select is(tests.reason('service', 'select * from mgmt.engagement_inactive_roster_v'), '42501 permission denied for schema mgmt', 'the secret key does not get that far');
truncate public.students cascade;
select is(tests.outcomes(format('select from mgmt.%I', v.viewname)), replace('- - - - - n- - - - ', 'n', rpad(case
    when v.viewname like '%frequency%' then '9' when v.viewname like '%daypart%' then '3' when v.viewname like '%dau%' then '90' else '0' end, 2)),
  v.viewname || ' refuses the others where there is nothing to see, too')
from pg_views v where v.schemaname = 'mgmt';

select * from finish();
rollback;
