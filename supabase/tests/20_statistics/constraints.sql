-- What cannot be written about statistics, rules of Bufdir and reports, whoever writes. The warning that is written all the same.
begin;
\ir ../helpers.psql
select plan(52);
select tests.populate();
delete from private.statistics_marks;
insert into public.bufdir_rules values (tests.id('a'), '2026-01-01', 15, false, false);

-- A day row of the mentor, with some columns as given.
create function tests.row_with(p_columns text, p_values text, p_type text default 'day', p_start text default '2026-03-02', p_end text default '2026-03-03')
returns text language sql as $$
  select format($insert$insert into public.activity_statistics (organization_id, user_id, period_type, period_start, period_end %s)
    values (tests.id('a'), tests.id('a mentor'), %L, %L, %L %s)$insert$, ', ' || nullif(p_columns, ''), p_type, p_start::timestamptz, p_end::timestamptz, ', ' || nullif(p_values, ''))
$$;
set local time zone 'UTC';

-- The rules of the source document, by their names.
select is(tests.violated(m.statement), m.name, m.name) from (values
  ('period_start_before_end', tests.row_with('', '', 'day', '2026-03-03', '2026-03-02')),
  ('period_start_before_end', tests.row_with('', '', 'day', '2026-03-02', '2026-03-02')),
  ('user_belongs_to_organization', 'update public.activity_statistics set user_id = tests.id(''b mentor'') where user_id = tests.id(''a mentor'') and period_type = ''all_time'''),
  ('user_belongs_to_organization', 'update public.activity_statistics set user_id = tests.id(''nobody'') where user_id = tests.id(''a mentor'') and period_type = ''all_time'''),
  ('computed_at_not_future', tests.row_with('computed_at', 'now() + interval ''61 seconds''')),
  ('nothing', tests.row_with('computed_at', 'now() + interval ''59 seconds''')),
  ('one_row_per_user_period', 'insert into public.activity_statistics (organization_id, user_id, period_type) values (tests.id(''a''), tests.id(''a mentor''), ''all_time'')'),
  ('one_row_per_user_period', tests.row_with('', '') || ', (tests.id(''a''), tests.id(''a mentor''), ''day'', ''2026-03-02'', ''2026-03-03'')'),
  ('activity_statistics_pkey', 'insert into public.activity_statistics (organization_id, id, user_id, period_type) select organization_id, id, tests.id(''a nobody''), ''all_time'' from public.activity_statistics where user_id = tests.id(''a mentor'') and period_type = ''all_time''')
) as m (name, statement);
select is(tests.violated(tests.row_with(c, '-1')), 'counts_non_negative', c || ' is not negative') from unnest('{total_activities,total_duration_minutes,unique_contacts_reached,
  home_visit_count,phone_call_count,group_activity_count,proxy_activity_count,streak_days,bufdir_eligible_count}'::text[]) c;

-- Bounds fit their type.
select is(tests.violated(tests.row_with('', '', b.type, b.start, b.until)), 'nothing', format('%s from %s to %s', b.type, b.start, b.until)) from (values
  ('day', '2024-02-29', '2024-03-01'), ('week', '2024-12-30', '2025-01-06'), ('month', '2024-02-01', '2024-03-01'), ('month', '2023-02-01', '2023-03-01'),
  ('quarter', '2024-10-01', '2025-01-01'), ('year', '2024-01-01', '2025-01-01')) b (type, start, until);
select is(tests.violated(tests.row_with('', '', b.type, b.start, b.until)), 'period_bounds_fit_period_type', format('no %s from %s to %s', b.type, b.start, b.until)) from (values
  ('day', '2026-03-02', '2026-03-04'), ('day', '2026-03-02 01:00', '2026-03-03 01:00'), ('week', '2026-03-01', '2026-03-08'), ('week', '2026-03-02', '2026-03-08'),
  ('month', '2023-02-01', '2023-02-28'), ('quarter', '2026-02-01', '2026-05-01'), ('quarter', '2026-01-01', '2026-03-31'), ('year', '2024-01-01', '2024-12-31'),
  ('all_time', '2026-01-01', '2027-01-01'), ('day', null, null), ('year', '2026-01-01', null), ('month', null, '2026-02-01')) b (type, start, until);
