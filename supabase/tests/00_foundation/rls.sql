-- Who sees and changes what of organisations and people. Columns: tests.actors().
begin;
\ir ../helpers.psql
select plan(42);
select tests.populate();

-- a stranger, mentor coordinator servant manager admin retired-admin of a, admin of b, service
select is(tests.outcomes(m.statement), m.outcomes, m.sentence) from (values
  --                                                                                                             an st me co se ma ad re ba sv
  ('people read their organisation', 'select from public.organizations where id = tests.id(''a'')',                '- 0 1 1 1 1 1 1 0 1 '),
  ('nobody reads a second organisation', 'select from public.organizations where id in (tests.id(''a''), tests.id(''b''))', '- 0 1 1 1 1 1 1 1 2 '),
  ('nobody founds an organisation', 'insert into public.organizations (name) values (''c'')',                      '- - - - - - - - - 1 '),
  ('nobody renames an organisation', 'update public.organizations set name = ''c'' where id = tests.id(''a'')',    '- - - - - - - - - 1 '),
  ('nobody deletes an organisation', 'delete from public.organizations where id = tests.id(''b'')',                '- - - - - - - - - 1 '),

  ('people read their organisation''s settings', 'select from public.org_settings_kv where organization_id = tests.id(''a'')', '- 0 1 1 1 1 1 1 0 1 '),
  ('active admins add settings', 'insert into public.org_settings_kv values (tests.id(''a''), ''colour'', ''"red"'')', '- - - - - - 1 - - 1 '),
  ('active admins change settings', 'update public.org_settings_kv set value = ''4'' where organization_id = tests.id(''a'')', '- 0 0 0 0 0 1 0 0 1 '),
  ('no setting moves to another organisation', 'update public.org_settings_kv set organization_id = tests.id(''b''), key = ''moved'' where organization_id = tests.id(''a'')', '- 0 0 0 0 0 - 0 0 1 '),
  ('active admins remove settings', 'delete from public.org_settings_kv where organization_id = tests.id(''a'')', '- 0 0 0 0 0 1 0 0 1 '),

  ('people read themselves, staff their organisation', 'select from public.users where organization_id = tests.id(''a'')', '- 0 1 8 1 8 8 1 0 8 '),
  ('everybody reads themselves', 'select from public.users where id = {me}',                                      '- 0 1 1 1 1 1 1 1 1 '),
  ('nobody adds people', 'insert into public.users (organization_id, full_name, role) values (tests.id(''a''), ''New'', ''admin'')', '- - - - - - - - - 1 '),
  ('people change their own time zone', 'update public.users set time_zone = ''UTC'' where id = {me}',            '- 0 1 1 1 1 1 1 1 1 '),
  ('people change when they are away', 'update public.users set away_from = now(), away_until = now() + interval ''1 day'' where id = {me}', '- 0 1 1 1 1 1 1 1 1 '),
  ('nobody changes somebody else''s time zone', 'update public.users set time_zone = ''UTC'' where id = tests.id(''a other mentor'')', '- 0 0 0 0 0 0 0 0 1 '),
  ('nobody deletes people', 'delete from public.users where id = {me}',                                          '- - - - - - - - - 1 '),

  ('people read their own login', 'select from public.user_logins where organization_id in (tests.id(''a''), tests.id(''b''))', '- 0 1 1 1 1 1 1 1 9 '),
  ('nobody links logins', 'insert into public.user_logins values (tests.id(''login of stranger''), tests.id(''a''), tests.id(''a other mentor''))', '- - - - - - - - - 1 '),
  ('nobody moves a login', 'update public.user_logins set user_id = tests.id(''a other mentor'') where user_id = {me}', '- - - - - - - - - 1 '),
  ('nobody unlinks logins', 'delete from public.user_logins where user_id = {me}',                               '- - - - - - - - - 1 '),

  ('active admins read invitations', 'select from public.invitations where organization_id = tests.id(''a'')',    '- 0 0 0 0 0 1 0 0 1 '),
  ('nobody writes invitations directly', 'insert into public.invitations (organization_id, user_id, email, expires_at) values (tests.id(''a''), tests.id(''a other mentor''), ''x@y.test'', now() + interval ''1 day'')', '- - - - - - - - - 1 '),
  ('nobody changes invitations directly', 'update public.invitations set email = ''x@y.test'' where organization_id = tests.id(''a'')', '- - - - - - - - - 1 '),
  ('nobody deletes invitations', 'delete from public.invitations where organization_id = tests.id(''a'')',       '- - - - - - - - - 1 '),

  ('bells are private', 'select from private.bells limit 1',                                                      '- - - - - - - - - 1 '),
  ('runs are private', 'select from private.runs limit 0',                                                        '- - - - - - - - - 0 '),
  ('slices are private', 'select from private.run_slices limit 0',                                                  '- - - - - - - - - 0 '),
  ('schedules are private', 'select from private.schedules limit 1',                                              '- - - - - - - - - 1 '),
  ('what is kept how long is private', 'select from private.retention limit 1',                                    '- - - - - - - - - 1 '),
  ('and is not the service''s to change', 'update private.retention set keep_for = null',                         '- - - - - - - - - - '),
  ('webhook deliveries are private', 'select from private.webhook_deliveries limit 0',                            '- - - - - - - - - 0 ')
) as m (sentence, statement, outcomes);

-- What a person may not change about herself, column by column; the admin included.
select is(tests.attempt(a.actor, format('update public.users set %I = %s where id = {me}', c.column_name, c.value)), 'refused',
  format('the %s who tries to change her own %s is refused', substr(a.actor, 3), c.column_name))
from (values ('a mentor'), ('a admin')) a (actor)
cross join (values ('role', '''admin'''), ('organization_id', 'tests.id(''b'')'), ('is_active', 'true'), ('joined_at', 'now()')) c (column_name, value);

select is(tests.attempt('a mentor', 'update public.users set time_zone = ''UTC'', role = ''admin'' where id = {me}'), 'refused',
  'a forbidden column takes the allowed one with it');

-- Without a condition nothing of the table is read, and only the policy for updates stands between.
select is(tests.attempt('a admin', 'update public.org_settings_kv set organization_id = tests.id(''b''), key = ''moved'''), 'refused',
  'an admin moves no setting to another organisation, looking or not');

select * from finish();
rollback;
