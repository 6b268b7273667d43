-- Who sees and changes activities, and what hangs on them. Columns: tests.actors().
begin;
\ir ../helpers.psql
select plan(45);
select tests.populate();
insert into public.contacts (organization_id, id) values (tests.id('a'), tests.id('a second contact'));

select is(tests.outcomes(m.statement), m.outcomes, m.sentence) from (values
  --                                                                                                             an st me co se ma ad re ba sv
  ('people read their organisation''s activity types', 'select from public.activity_types where organization_id = tests.id(''a'')', '- 0 4 4 4 4 4 4 0 4 '),
  ('active admins add activity types', 'insert into public.activity_types values (tests.id(''a''), ''walk'', ''Walk'', ''other'')', '- - - - - - 1 - - 1 '),
  ('active admins change activity types', 'update public.activity_types set label = ''Else'' where organization_id = tests.id(''a'') and id = ''other''', '- 0 0 0 0 0 1 0 0 1 '),
  ('no activity type moves to another organisation', 'update public.activity_types set organization_id = tests.id(''b''), id = ''moved'' where organization_id = tests.id(''a'') and id = ''other''', '- 0 0 0 0 0 - 0 0 1 '),
  ('nobody deletes activity types', 'delete from public.activity_types where organization_id = tests.id(''a'') and id = ''other''', '- - - - - - - - - 1 '),

  ('active people read contacts', 'select from public.contacts where organization_id = tests.id(''a'')',            '- 0 2 2 0 2 2 0 0 2 '),
  ('active mentors, coordinators and admins add contacts', 'insert into public.contacts (organization_id) values (tests.id(''a''))', '- - 1 1 - - 1 - - 1 '),
  ('coordinators name contacts', 'update public.contacts set display_name = ''N'' where id = tests.id(''a contact'')', '- 0 0 1 0 0 1 0 0 1 '),
  ('nothing else of a contact changes', 'update public.contacts set created_at = now() where id = tests.id(''a contact'')', '- - - - - - - - - 1 '),
  ('nobody deletes contacts', 'delete from public.contacts where id = tests.id(''a contact'')',                     '- - - - - - - - - 1 '),

  ('people read their own activities, staff the organisation''s', 'select from public.activities where organization_id = tests.id(''a'')', '- 0 2 4 0 4 4 0 0 4 '),
  ('nobody of a reads those of b', 'select from public.activities where organization_id = tests.id(''b'')',         '- 0 0 0 0 0 0 0 3 3 '),
  ('mentors add their own', 'insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) values (tests.id(''a''), {me}, ''other'', now())', '- - 1 1 - - 1 - - 1 '),
  ('nobody adds their own as approved', 'insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, approval) values (tests.id(''a''), {me}, ''other'', now(), ''approved'')', '- - - - - - - - - 1 '),
  ('nobody is their own proxy', 'insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, proxy_registered_by) values (tests.id(''a''), {me}, ''other'', now(), {me})', '- - - - - - - - - 1 '),
  ('coordinators add by proxy, and sign', 'insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, proxy_registered_by) values (tests.id(''a''), tests.id(''a other mentor''), ''other'', now(), {me})', '- - - 1 - - 1 - - 1 '),
  ('nobody adds for another unsigned', 'insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) values (tests.id(''a''), tests.id(''a other mentor''), ''other'', now())', '- - - - - - - - - 1 '),
  ('nobody signs as somebody else', 'insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, proxy_registered_by) values (tests.id(''a''), tests.id(''a other mentor''), ''other'', now(), tests.id(''a guest''))', '- - - - - - - - - 1 '),
  ('nobody says when the database learned of it', 'insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, recorded_at) values (tests.id(''a''), {me}, ''other'', now(), now())', '- - - - - - - - - 1 '),
  ('a mentor changes what is pending', 'update public.activities set duration_minutes = 5 where id = tests.id(''a mentor pending'')', '- 0 1 1 0 0 1 0 0 1 '),
  ('a mentor does not change what is approved', 'update public.activities set duration_minutes = 5 where id = tests.id(''a mentor approved'')', '- 0 0 1 0 0 1 0 0 1 '),
  ('a mentor''s activity is approved by others', 'update public.activities set approval = ''approved'' where id = tests.id(''a mentor pending'')', '- 0 - 1 0 0 1 0 0 1 '),
  ('a coordinator''s too', 'update public.activities set approval = ''approved'' where id = tests.id(''a coordinator pending'')', '- 0 0 - 0 0 1 0 0 1 '),
  ('an admin''s own is not approved by rejecting it first', 'update public.activities set approval = ''rejected'' where user_id = {me} and approval = ''pending''', '- 0 - - 0 0 0 0 0 1 '),
  ('nobody takes over what is approved', 'update public.activities set user_id = {me} where id = tests.id(''a mentor approved'')', '- 0 0 - 0 0 - 0 0 1 '),
  ('a mentor gives nothing of theirs to others', 'update public.activities set user_id = tests.id(''a other mentor'') where id = tests.id(''a mentor pending'')', '- 0 - 1 0 0 1 0 0 1 '),
  ('no activity changes its organisation', 'update public.activities set organization_id = organization_id where id = tests.id(''a mentor pending'')', '- - - - - - - - - 1 '),
  ('nobody rewrites when it was recorded', 'update public.activities set recorded_at = now() where id = tests.id(''a mentor pending'')', '- - - - - - - - - 1 '),
  ('nobody rewrites who registered it', 'update public.activities set proxy_registered_by = null where id = tests.id(''a mentor pending'')', '- - - - - - - - - 1 '),
  ('a mentor removes what is pending', 'delete from public.activities where id = tests.id(''a mentor pending'')',    '- 0 1 1 0 0 1 0 0 1 '),
  ('a mentor does not remove what is approved', 'delete from public.activities where id = tests.id(''a mentor approved'')', '- 0 0 1 0 0 1 0 0 1 '),

  ('contacts are read with their activity', 'select from public.activity_contacts where organization_id = tests.id(''a'')', '- 0 2 4 0 4 4 0 0 4 '),
  ('contacts are added to pending activities', 'insert into public.activity_contacts values (tests.id(''a''), tests.id(''a mentor pending''), tests.id(''a second contact''))', '- - 1 1 - - 1 - - 1 '),
  ('a mentor adds none to approved ones', 'insert into public.activity_contacts values (tests.id(''a''), tests.id(''a mentor approved''), tests.id(''a second contact''))', '- - - 1 - - 1 - - 1 '),
  ('nor to others''', 'insert into public.activity_contacts values (tests.id(''a''), tests.id(''a other mentor pending''), tests.id(''a second contact''))', '- - - 1 - - 1 - - 1 '),
  ('contacts are not rewritten', 'update public.activity_contacts set contact_id = tests.id(''a second contact'') where activity_id = tests.id(''a mentor pending'')', '- - - - - - - - - 1 '),
  ('contacts are removed from pending activities', 'delete from public.activity_contacts where activity_id = tests.id(''a mentor pending'')', '- 0 1 1 0 0 1 0 0 1 '),
  ('a mentor removes none from approved ones', 'delete from public.activity_contacts where activity_id = tests.id(''a mentor approved'')', '- 0 0 1 0 0 1 0 0 1 ')
) as m (sentence, statement, outcomes);

