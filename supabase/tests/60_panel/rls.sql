-- Who sees and writes what of a school. Columns: tests.actors(). Managers read, the secret key writes, and nobody else does anything.
begin;
\ir ../helpers.psql
\ir rows.psql
select plan(66);
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
  ('nor this', 'select from private.concerned_learners',                   '- - - - - 1 - - - - '),

  --                                                                        an st me co se ma ad re ba sv
  ('managers read notes, and the service', 'select from public.student_notes', '- 0 0 0 0 1 0 0 0 2 '),
  ('managers alone add them', 'insert into public.student_notes (student_id, body) values (1, ''N'')', '- - - - - 1 - - - - '),
  ('nobody says whose a note is', 'insert into public.student_notes (student_id, body, author_id) values (1, ''N'', {me})', '- - - - - - - - - - '),
  ('nor of which school', 'insert into public.student_notes (student_id, body, organization_id) values (1, ''N'', tests.id(''a''))', '- - - - - - - - - - '),
  ('nor when', 'insert into public.student_notes (student_id, body, created_at) values (1, ''N'', now())', '- - - - - - - - - - '),
  ('nobody changes one', 'update public.student_notes set body = ''M''', '- - - - - - - - - - '),
  ('managers remove their own', 'delete from public.student_notes',        '- 0 0 0 0 1 0 0 0 - '),
  ('the page''s notes are the managers''', 'select from mgmt.panel_notes',  '- - - - - 1 - - - - '),
  ('and who was followed up', 'select from mgmt.panel_followups',           '- - - - - 1 - - - - '),
  ('and the figures, of all and of a level', 'select from mgmt.panel_figures', '- - - - - 2 - - - - '),
  ('and who reads', 'select from mgmt.panel_reader',                       '- - - - - 1 - - - - '),
  ('and returns', 'select from mgmt.panel_returns',                        '- - - - - 0 - - - - ')
) as m (sentence, statement, outcomes);

-- Another manager of the school reads what is not theirs to remove; whoever has left, or teaches elsewhere, does neither.
insert into public.users (organization_id, id, full_name, role) values
  (tests.id('a'), tests.id('a second manager'), 'Second', 'manager'), (tests.id('b'), tests.id('b manager'), 'Theirs', 'manager');
insert into auth.users (id) select tests.id('login of ' || m) from unnest('{a second manager,b manager}'::text[]) m;
insert into public.user_logins (auth_user_id, organization_id, user_id)
select tests.id('login of ' || m), tests.id(left(m, 1)), tests.id(m) from unnest('{a second manager,b manager}'::text[]) m;
select is(tests.attempt('a second manager', 'select from public.student_notes'), '1', 'notes are read by every manager of the school');
select is(tests.attempt('a second manager', 'delete from public.student_notes'), '0', 'and removed by their author alone');
select is(tests.attempt('b manager', 'select from mgmt.panel_notes where body = ''of a'''), '0', 'another school''s are not there');
select is(tests.attempt('b manager', 'delete from public.student_notes'), '0', 'nor to be removed');
select is(tests.attempt('b manager', 'insert into public.student_notes (student_id, body) values (2, ''N'')'),
  '23503 insert or update on table "student_notes" violates foreign key constraint "student_notes_organization_id_student_id_fkey"',
  'and a number that only their students have is nobody');
select tests.become('a second manager');
insert into public.student_notes (student_id, body) values (1, 'mine');
select tests.become('postgres');
select is(n.author_id, tests.id('a second manager'), 'the author is who is signed in') from public.student_notes n where n.body = 'mine';
update public.users set is_active = false where id = tests.id('a second manager');
select is(tests.attempt('a second manager', 'insert into public.student_notes (student_id, body) values (1, ''N'')'), 'refused', 'whoever has left writes nothing');

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
    when v.viewname like '%frequency%' then '9' when v.viewname like '%daypart%' then '3' when v.viewname like '%dau%' then '90'
    when v.viewname in ('panel_reader', 'panel_figures') then '1' else '0' end, 2)),
  v.viewname || ' refuses the others where there is nothing to see, too')
from pg_views v where v.schemaname = 'mgmt';

select * from finish();
rollback;