select is(tests.violated('insert into public.activity_statistics (organization_id, user_id, period_type) values (tests.id(''a''), tests.id(''a mentor''), ''decade'')'),
  '22P02 invalid input value for enum statistics_period: "decade"', 'an unknown period type is named');

-- Windows are UTC whatever the session's time zone is.
set local time zone 'Pacific/Auckland';
select is(tests.violated(tests.row_with('', '', 'day', '2026-03-02 00:00+00', '2026-03-03 00:00+00')), 'nothing', 'a UTC day, from elsewhere');
select is(tests.violated(tests.row_with('', '', 'day', '2026-03-02', '2026-03-03')), 'period_bounds_fit_period_type', 'no day of elsewhere');
set local time zone 'UTC';

select is(tests.violated(m.statement), m.name, m.name) from (values
  ('activity_type_breakdown_is_an_object', tests.row_with('activity_type_breakdown', '''[1]''')),
  ('min_duration_is_between_zero_and_a_day', 'update public.bufdir_rules set min_duration_minutes = -1'),
  ('min_duration_is_between_zero_and_a_day', 'update public.bufdir_rules set min_duration_minutes = 1441'),
  ('bufdir_rules_pkey', 'insert into public.bufdir_rules select * from public.bufdir_rules'),
  ('bufdir_rules_organization_id_fkey', 'insert into public.bufdir_rules values (tests.id(''c''), ''2026-01-01'', 0, false, false)'),
  ('report_title_is_not_blank', 'insert into public.team_reports (organization_id, period_type, title, figures) values (tests.id(''a''), ''all_time'', '' '', ''{}'')'),
  ('period_bounds_fit_period_type', 'insert into public.team_reports (organization_id, period_type, title, figures, period_start) values (tests.id(''a''), ''all_time'', ''t'', ''{}'', now())'),
  ('team_reports_organization_id_fkey', 'insert into public.team_reports (organization_id, period_type, title, figures) values (tests.id(''c''), ''all_time'', ''t'', ''{}'')'),
  ('team_reports_organization_id_frozen_by_fkey', 'insert into public.team_reports (organization_id, period_type, title, figures, frozen_by) values (tests.id(''a''), ''all_time'', ''t'', ''{}'', tests.id(''b admin''))'),
  ('statistics_warnings_organization_id_user_id_fkey', 'insert into public.statistics_warnings (organization_id, user_id, rule, details) values (tests.id(''a''), tests.id(''b mentor''), ''r'', ''{}'')')
) as m (name, statement);

-- type_breakdown_keys_valid is a warning: written and recorded.
insert into public.activity_statistics (organization_id, user_id, period_type, period_start, period_end, activity_type_breakdown)
values (tests.id('a'), tests.id('a mentor'), 'day', '2026-03-02', '2026-03-03', '{"skydiving": 2, "home-visit": 1, "diving": 3}');
select results_eq('select user_id, rule, details -> ''unknown_types'' from public.statistics_warnings',
  $$values (tests.id('a mentor'), 'type_breakdown_keys_valid', '["diving", "skydiving"]'::jsonb)$$, 'a row that names unknown types is written, and which they are is recorded');
update public.activity_statistics set activity_type_breakdown = '{"home-visit": 1}' where period_type = 'day';
select is((select count(*) from public.statistics_warnings), 1::bigint, 'known types are no warning');
insert into public.activity_types values (tests.id('b'), 'diving', 'Diving', 'other');
update public.activity_statistics set activity_type_breakdown = '{"diving": 1}' where period_type = 'day' and period_start = '2026-03-02';
select is((select count(*) from public.statistics_warnings), 2::bigint, 'a type of another organisation is unknown');

select * from finish();
rollback;