-- Without a condition nothing of the table is read, and only the policy for updates stands between.
select is(tests.attempt('a admin', 'update public.activity_types set organization_id = tests.id(''b''), id = ''moved'''), 'refused',
  'an admin moves no activity type to another organisation, looking or not');

-- In two steps, as somebody would who looks for a way round.
select tests.become('a coordinator');
select is(tests.attempt('a coordinator', $$with moved as (update public.activities set user_id = tests.id('a mentor'), approval = 'approved'
  where id = tests.id('a coordinator pending') returning 1) select from moved$$), '1', 'a coordinator may say that an activity was a mentor''s');
update public.activities set user_id = tests.id('a mentor'), approval = 'approved' where id = tests.id('a coordinator pending');
select throws_ok($$update public.activities set user_id = tests.id('a coordinator') where id = tests.id('a coordinator pending')$$, '42501', null,
  'and cannot take it back approved');
select tests.become('postgres');

-- Row level security does not ask about TRUNCATE: only the privilege does.
select is(tests.outcomes('truncate public.activities cascade'), '- - - - - - - - - - ', 'nobody truncates activities');
select is(tests.outcomes('truncate public.contacts cascade'), '- - - - - - - - - - ', 'nor contacts');

-- Policies speak of who is signed in now, not of who was when the transaction began.
select tests.become('a mentor');
select is((select count(*) from public.activities), 3::bigint, 'a mentor sees theirs, and what was moved to them');
select tests.become('b admin');
select is((select count(*) from public.activities), 3::bigint, 'the next person in the same transaction sees their own organisation''s');

select * from finish();
rollback;
