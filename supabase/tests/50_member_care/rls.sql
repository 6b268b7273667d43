-- Who sees and writes what of a congregation. Columns: tests.actors().
begin;
\ir ../helpers.psql
\ir rows.psql
select plan(89);
select tests.populate();
select tests.populate_care();
refresh materialized view private.people_engagement_scores;

select is(tests.outcomes(m.statement), m.outcomes, m.sentence) from (values
  --                                                                        an st me co se ma ad re ba sv
  ('staff read families', 'select from public.families',                   '- 0 0 1 1 1 1 0 1 2 '),
  ('coordinators and admins add them', 'insert into public.families (organization_id, name) values (tests.id(''a''), ''F'')', '- - - 1 - - 1 - - 1 '),
  ('and change them', 'update public.families set name = ''F''',          '- 0 0 1 0 0 1 0 1 2 '),
  ('no family moves away', 'update public.families set organization_id = tests.id(''b''), assigned_servant_id = null where organization_id = tests.id(''a'')', '- 0 0 - 0 0 - 0 0 23503 update or delete on table "families" violates foreign key constraint "people_organization_id_family_id_fkey" on table "people"'),
  ('and remove them', 'delete from public.families',                      '- 0 0 1 0 0 1 0 1 2 '),
  ('staff read people', 'select from public.people',                       '- 0 0 2 2 2 2 0 1 3 '),
  ('coordinators and admins add them', 'insert into public.people (organization_id, full_name) values (tests.id(''a''), ''P'')', '- - - 1 - - 1 - - 1 '),
  ('and change them', 'update public.people set status = ''inactive'' where id = tests.id(''a person'')', '- 0 0 1 0 0 1 0 0 1 '),
  ('nobody writes what attendance says of them', 'update public.people set at_risk_flag = true', '- - - - - - - - - - '),
  ('nor at the beginning', 'insert into public.people (organization_id, full_name, consecutive_absences) values (tests.id(''a''), ''P'', 3)', '- - - - - - - - - - '),
  ('and remove them', 'delete from public.people where id = tests.id(''a person'')', '- 0 0 1 0 0 1 0 0 1 '),
  ('staff read services', 'select from public.services',                   '- 0 0 1 1 1 1 0 1 2 '),
  ('servants enter them, too', 'insert into public.services (organization_id, service_date, kind) values (tests.id(''a''), ''2026-01-11'', ''liturgy'')', '- - - 1 1 - 1 - - 1 '),
  ('and change them', 'update public.services set kind = ''vespers''',    '- 0 0 1 1 0 1 0 1 2 '),
  ('and remove them', 'delete from public.services',                      '- 0 0 1 1 0 1 0 1 2 '),
  ('staff read attendance', 'select from public.attendance_records',       '- 0 0 1 1 1 1 0 1 2 '),
  ('servants take it, too', 'insert into public.attendance_records (organization_id, person_id, service_id, service_date, status) values (tests.id(''a''), tests.id(''a loner''), tests.id(''a service''), ''2026-01-04'', ''present'')', '- - - 1 1 - 1 - - 1 '),
  ('and correct it', 'update public.attendance_records set status = ''present''', '- 0 0 1 1 0 1 0 1 2 '),
  ('nobody says when it was entered', 'update public.attendance_records set recorded_at = now()', '- - - - - - - - - - '),
  ('and delete it', 'delete from public.attendance_records',              '- 0 0 1 1 0 1 0 1 2 '),
  ('staff read groups', 'select from public.groups',                       '- 0 0 1 1 1 1 0 1 2 '),
  ('coordinators and admins add them', 'insert into public.groups (organization_id, name) values (tests.id(''a''), ''G'')', '- - - 1 - - 1 - - 1 '),
  ('and change them', 'update public.groups set name = ''G''',            '- 0 0 1 0 0 1 0 1 2 '),
  ('and remove them', 'delete from public.groups',                        '- 0 0 1 0 0 1 0 1 2 '),
  ('staff read memberships', 'select from public.group_memberships',       '- 0 0 1 1 1 1 0 1 2 '),
  ('servants add them', 'insert into public.group_memberships (organization_id, group_id, person_id) values (tests.id(''a''), tests.id(''a group''), tests.id(''a loner''))', '- - - 1 1 - 1 - - 1 '),
  ('and end them', 'update public.group_memberships set left_on = ''2026-02-01''', '- 0 0 1 1 0 1 0 1 2 '),
  ('and remove them', 'delete from public.group_memberships',             '- 0 0 1 1 0 1 0 1 2 '),
  ('staff read volunteering', 'select from public.volunteering',           '- 0 0 1 1 1 1 0 1 2 '),
  ('servants enter it', 'insert into public.volunteering (organization_id, person_id, volunteered_on, task) values (tests.id(''a''), tests.id(''a loner''), ''2026-01-01'', ''T'')', '- - - 1 1 - 1 - - 1 '),
  ('and change it', 'update public.volunteering set task = ''T''',        '- 0 0 1 1 0 1 0 1 2 '),
  ('and remove it', 'delete from public.volunteering',                    '- 0 0 1 1 0 1 0 1 2 '),
  ('staff read classes', 'select from public.classes',                     '- 0 0 1 1 1 1 0 1 2 '),
  ('coordinators and admins add them', 'insert into public.classes (organization_id, name) values (tests.id(''a''), ''C'')', '- - - 1 - - 1 - - 1 '),
  ('and change them', 'update public.classes set name = ''C''',           '- 0 0 1 0 0 1 0 1 2 '),
  ('and remove them', 'delete from public.classes',                       '- 0 0 1 0 0 1 0 1 2 '),
  ('staff read who took part', 'select from public.class_participations',  '- 0 0 1 1 1 1 0 1 2 '),
  ('servants enter it', 'insert into public.class_participations (organization_id, class_id, person_id, participated_on) values (tests.id(''a''), tests.id(''a class''), tests.id(''a loner''), ''2026-01-01'')', '- - - 1 1 - 1 - - 1 '),
  ('and change it', 'update public.class_participations set participated_on = ''2026-01-02''', '- 0 0 1 1 0 1 0 1 2 '),
  ('and remove it', 'delete from public.class_participations',            '- 0 0 1 1 0 1 0 1 2 '),

  ('managers and admins see money', 'select from public.donations',        '- 0 0 0 0 1 1 0 1 2 '),
  ('admins enter it', 'insert into public.donations (organization_id, person_id, donated_on, amount) values (tests.id(''a''), tests.id(''a loner''), ''2026-01-01'', 5)', '- - - - - - 1 - - 1 '),
  ('and change it', 'update public.donations set amount = 5',             '- 0 0 0 0 0 1 0 1 2 '),
  ('and remove it', 'delete from public.donations',                       '- 0 0 0 0 0 1 0 1 2 '),

  ('servants read their cases, managers and admins all', 'select from public.pastoral_cases', '- 0 0 0 1 2 2 0 1 3 '),
  ('the unassigned are a managers'' and admins'' list', 'select from public.unassigned_pastoral_cases', '- 0 0 0 0 1 1 0 1 - '),
  ('nobody makes a case by hand', 'insert into public.pastoral_cases (organization_id, person_id, absences, absent_since, last_absent_on, opened_at, status, returned_on) values (tests.id(''a''), tests.id(''a person''), 3, ''2026-01-04'', ''2026-01-18'', now(), ''returned'', ''2026-02-01'')', '- - - - - - - - - 1 '),
  ('nobody changes one but by work_case', 'update public.pastoral_cases set notes = ''n'' where id = tests.id(''a case'')', '- - - - - - - - - 1 '),
  ('nobody makes one disappear', 'delete from public.pastoral_cases',      '- - - - - - - - - - '),
  ('whoever reads the case reads its contacts', 'select from public.pastoral_contacts', '- 0 0 0 1 1 1 0 1 2 '),
  ('nobody invents a visit', 'insert into public.pastoral_contacts (organization_id, case_id, kind, contacted_at, outcome) values (tests.id(''a''), tests.id(''a case''), ''home_visit'', now(), ''reached'')', '- - - - - - - - - - '),
  ('nobody changes one', 'update public.pastoral_contacts set outcome = ''not_reached''', '- - - - - - - - - - '),
  ('nobody removes one', 'delete from public.pastoral_contacts',           '- - - - - - - - - - '),
  ('whoever reads the case reads its trail', 'select from public.pastoral_case_events', '- 0 0 0 1 2 2 0 1 3 '),
  ('nobody writes the trail', 'insert into public.pastoral_case_events (organization_id, case_id, changes) values (tests.id(''a''), tests.id(''a case''), ''{}'')', '- - - - - - - - - - '),
  ('nobody changes it', 'update public.pastoral_case_events set changes = ''{}''', '- - - - - - - - - - '),
  ('nobody removes from it', 'delete from public.pastoral_case_events',    '- - - - - - - - - - '),

  ('a case is worked by its servant and by admins', 'select public.work_case(tests.id(''a case''), ''closed'')', '- PT404 unknown_casePT404 unknown_casePT404 unknown_case1 PT404 unknown_case1 PT404 unknown_casePT404 unknown_case- '),
  ('and so is a contact logged', 'select public.log_contact(tests.id(''a case''), ''home_visit'', ''reached'')', '- PT404 unknown_casePT404 unknown_casePT404 unknown_case1 PT404 unknown_case1 PT404 unknown_casePT404 unknown_case- '),
  ('a case is given to somebody by admins alone', 'select public.reassign_case(tests.id(''a case''), tests.id(''a coordinator''))', '- - - - - - 1 - PT404 unknown_case- '),

  ('staff read engagement scores of their organisation', 'select from public.people_engagement_scores', '- 0 0 2 2 2 2 0 1 - '),
  ('nobody reads behind that', 'select from private.people_engagement_scores', '- - - - - - - - - - '),
  ('nobody computes them', 'select private.compute_engagement(now())',     '- - - - - - - - - - '),
  ('nobody refreshes them', 'select private.refresh_engagement_scores()',  '- - - - - - - - - - '),

  ('marks are private', 'select from private.care_marks limit 0',          '- - - - - - - - - 0 '),
  ('nobody but the service marks', 'delete from private.care_marks',       '- - - - - - - - - 0 '),
  ('the ledger is private', 'select from private.case_runs limit 0',       '- - - - - - - - - 0 '),
  ('nobody forgets a run', 'delete from private.case_runs',                '- - - - - - - - - - '),
  ('nobody generates', 'select public.auto_generate_absence_pastoral_cases()', '- - - - - - - - - 1 '),
  ('nobody runs the night', 'select public.work_case_run()',               '- - - - - - - - - 1 '),
  ('nobody drains', 'select public.drain_care_marks(1)',                   '- - - - - - - - - 1 ')
) as m (sentence, statement, outcomes);

