-- What cannot be written about organisations and people, whoever writes.
begin;
\ir ../helpers.psql
select plan(34);
select tests.populate();
insert into private.runs (kind, as_of) values ('open', now());

select is(tests.violated(m.statement), m.name, m.name) from (values
  ('organization_name_is_not_blank', 'insert into public.organizations (name) values ('' '')'),
  ('organization_time_zone_is_known', 'insert into public.organizations (name, time_zone) values (''c'', ''Mars/Olympus'')'),
  ('setting_value_fits_its_key', 'insert into public.org_settings_kv values (tests.id(''a''), ''absence_alert_threshold'', ''0'') on conflict (organization_id, key) do update set value = excluded.value'),
  ('full_name_is_not_blank', 'update public.users set full_name = '' ''  where id = tests.id(''a mentor'')'),
  ('user_time_zone_is_known', 'update public.users set time_zone = ''Mars/Olympus'' where id = tests.id(''a mentor'')'),
  ('away_until_is_after_away_from', 'update public.users set away_from = now(), away_until = now() where id = tests.id(''a mentor'')'),
  ('away_until_needs_away_from', 'update public.users set away_until = now() where id = tests.id(''a mentor'')'),
  ('users_pkey', 'insert into public.users (organization_id, id, full_name, role) values (tests.id(''a''), tests.id(''a mentor''), ''Twin'', ''servant'')'),
  ('users_organization_id_fkey', 'insert into public.users (organization_id, full_name, role) values (tests.id(''c''), ''Lost'', ''servant'')'),
  ('org_settings_kv_organization_id_fkey', 'insert into public.org_settings_kv values (tests.id(''c''), ''k'', ''1'')'),
  ('user_logins_auth_user_id_fkey', 'insert into public.user_logins values (tests.id(''no login''), tests.id(''a''), tests.id(''a other mentor''))'),
  ('user_has_one_login', 'insert into public.user_logins values (tests.id(''login of stranger''), tests.id(''a''), tests.id(''a mentor''))'),
  ('user_logins_pkey', 'insert into public.user_logins values (tests.id(''login of a mentor''), tests.id(''b''), tests.id(''b guest''))'),
  -- A reference into another organisation cannot even be written.
  ('user_logins_organization_id_user_id_fkey', 'insert into public.user_logins values (tests.id(''login of stranger''), tests.id(''b''), tests.id(''a other mentor''))'),
  ('invitations_organization_id_user_id_fkey', 'update public.invitations set user_id = tests.id(''b mentor'') where organization_id = tests.id(''a'')'),
  ('invitations_organization_id_invited_by_fkey', 'update public.invitations set invited_by = tests.id(''b admin'') where organization_id = tests.id(''a'')'),
  ('email_is_lower_case', 'update public.invitations set email = ''Guest@a.test'' where organization_id = tests.id(''a'')'),
  ('email_has_an_at', 'update public.invitations set email = ''guest'' where organization_id = tests.id(''a'')'),
  ('invitation_expires_after_it_was_made', 'update public.invitations set expires_at = created_at where organization_id = tests.id(''a'')'),
  ('invitations_one_pending', 'insert into public.invitations (organization_id, user_id, email, expires_at) values (tests.id(''a''), tests.id(''a other mentor''), ''guest@a.test'', now() + interval ''1 day'')'),
  ('run_state_is_known', 'insert into private.runs (kind, as_of, state) values (''x'', now(), ''dancing'')'),
  ('finished_runs_say_when', 'insert into private.runs (kind, as_of, state) values (''x'', now(), ''finished'')'),
  ('runs_one_open_per_kind', 'insert into private.runs (kind, as_of) select ''x'', now() from generate_series(1, 2)'),
  ('run_slices_pkey', 'insert into private.run_slices (run_id) select r.id from private.runs r, generate_series(1, 2)'),
  ('run_slices_run_id_fkey', 'insert into private.run_slices (run_id) values (0)'),
  ('holder_has_one_slice', 'insert into private.run_slices (run_id, from_user_id, holder, lease_until) select r.id, tests.id(n::text), tests.id(''h''), now() from private.runs r, generate_series(1, 2) n'),
  ('slice_has_both_ends_of_its_key', 'insert into private.run_slices (run_id, to_organization_id) select r.id, tests.id(''a'') from private.runs r'),
  ('slice_is_held_for_a_time', 'insert into private.run_slices (run_id, holder) select r.id, tests.id(''h'') from private.runs r'),
  ('expected_interval_is_positive', 'update private.schedules set expected_interval = ''0'''),
  ('webhook_deliveries_pkey', 'insert into private.webhook_deliveries (id, answer) select ''same'', ''{}'' from generate_series(1, 2)')
) as m (name, statement);

select is(tests.violated('insert into public.invitations (organization_id, user_id, email, expires_at) values (tests.id(''b''), tests.id(''b mentor''), ''guest@a.test'', now() + interval ''1 day'')'),
  'nothing', 'two organisations may invite the same address');

-- Settings: a known key takes only values that make sense, another key only needs a name.
select is(
  (select string_agg(v::text, ' ' order by o) from unnest(array['1', '3', '9999', '0', '-1', '10000', '1.5', '"3"', 'null', 'true', '[3]', '{}']::jsonb[]) with ordinality x (v, o)
   where private.is_setting_valid('absence_alert_threshold', v)),
  '1 3 9999', 'absence_alert_threshold takes whole numbers from 1 to 9999');
select ok(private.is_setting_valid('colour', '"red"'), 'another key takes any value');
select ok(not private.is_setting_valid(' ', '1'), 'a key has a name');

select * from finish();
rollback;
