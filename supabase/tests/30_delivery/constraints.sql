-- What cannot be written about preferences, notifications, cooldowns and what waits to be sent.
begin;
\ir ../helpers.psql
select plan(49);
select tests.populate();
insert into private.cooldowns values (tests.id('a'), tests.id('a mentor'), 'inactivity', 'x', now(), 14);
insert into private.outbox (organization_id, notification_id, user_id, channel) values (tests.id('a'), tests.id('a notification'), tests.id('a mentor'), 'push');
insert into private.outbox_devices (organization_id, outbox_id, device_id, verdict, attempted_at) select o.organization_id, o.id, tests.id('device'), 'sent', now() from private.outbox o;
insert into private.outbox_history (organization_id, outbox_id, event, at) select o.organization_id, o.id, 'failed', now() from private.outbox o;
insert into public.devices (organization_id, id, user_id, provider, platform, token) values
  (tests.id('a'), tests.id('device'), tests.id('a mentor'), 'fcm', 'android', 'token:of_a.mentor-0001'),
  (tests.id('a'), tests.id('other device'), tests.id('a mentor'), 'expo', 'ios', 'ExponentPushToken[0123456789abcdefghijkl]');
insert into public.notification_templates (organization_id, scenario, language, title, body) values (tests.id('a'), 'inactivity', 'en', 'Hello', 'Hello {name}');

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
  ('attempts_are_not_negative', 'update private.outbox set attempts = -1'),
  ('skipped_reason_is_known', 'update private.outbox set state = ''skipped'', skipped_reason = ''weather'''),
  ('skipped_says_why', 'update private.outbox set state = ''skipped'''),
  ('skipped_says_why', 'update private.outbox set skipped_reason = ''stale'''),
  ('claimed_has_a_holder', 'update private.outbox set state = ''claimed'''),
  ('verdict_is_known', 'update private.outbox_devices set verdict = ''lost'''),
  ('receipts_are_asked_for_by_id', 'update private.outbox_devices set receipt_due_at = now()'),
  ('outbox_devices_pkey', 'insert into private.outbox_devices select * from private.outbox_devices'),
  ('outbox_devices_organization_id_outbox_id_fkey', 'update private.outbox_devices set organization_id = tests.id(''b'')'),
  ('event_is_known', 'update private.outbox_history set event = ''lost'''),
  ('outbox_history_organization_id_outbox_id_fkey', 'update private.outbox_history set organization_id = tests.id(''b'')'),
  ('push_provider_name_is_well_formed', 'insert into private.push_providers values (''Pigeon'')'),
  ('push_providers_pkey', 'insert into private.push_providers values (''fcm'')'),
  ('platform_is_known', 'update public.devices set platform = ''fridge'''),
  ('token_has_the_form_of_its_provider', 'update public.devices set token = ''short'''),
  ('token_has_the_form_of_its_provider', 'update public.devices set token = ''ExponentPushToken[]'' where provider = ''expo'''),
  ('token_is_one_device', 'insert into public.devices (organization_id, user_id, provider, platform, token) select organization_id, tests.id(''a admin''), provider, platform, token from public.devices'),
  ('inactive_devices_say_why', 'update public.devices set is_active = false'),
  ('inactive_devices_say_why', 'update public.devices set deactivated_at = now(), deactivated_reason = ''x'''),
  ('devices_organization_id_user_id_fkey', 'update public.devices set user_id = tests.id(''b mentor'')'),
  ('notification_templates_organization_id_fkey', 'update public.notification_templates set organization_id = tests.id(''nobody'')'),
  ('template_language_is_lower_case_and_well_formed', 'update public.notification_templates set language = ''EN'''),
  ('title_is_1_to_120_characters', 'update public.notification_templates set title = repeat(''x'', 121)'),
  ('title_is_1_to_120_characters', 'update public.notification_templates set title = '' '''),
  ('body_is_1_to_1000_characters', 'update public.notification_templates set body = '''''),
  ('user_language_is_well_formed', 'update public.users set language = ''english!'''),
  ('notification_templates_pkey', 'insert into public.notification_templates select * from public.notification_templates'),
  ('cooldown_scenario_is_known', 'update private.cooldowns set scenario = ''weather'''),
  ('cooldown_is_not_negative', 'update private.cooldowns set cooldown_days = -1'),
  ('cooldowns_pkey', 'insert into private.cooldowns select * from private.cooldowns'),
  ('cooldowns_organization_id_user_id_fkey', 'update private.cooldowns set user_id = tests.id(''b mentor'')')
) as m (name, statement);

-- The trigger speaks before them, and better: template_scenario_is_known, form_belongs_to_the_scenario.
select is(tests.error($$select private.check_scenario_type('weather')$$), 'PT400 unknown_scenario {"allowed": ["inactivity", "milestone", "certification_expiry", "pastoral_case"], "scenario": "weather"}', 'an unknown scenario is named, with those that are known');
select is(private.is_scenario_type(null), null, 'null is no scenario');
delete from public.users where id = tests.id('a mentor');
select is_empty($$select 1 from public.notifications where organization_id = tests.id('a') union all select 1 from private.outbox union all select 1 from private.cooldowns
  union all select 1 from private.outbox_devices union all select 1 from private.outbox_history union all select 1 from public.devices$$,
  'what a person was told goes with the person, and what they were told on');

select * from finish();
rollback;
