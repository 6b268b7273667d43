-- What cannot be written about activities, and what follows from changing what they hang on.
begin;
\ir ../helpers.psql
select plan(29);
select tests.populate();

create function tests.activity(p_set text) returns text language sql as
$$ select format('update public.activities set %s where id = tests.id(''a mentor pending'')', p_set) $$;

select is(tests.violated(m.statement), m.name, m.name) from (values
  ('activity_type_id_is_a_slug', 'insert into public.activity_types values (tests.id(''a''), ''Home Visit'', ''x'', ''other'')'),
  ('activity_type_label_is_not_blank', 'insert into public.activity_types values (tests.id(''a''), ''x'', '' '', ''other'')'),
  ('activity_types_pkey', 'insert into public.activity_types values (tests.id(''a''), ''other'', ''x'', ''other'')'),
  ('activity_types_organization_id_fkey', 'insert into public.activity_types values (tests.id(''c''), ''x'', ''x'', ''other'')'),
  ('contacts_organization_id_fkey', 'insert into public.contacts values (tests.id(''c''))'),
  ('contacts_pkey', 'insert into public.contacts values (tests.id(''a''), tests.id(''a contact''))'),
  ('activities_pkey', 'insert into public.activities select * from public.activities where id = tests.id(''a mentor pending'')'),
  ('duration_is_between_zero_and_a_week', tests.activity('duration_minutes = -1')),
  ('duration_is_between_zero_and_a_week', tests.activity('duration_minutes = 10081')),
  ('occurred_at_is_not_before_1970', tests.activity('occurred_at = ''1969-12-31 23:59:59+00''')),
  ('occurred_at_is_not_before_1970', tests.activity('occurred_at = ''-infinity''')),
  ('completed_is_not_in_the_future', tests.activity('occurred_at = now() + interval ''61 seconds''')),
  -- References into another organisation.
  ('activities_organization_id_user_id_fkey', tests.activity('user_id = tests.id(''b mentor'')')),
  ('activities_organization_id_activity_type_id_fkey', tests.activity('activity_type_id = ''knitting''')),
  ('activities_organization_id_proxy_registered_by_fkey', tests.activity('proxy_registered_by = tests.id(''b admin'')')),
  ('activity_contacts_organization_id_activity_id_fkey', 'insert into public.activity_contacts values (tests.id(''a''), tests.id(''b mentor pending''), tests.id(''a contact''))'),
  ('activity_contacts_organization_id_contact_id_fkey', 'insert into public.activity_contacts values (tests.id(''a''), tests.id(''a mentor pending''), tests.id(''b contact''))'),
  ('activity_contacts_pkey', 'insert into public.activity_contacts values (tests.id(''a''), tests.id(''a mentor pending''), tests.id(''a contact''))'),
  ('activities_organization_id_activity_type_id_fkey', 'delete from public.activity_types where id = ''home-visit''')
) as m (name, statement);

select is(tests.violated(tests.activity(changes)), 'nothing', changes || ' is allowed') from unnest(array[
  'duration_minutes = 10080', 'occurred_at = now() + interval ''1 minute''',
  'occurred_at = now() + interval ''1 year'', status = ''planned''']) changes;
select is(tests.violated(tests.activity('occurred_at = now() + interval ''1 year'', status = ''planned''') || '; ' || tests.activity('status = ''completed''')),
  'completed_is_not_in_the_future', 'what is planned for later is not completed today');

insert into public.organizations (id, name) select tests.id('bulk ' || n), 'Bulk' from generate_series(1, 3) n;
select is((select string_agg(distinct t.id || ' ' || t.category, ', ') from public.activity_types t where t.organization_id = tests.id('bulk 3')),
  'group-meeting group, home-visit home_visit, other other, phone-call phone_call', 'every new organisation starts with the well-known types');

update public.activity_types set id = 'visit' where organization_id = tests.id('a') and id = 'home-visit';
select is((select count(*) from public.activities where activity_type_id = 'visit'), 4::bigint, 'a renamed type takes its activities along');

update public.activities set proxy_registered_by = tests.id('a admin') where id = tests.id('a other mentor pending');
delete from public.users where id = tests.id('a admin');
select results_eq($$select user_id, proxy_registered_by from public.activities where id = tests.id('a other mentor pending')$$,
  $$values (tests.id('a other mentor'), null::uuid)$$, 'without who typed it, an activity is still whose it is');
delete from public.contacts where id = tests.id('a contact');
select is((select count(*) from public.activities where organization_id = tests.id('a')), 4::bigint, 'an activity outlives its contacts');
delete from public.users where id = tests.id('a mentor');
select is((select count(*) from public.activities where organization_id = tests.id('a')), 2::bigint, 'and goes with its person');
delete from public.organizations where id = tests.id('b');
select is((select count(*) from public.activities where organization_id = tests.id('b')), 0::bigint, 'an organisation takes everything with it');

select * from finish();
rollback;
