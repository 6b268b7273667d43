-- What cannot be written into the tables of a school, each by the name that says so.
begin;
\ir ../helpers.psql
\ir rows.psql
select plan(53);
select tests.populate();
select tests.populate_panel();

select is(tests.violated(m.statement), m.name, m.name) from (values
  ('students_organization_id_fkey', 'insert into public.students (organization_id, student_id, full_name) values (tests.id(''c''), 1, ''S'')'),
  ('students_pkey', 'insert into public.students (organization_id, student_id, full_name) values (tests.id(''a''), 1, ''S'')'),
  ('student_name_is_not_blank', 'update public.students set full_name = '' '''),
  ('student_level_is_not_blank', 'update public.students set level = '''''),
  ('checkins_are_not_negative', 'update public.students set checkins = -1'),
  ('checkins_say_when', 'update public.students set checkins = 0 where checkins > 0'),
  ('checkins_say_when', 'update public.students set checkins = 1 where checkins = 0'),
  ('checkins_say_when', 'update public.students set first_checkin_at = null where checkins > 0'),
  ('checkins_say_when', 'update public.students set first_checkin_at = last_checkin_at + interval ''1 day'' where checkins > 0'),
  ('return_is_after_fourteen_days', 'update public.students set left_at = now() where checkins > 0'),
  ('return_is_after_fourteen_days', 'update public.students set left_at = now() - interval ''335 hours'', returned_at = now() where checkins > 0'),
  ('student_attendance_organization_id_student_id_fkey', 'insert into public.student_attendance (organization_id, student_id) values (tests.id(''b''), 2)'),
  ('student_attendance_organization_id_student_id_fkey', 'update public.student_attendance set organization_id = tests.id(''c'') where organization_id = tests.id(''a'')'),
  ('checkin_is_not_in_the_future', 'insert into public.student_attendance (organization_id, student_id, checkin_time) values (tests.id(''a''), 1, now() + interval ''2 minutes'')'),
  ('checkin_is_not_in_the_future', 'update public.student_attendance set checkin_time = ''infinity'''),
  ('checkin_is_not_before_1970', 'update public.student_attendance set checkin_time = ''1969-12-31 23:59:59+00'''),
  ('checkin_is_not_before_1970', 'update public.student_attendance set checkin_time = ''-infinity'''),
  ('minutes_are_of_one_day', 'update public.student_attendance set minutes = -1'),
  ('minutes_are_of_one_day', 'update public.student_attendance set minutes = 1441'),
  ('learning_progress_organization_id_student_id_fkey', 'insert into public.learning_progress (organization_id, student_id, lessons_total) values (tests.id(''b''), 2, 1)'),
  ('learning_progress_pkey', 'insert into public.learning_progress (organization_id, student_id, lessons_total) values (tests.id(''a''), 1, 1)'),
  ('lessons_are_not_negative', 'update public.learning_progress set lessons_completed = -1'),
  ('lessons_are_some', 'update public.learning_progress set lessons_total = 0'),
  ('no_more_lessons_than_there_are', 'update public.learning_progress set lessons_completed = 11'),
  ('score_is_between_0_and_100', 'update public.learning_progress set average_score = 100.01'),
  ('score_is_between_0_and_100', 'update public.learning_progress set average_score = -0.01'),
  ('start_is_finite', 'update public.learning_progress set started_at = ''infinity'''),
  ('progress_is_finite', 'update public.learning_progress set last_progress_at = ''infinity'''),
  ('progress_is_after_the_start', 'update public.learning_progress set last_progress_at = started_at - interval ''1 second'''),
  ('student_notes_organization_id_student_id_fkey', 'update public.student_notes set student_id = 9'),
  ('student_notes_organization_id_author_id_fkey', 'update public.student_notes set author_id = tests.id(''b admin'') where organization_id = tests.id(''a'')'),
  ('student_notes_pkey', 'insert into public.student_notes (organization_id, id, student_id, body) select n.organization_id, n.id, 1, ''N'' from public.student_notes n'),
  ('note_kind_is_known', 'update public.student_notes set kind = ''told off'''),
  ('note_says_something', 'update public.student_notes set body = '' '''),
  ('note_is_of_two_thousand_characters', 'update public.student_notes set body = repeat(''x'', 2001)'),
  ('nothing', 'update public.student_notes set body = '''', kind = ''contacted''')
) as m (name, statement);

-- Settings.
select is(private.is_setting_valid(m.key, m.value::jsonb), m.valid, format('%s %s', m.key, m.value)) from (values
  ('panel_time_zone', '"Europe/Oslo"', true), ('panel_time_zone', '"Atlantis/Capital"', false), ('panel_time_zone', '5', false), ('panel_time_zone', 'null', false),
  ('panel_session_target', '30', true), ('panel_session_target', '0', false), ('panel_session_target', '2.5', false), ('panel_session_target', '"30"', false),
  ('learning_stuck_days', '1', true), ('learning_stuck_days', '1000', false), ('learning_weekly_lessons', '999', true), ('learning_weekly_lessons', '-1', false),
  ('learning_pass_score', '0', true), ('learning_pass_score', '100', true), ('learning_pass_score', '101', false)
) as m (key, value, valid);
select is(tests.violated('insert into public.org_settings_kv values (tests.id(''a''), ''panel_time_zone'', ''"Guayaquil"'')'), 'setting_value_fits_its_key',
  'a time zone nobody knows is refused when it is written');
select is(tests.violated('insert into public.org_settings_kv values (tests.id(''a''), ''panel_session_target'', ''0'')'), 'setting_value_fits_its_key',
  'and a target that would divide by zero');

select * from finish();
rollback;
