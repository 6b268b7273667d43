-- What cannot be written into the tables of a congregation, each by the name that says so.
begin;
\ir ../helpers.psql
\ir rows.psql
select plan(51);
select tests.populate();
select tests.populate_care();

create function tests.a_case(p_columns text, p_values text) returns text language sql as $$
  select format('insert into public.pastoral_cases (organization_id, person_id, absences, absent_since, last_absent_on, opened_at, %s)
    select tests.id(''a''), p.id, 3, ''2026-01-04'', ''2026-01-18'', now(), %s from public.people p where p.id = tests.id(''a new person'')', p_columns, p_values)
$$;
insert into public.people (organization_id, id, full_name) values (tests.id('a'), tests.id('a new person'), 'New');
select is(tests.violated(m.statement), m.name, m.name) from (values
  ('families_organization_id_fkey', 'insert into public.families (organization_id, name) values (tests.id(''c''), ''F'')'),
  ('family_name_is_not_blank', 'update public.families set name = '' '''),
  ('families_organization_id_assigned_servant_id_fkey', 'update public.families set assigned_servant_id = tests.id(''b mentor'') where organization_id = tests.id(''a'')'),
  ('people_organization_id_fkey', 'insert into public.people (organization_id, full_name) values (tests.id(''c''), ''P'')'),
  ('people_organization_id_family_id_fkey', 'update public.people set family_id = tests.id(''b family'') where organization_id = tests.id(''a'')'),
  ('person_name_is_not_blank', 'update public.people set full_name = '''''),
  ('absences_are_not_negative', 'update public.people set consecutive_absences = -1, absent_since = null, last_absent_on = null'),
  ('absences_say_since_when', 'update public.people set consecutive_absences = 0 where consecutive_absences > 0'),
  ('services_organization_id_fkey', 'insert into public.services (organization_id, service_date, kind) values (tests.id(''c''), ''2026-01-04'', ''k'')'),
  ('service_date_is_a_date', 'update public.services set service_date = ''-infinity'''),
  ('service_kind_is_not_blank', 'update public.services set kind = '' '''),
  ('one_service_a_day_and_kind', 'insert into public.services (organization_id, service_date, kind) values (tests.id(''a''), ''2026-01-04'', ''liturgy'')'),
  ('services_pkey', 'insert into public.services (organization_id, id, service_date, kind) values (tests.id(''a''), tests.id(''a service''), ''2026-01-05'', ''liturgy'')'),
  ('attendance_records_organization_id_person_id_fkey', 'update public.attendance_records set person_id = tests.id(''b person'') where organization_id = tests.id(''a'')'),
  ('record_bears_the_date_of_its_service', 'update public.attendance_records set service_date = ''2026-01-05'''),
  ('record_bears_the_date_of_its_service', 'update public.attendance_records set service_id = tests.id(''b service'') where organization_id = tests.id(''a'')'),
  ('one_record_a_person_and_service', 'insert into public.attendance_records (organization_id, person_id, service_id, service_date, status) values (tests.id(''a''), tests.id(''a person''), tests.id(''a service''), ''2026-01-04'', ''present'')'),
  ('check_in_is_not_in_the_future', 'update public.attendance_records set status = ''present'', checked_in_at = now() + interval ''2 minutes'''),
  ('only_who_came_checked_in', 'update public.attendance_records set checked_in_at = now()'),
  ('groups_organization_id_fkey', 'insert into public.groups (organization_id, name) values (tests.id(''c''), ''G'')'),
  ('group_name_is_not_blank', 'update public.groups set name = '''''),
  ('group_memberships_organization_id_group_id_fkey', 'update public.group_memberships set group_id = tests.id(''b group'') where organization_id = tests.id(''a'')'),
  ('group_memberships_organization_id_person_id_fkey', 'update public.group_memberships set person_id = tests.id(''b person'') where organization_id = tests.id(''a'')'),
  ('members_leave_after_they_joined', 'update public.group_memberships set left_on = joined_on - 1'),
  ('volunteering_organization_id_person_id_fkey', 'update public.volunteering set person_id = tests.id(''b person'') where organization_id = tests.id(''a'')'),
  ('volunteering_task_is_not_blank', 'update public.volunteering set task = '''''),
  ('classes_organization_id_fkey', 'insert into public.classes (organization_id, name) values (tests.id(''c''), ''C'')'),
  ('class_name_is_not_blank', 'update public.classes set name = '''''),
  ('class_participations_organization_id_class_id_fkey', 'update public.class_participations set class_id = tests.id(''b class'') where organization_id = tests.id(''a'')'),
  ('class_participations_organization_id_person_id_fkey', 'update public.class_participations set person_id = tests.id(''b person'') where organization_id = tests.id(''a'')'),
  ('donations_organization_id_person_id_fkey', 'update public.donations set person_id = tests.id(''b person'') where organization_id = tests.id(''a'')'),
  ('donation_is_positive', 'update public.donations set amount = 0'),
  ('pastoral_cases_organization_id_person_id_fkey', 'update public.pastoral_cases set person_id = tests.id(''b person'') where id = tests.id(''a case'')'),
  ('pastoral_cases_organization_id_assigned_servant_id_fkey', 'update public.pastoral_cases set assigned_servant_id = tests.id(''b mentor'') where id = tests.id(''a case'')'),
  ('pastoral_cases_one_open', 'insert into public.pastoral_cases (organization_id, person_id, absences, absent_since, last_absent_on, opened_at, status) values (tests.id(''a''), tests.id(''a person''), 3, ''2026-01-04'', ''2026-01-18'', now(), ''in_progress'')'),
  ('case_type_is_known', tests.a_case('type', '''funeral''')),
  ('closed_cases_say_when', tests.a_case('status', '''closed''')),
  ('returned_cases_say_when', tests.a_case('status', '''returned''')),
  ('withdrawn_cases_say_when_and_why', tests.a_case('status, withdrawn_at', '''withdrawn'', now()')),
  ('case_is_last_absent_after_the_first', 'update public.pastoral_cases set last_absent_on = absent_since - 1'),
  ('untold_is_known', tests.a_case('untold', '''maybe''')),
  ('pastoral_contacts_organization_id_case_id_fkey', 'update public.pastoral_contacts set case_id = tests.id(''b case'') where organization_id = tests.id(''a'')'),
  ('pastoral_contacts_organization_id_contacted_by_fkey', 'update public.pastoral_contacts set contacted_by = tests.id(''b admin'') where organization_id = tests.id(''a'')'),
  ('contact_kind_is_known', 'update public.pastoral_contacts set kind = ''letter'''),
  ('contact_is_not_in_the_future', 'update public.pastoral_contacts set contacted_at = now() + interval ''2 minutes'''),
  ('contact_outcome_is_known', 'update public.pastoral_contacts set outcome = ''tea'''),
  ('pastoral_case_events_organization_id_case_id_fkey', 'update public.pastoral_case_events set case_id = tests.id(''b case'') where organization_id = tests.id(''a'')'),
  ('pastoral_case_events_organization_id_actor_id_fkey', 'update public.pastoral_case_events set actor_id = tests.id(''b admin'') where organization_id = tests.id(''a'')'),
  ('case_runs_one_open', 'insert into private.case_runs (as_of) values (now()), (now())')
) as m (name, statement);

-- Both are implied by what they stand beside: a key that a reference needs, and one that a refresh needs.
select index_is_unique('public', 'services', 'service_has_one_date', 'a service has one date');
select index_is_unique('private', 'people_engagement_scores', 'people_engagement_scores_person', 'a person has one score');

select * from finish();
rollback;
