-- People's preferences and notifications are theirs alone; what waits to be sent is nobody's. Columns: tests.actors().
begin;
\ir ../helpers.psql
select plan(22);
select tests.populate();

select is(tests.outcomes(m.statement), m.outcomes, m.sentence) from (values
  --                                                                                                             an st me co se ma ad re ba sv
  ('people read their own preferences', 'select from public.notification_preferences where organization_id = tests.id(''a'')', '- 0 1 0 0 0 0 0 0 1 '),
  ('people set their own preferences', 'insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled) values (tests.id(''a''), {me}, ''inactivity'', false)', '- - 1 1 1 1 1 1 - 1 '),
  ('nobody sets another''s', 'insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled) values (tests.id(''a''), tests.id(''a other mentor''), ''all'', false)', '- - - - - - - - - 1 '),
  ('people change their own', 'update public.notification_preferences set is_enabled = false where organization_id = tests.id(''a'')', '- 0 1 0 0 0 0 0 0 1 '),
  ('nobody turns theirs into another''s', 'update public.notification_preferences set user_id = tests.id(''a other mentor'') where organization_id = tests.id(''a'')', '- 0 - 0 0 0 0 0 0 1 '),
  -- Without a condition nothing of the table is read, and only the policy of the operation stands between.
  ('people change their own, looking or not', 'update public.notification_preferences set is_enabled = false', '- 0 1 0 0 0 0 0 0 2 '),
  ('people remove their own, looking or not', 'delete from public.notification_preferences',                      '- 0 1 0 0 0 0 0 0 2 '),
  ('people mark their own notifications, looking or not', 'update public.notifications set read_at = now()',       '- 0 1 0 0 0 0 0 0 2 '),
  ('people remove their own', 'delete from public.notification_preferences where organization_id = tests.id(''a'')', '- 0 1 0 0 0 0 0 0 1 '),
  ('people read their own notifications', 'select from public.notifications where organization_id = tests.id(''a'')', '- 0 1 0 0 0 0 0 0 1 '),
  ('people mark their own as read', 'update public.notifications set read_at = now() where organization_id = tests.id(''a'')', '- 0 1 0 0 0 0 0 0 1 '),
  ('and as dismissed', 'update public.notifications set dismissed_at = now() where organization_id = tests.id(''a'')', '- 0 1 0 0 0 0 0 0 1 '),
  ('nobody rewrites what they were told', 'update public.notifications set context = ''{}'' where organization_id = tests.id(''a'')', '- - - - - - - - - 1 '),
  ('nobody hands a notification on', 'update public.notifications set user_id = user_id where organization_id = tests.id(''a'')', '- - - - - - - - - 1 '),
  ('nobody notifies directly', 'insert into public.notifications (organization_id, user_id, scenario, subject, triggered_at) values (tests.id(''a''), {me}, ''inactivity'', ''x'', now())', '- - - - - - - - - 1 '),
  ('nobody deletes notifications', 'delete from public.notifications where organization_id = tests.id(''a'')',    '- - - - - - - - - 1 '),
  ('the history of preferences is private', 'select from private.preference_history limit 0',                      '- - - - - - - - - 0 '),
  ('nobody rewrites it', 'delete from private.preference_history',                                                 '- - - - - - - - - - '),
  ('the outbox is private', 'select from private.outbox limit 0',                                                 '- - - - - - - - - 0 '),
  ('cooldowns are private', 'select from private.cooldowns limit 0',                                              '- - - - - - - - - 0 '),
  ('nobody ends a cooldown', 'delete from private.cooldowns',                                                     '- - - - - - - - - 0 ')
) as m (sentence, statement, outcomes);

select is(tests.attempt('a mentor', 'update public.notification_preferences set user_id = tests.id(''a other mentor'')'), 'refused',
  'nobody turns theirs into another''s, looking or not');

select * from finish();
rollback;
