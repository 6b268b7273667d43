-- What cannot be written about preferences, notifications, cooldowns and what waits to be sent.
begin;
\ir ../helpers.psql
select plan(22);
select tests.populate();
insert into private.cooldowns values (tests.id('a'), tests.id('a mentor'), 'inactivity', 'x', now(), 14);
insert into private.outbox (organization_id, notification_id, user_id, channel) values (tests.id('a'), tests.id('a notification'), tests.id('a mentor'), 'push');

select is(tests.violated(m.statement), m.name, m.name) from (values
  ('preference_scenario_is_known', 'insert into public.notification_preferences values (tests.id(''a''), tests.id(''a admin''), ''weather'', ''all'', false)'),
  ('preference_channel_is_known', 'insert into public.notification_preferences values (tests.id(''a''), tests.id(''a admin''), ''all'', ''pigeon'', false)'),
  ('notification_preferences_pkey', 'insert into public.notification_preferences values (tests.id(''a''), tests.id(''a mentor''), ''all'', ''all'', false)'),
  ('notification_preferences_organization_id_user_id_fkey', 'insert into public.notification_preferences values (tests.id(''b''), tests.id(''a mentor''), ''all'', ''all'', false)'),
  ('notification_scenario_is_known', 'update public.notifications set scenario = ''weather'' where organization_id = tests.id(''a'')'),
  ('context_is_an_object', 'update public.notifications set context = ''[]'' where organization_id = tests.id(''a'')'),
  ('notifications_organization_id_user_id_fkey', 'update public.notifications set user_id = tests.id(''b mentor'') where organization_id = tests.id(''a'')'),
  ('notifications_once_per_decision', 'insert into public.notifications (organization_id, user_id, scenario, subject, triggered_at) select organization_id, user_id, scenario, subject, triggered_at from public.notifications'),
  ('notifications_pkey', 'insert into public.notifications select * from public.notifications'),
  ('notifications_organization_id_about_user_id_fkey', 'update public.notifications set about_user_id = tests.id(''b mentor'') where organization_id = tests.id(''a'')'),
  ('preference_history_organization_id_user_id_fkey', 'insert into private.preference_history (organization_id, user_id, scenario, channel) values (tests.id(''a''), tests.id(''b mentor''), ''all'', ''all'')'),
  ('outbox_channel_is_known', 'update private.outbox set channel = ''pigeon'''),
  ('outbox_one_per_notification_and_channel', 'insert into private.outbox (organization_id, notification_id, user_id, channel) select organization_id, notification_id, user_id, channel from private.outbox'),
  ('outbox_organization_id_notification_id_fkey', 'update private.outbox set notification_id = tests.id(''b notification'')'),
  ('outbox_pkey', 'insert into private.outbox select organization_id, id, notification_id, user_id, channel from private.outbox'),
  ('cooldown_scenario_is_known', 'update private.cooldowns set scenario = ''weather'''),
  ('cooldown_is_not_negative', 'update private.cooldowns set cooldown_days = -1'),
  ('cooldowns_pkey', 'insert into private.cooldowns select * from private.cooldowns'),
  ('cooldowns_organization_id_user_id_fkey', 'update private.cooldowns set user_id = tests.id(''b mentor'')')
) as m (name, statement);

select is(tests.error($$select private.check_scenario_type('weather')$$), 'PT400 unknown_scenario {"allowed": ["inactivity", "milestone", "certification_expiry", "pastoral_case"], "scenario": "weather"}', 'an unknown scenario is named, with those that are known');
select is(private.is_scenario_type(null), null, 'null is no scenario');
delete from public.users where id = tests.id('a mentor');
select is_empty($$select 1 from public.notifications where organization_id = tests.id('a') union all select 1 from private.outbox union all select 1 from private.cooldowns$$,
  'what a person was told goes with the person');

select * from finish();
rollback;