-- Money, and what is left of a score without it.
insert into public.org_settings_kv (organization_id, key, value) values (tests.id('a'), 'engagement_targets', '{"donations": 10}');
insert into public.donations (organization_id, person_id, donated_on, amount) values (tests.id('a'), tests.id('a person'), current_date, 10);
update public.group_memberships set joined_on = current_date where organization_id = tests.id('a');
refresh materialized view private.people_engagement_scores;
create function tests.score(p_actor text) returns text language plpgsql as $$
declare
  v text;
begin
  perform tests.become(p_actor);
  select concat_ws(' ', s.score, s.groups_part, coalesce(s.donations_90d::text, 'none'), coalesce(s.donations_part::text, 'none')) into v
  from public.people_engagement_scores s where s.person_id = tests.id('a person');
  perform tests.become('postgres');
  return v;
end;
$$;
select is(tests.score('a manager'), '30.00 1.0000 10.00 1.0000', 'a manager sees money, and the score with it');
select is(tests.score('a servant'), '22.22 1.0000 none none', 'a servant sees neither, and the score without it: it cannot be worked out');
select is(tests.score('b admin'), null, 'another organisation''s admin sees nothing');

-- Bad input that no constraint has a name for.
select is(tests.error('insert into public.services (organization_id, service_date, kind) values (tests.id(''a''), current_date + 2, ''liturgy'')'),
  format('23514 service_is_not_in_the_future {"service_date": "%s"}', current_date + 2), 'a service of the future is refused');
