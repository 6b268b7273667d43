-- People's preferences and notifications are theirs alone; what waits to be sent is nobody's. Columns: tests.actors().
begin;
\ir ../helpers.psql
select plan(50);
select tests.populate();
insert into public.devices (organization_id, id, user_id, provider, platform, token)
select tests.id(o), tests.id(o || ' device'), tests.id(o || ' mentor'), 'fcm', 'android', 'token-of-a-mentor-of-' || o from unnest('{a,b}'::text[]) o;
insert into public.notification_templates (organization_id, scenario, language, title, body)
select tests.id(o), 'inactivity', 'en', 'Hello', 'Hello {name}' from unnest('{a,b}'::text[]) o;

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
  ('so is what became of it', 'select from private.outbox_devices limit 0',                                        '- - - - - - - - - 0 '),
  ('and its history', 'select from private.outbox_history limit 0',                                               '- - - - - - - - - 0 '),
  ('which nobody rewrites', 'delete from private.outbox_history',                                                 '- - - - - - - - - - '),
  ('people read their list in words', 'select from public.my_notifications where organization_id = tests.id(''a'')', '- 0 1 0 0 0 0 0 0 1 '),
  ('people read their own devices', 'select from public.devices where organization_id = tests.id(''a'')',          '- 0 1 0 0 0 0 0 0 1 '),
  ('nobody writes them', 'insert into public.devices (organization_id, user_id, provider, platform, token) values (tests.id(''a''), {me}, ''fcm'', ''web'', ''a-token-of-mine-000001'')', '- - - - - - - - - 1 '),
  ('nor changes them', 'update public.devices set is_active = is_active',                                         '- - - - - - - - - 2 '),
  ('nor removes them', 'delete from public.devices',                                                              '- - - - - - - - - 2 '),
  ('people register their device', 'select public.register_device(''fcm'', ''web'', ''a-token-of-mine-000001'')', '- - 1 1 1 1 1 1 1 - '),
  ('and take it out of use', 'select public.unregister_device(''a-token-of-mine-000001'')',                       '- 1 1 1 1 1 1 1 1 - '),
  ('people read their organisation''s templates', 'select from public.notification_templates',                    '- 0 1 1 1 1 1 1 1 2 '),
  ('admins add templates', 'insert into public.notification_templates (organization_id, scenario, language, title, body) values (tests.id(''a''), ''milestone'', ''en'', ''x'', ''x'')', '- - - - - - 1 - - 1 '),
  ('admins change templates', 'update public.notification_templates set title = ''x''',                           '- 0 0 0 0 0 1 0 1 2 '),
  ('nobody gives theirs to another organisation', 'update public.notification_templates set organization_id = tests.id(''b''), language = ''es'' where organization_id = tests.id(''a'')', '- 0 0 0 0 0 - 0 0 1 '),
  ('admins remove templates', 'delete from public.notification_templates',                                        '- 0 0 0 0 0 1 0 1 2 '),
  ('people say what language they read', 'update public.users set language = ''nb'' where id = {me}',              '- 0 1 1 1 1 1 1 1 1 '),
  ('the service claims', 'select public.claim_outbox(tests.id(''holder''))',                                      '- - - - - - - - - 1 '),
  ('confirms', 'select public.confirm_outbox(tests.id(''holder''), ''[]'')',                                      '- - - - - - - - - 1 '),
  ('records', 'select public.record_outbox(tests.id(''holder''), ''[]'')',                                        '- - - - - - - - - 1 '),
  ('gives back', 'select public.give_back_outbox(tests.id(''holder''), ''[]'')',                                  '- - - - - - - - - 1 '),
  ('asks for receipts', 'select public.claim_receipts(), public.record_receipts(''[]'')',                         '- - - - - - - - - 1 '),
  ('lists', 'select public.list_outbox(), public.outbox_status()',                                                '- - - - - - - - - 1 '),
  ('shows', 'select public.show_outbox(tests.id(''x''))',                                                         '- - - - - - - - - PT404 unknown_push'),
  ('retries', 'select public.retry_outbox(tests.id(''x''))',                                                      '- - - - - - - - - PT404 unknown_push'),
  ('and replays', 'select public.replay_outbox()',                                                                '- - - - - - - - - 1 '),
  ('the service declares push services', 'select public.declare_push_providers(''{fcm}'')',                        '- - - - - - - - - 1 '),
  ('which are private', 'select from private.push_providers limit 0',                                             '- - - - - - - - - 0 '),
  ('and stay', 'delete from private.push_providers',                                                              '- - - - - - - - - - '),
  ('cooldowns are private', 'select from private.cooldowns limit 0',                                              '- - - - - - - - - 0 '),
  ('nobody ends a cooldown', 'delete from private.cooldowns',                                                     '- - - - - - - - - 0 ')
) as m (sentence, statement, outcomes);

select is(tests.attempt('a mentor', 'update public.notification_preferences set user_id = tests.id(''a other mentor'')'), 'refused',
  'nobody turns theirs into another''s, looking or not');

select * from finish();
rollback;