select is(tests.error('update public.services set service_date = current_date + 2'),
  format('23514 service_is_not_in_the_future {"service_date": "%s"}', current_date + 2), 'and none is moved there');
select is(tests.violated('insert into public.scenario_rules (organization_id, type, name, is_enabled) values (tests.id(''a''), ''pastoral_case'', ''n'', true)'),
  'rule_type_is_known', 'no rule decides pastoral cases');
select is(tests.error('select public.preview_rule(tests.id(''a''), ''{"type": "pastoral_case", "name": "n", "is_enabled": false}'')'),
  'PT400 unknown_scenario {"allowed": ["inactivity", "milestone", "certification_expiry"], "scenario": "pastoral_case"}', 'and the API says so');
select is(tests.error('select public.dry_run_scenarios(tests.id(''a''), null, null, 500, ''pastoral_case'')'),
  'PT400 unknown_scenario {"allowed": ["inactivity", "milestone", "certification_expiry"], "scenario": "pastoral_case"}', 'nor is it dry-run');
select lives_ok('insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled) values (tests.id(''a''), tests.id(''a servant''), ''pastoral_case'', false)',
  'but it can be switched off');
select is(tests.error('select public.drain_care_marks(0)'), 'PT400 limit_out_of_range {"limit": 0, "maximum": 100000, "minimum": 1}', 'a drain of nothing is refused');
select is(tests.error('select public.work_case_run(now(), 0)'), 'PT400 limit_out_of_range {"limit": 0, "maximum": 10000, "minimum": 1}', 'and a run of nothing');

-- Settings.
select is(private.is_setting_valid(m.key, m.value::jsonb), m.valid, format('%s %s', m.key, m.value)) from (values
  ('recase_after_days', '28', true), ('recase_after_days', '0', false),
  ('engagement_weights', '{"attendance": 0}', true), ('engagement_weights', '{"attendance": -1}', false),
  ('engagement_weights', '{"attendance": 0, "groups": 0, "volunteering": 0, "classes": 0, "donations": 0}', false),
  ('engagement_weights', '{"prayer": 1}', false), ('engagement_targets', '{"donations": 0}', false)
) as m (key, value, valid);

select * from finish();
rollback;
