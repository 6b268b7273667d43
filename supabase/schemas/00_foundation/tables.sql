-- Tenancy and people (rules.md §1), and what the functions' runs leave behind.
-- organization_id leads every key: a reference into another organisation cannot even be written.

create table public.organizations (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint organization_name_is_not_blank check (btrim(name) <> ''),
  time_zone text not null default 'UTC' constraint organization_time_zone_is_known
    check (private.is_time_zone(time_zone) or private.refuse('organizations', 'organization_time_zone_is_known',
      to_jsonb(time_zone), 'the name of a time zone, such as Europe/Oslo or UTC')),
  created_at timestamptz not null default now()
);
comment on table public.organizations is 'A tenant. Nobody reads another organisation''s rows through anything.';

create table public.org_settings_kv (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  key text not null,
  value jsonb not null,
  primary key (organization_id, key),
  constraint setting_value_fits_its_key check (private.is_setting_valid(key, value)
    or private.refuse('org_settings_kv', 'setting_value_fits_its_key', jsonb_build_object(key, value), private.allowed_setting(key)))
);
comment on table public.org_settings_kv is 'Settings of an organisation. A known key takes only values that make sense (private.is_setting_valid).';

create table public.users (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  full_name text not null constraint full_name_is_not_blank check (btrim(full_name) <> ''),
  role public.user_role not null,
  joined_at timestamptz not null default now(),
  is_active boolean not null default true,
  reactivated_at timestamptz,
  away_from timestamptz,
  away_until timestamptz,
  time_zone text constraint user_time_zone_is_known
    check (time_zone is null or private.is_time_zone(time_zone) or private.refuse('users', 'user_time_zone_is_known',
      to_jsonb(time_zone), 'the name of a time zone, such as Europe/Oslo or UTC')),
  created_at timestamptz not null default now(),
  language text constraint user_language_is_well_formed check (private.is_language(language)),
  primary key (organization_id, id),
  constraint away_until_is_after_away_from check (away_until > away_from),
  constraint away_until_needs_away_from check (away_until is null or away_from is not null)
);
comment on table public.users is 'A person of an organisation, with or without a login. One organisation for life.';
comment on column public.users.language is 'BCP 47, such as nb or es-MX: what they are told in. Null: the organisation''s setting "language", else English.';
comment on column public.users.away_until is 'Exclusive end of the absence. Null with away_from set: away until further notice.';
-- The interfaces of the scenario engine name a person by id alone, and look the organisation up here.
create index users_id on public.users (id);
-- Whose dates lie in a range: what the scenario engine's ticks read. (Why a condition that is always true: activities_user_id.)
create index users_joined_at on public.users (organization_id, joined_at) include (id) where joined_at is not null;
create index users_reactivated_at on public.users (organization_id, reactivated_at) where reactivated_at is not null;
create index users_away_from on public.users (organization_id, away_from) where away_from is not null;
create index users_away_until on public.users (organization_id, away_until) where away_until is not null;
-- Of whom more has to be known than when they were last active (private.inactivity_at_rest).
create index users_set_apart on public.users (organization_id, id) include (role, is_active, reactivated_at, away_from, away_until)
  where role <> 'peer_mentor' or not is_active or reactivated_at is not null or away_from is not null;

create table public.user_logins (
  auth_user_id uuid primary key references auth.users (id) on delete cascade,
  organization_id uuid not null,
  user_id uuid not null,
  linked_at timestamptz not null default now(),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  constraint user_has_one_login unique (organization_id, user_id)
);
comment on table public.user_logins is 'Which login is which person. Erasing a login erases no figure already reported: the person stays.';

create table public.invitations (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  email text not null
    constraint email_is_lower_case check (email = lower(email))
    constraint email_has_an_at check (email ~ '^[^@\s]+@[^@\s]+$'),
  invited_by uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  accepted_at timestamptz,
  revoked_at timestamptz,
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  foreign key (organization_id, invited_by) references public.users (organization_id, id) on delete set null (invited_by),
  constraint invitation_expires_after_it_was_made check (expires_at > created_at)
);
comment on table public.invitations is 'An admin''s invitation: the person exists from now on, the first confirmed sign-in with this address links them.';
create unique index invitations_one_pending on public.invitations (organization_id, email)
  where accepted_at is null and revoked_at is null;
create index invitations_pending_by_email on public.invitations (email) where accepted_at is null and revoked_at is null;
create index invitations_user_id on public.invitations (organization_id, user_id);
create index invitations_invited_by on public.invitations (organization_id, invited_by);
-- Which have been done with for long.
create index invitations_done on public.invitations (coalesce(accepted_at, revoked_at, expires_at));

-- One row a function: when it was last rung, so that many writers ring about once a second.
create table private.bells (
  function_name text primary key,
  last_rung_at timestamptz not null default '-infinity',
  rung_again_at timestamptz not null default '-infinity',
  rung bigint not null default 0,
  rung_again_id text
);
comment on table private.bells is 'When each function was last rung by a writer, and how often.';
comment on column private.bells.rung_again_at is 'When a drain last rang once more, for those who stayed silent (private.ring_again).';
comment on column private.bells.rung_again_id is 'That bell; until it is answered nobody rings another.';

-- A row a ring and not a counter: counting would lock a row that writers wait for at their commit.
create table private.rings (
  bell_id text primary key,
  function_name text not null,
  request_id bigint not null,
  rung_at timestamptz not null default clock_timestamp(),
  answered_at timestamptz
);
comment on table private.rings is
  'Every call that was queued for a function, for a day. One that was handled has its id in private.webhook_deliveries.';
comment on column private.rings.request_id is 'Its id in pg_net''s queue while it waits there.';
comment on column private.rings.answered_at is 'When a function first asked whether it had answered this call before, which is right before it works.';
create index rings_of_function on private.rings (function_name, rung_at);

create table private.webhook_deliveries (
  id text not null,
  answer jsonb not null,
  received_at timestamptz not null default now(),
  function_name text not null default '',
  primary key (id, function_name)
);
comment on table private.webhook_deliveries is
  'Answers given, by webhook id and function: the same delivery twice gets the same answer and no new effect. A sender may tell several of one event, by one id.';
comment on column private.webhook_deliveries.function_name is 'Empty where a function answered that does not say which it is, as of a version before.';
create index webhook_deliveries_received_at on private.webhook_deliveries (received_at);

create table private.runs (
  id bigint generated always as identity primary key,
  kind text not null,
  state text not null default 'running' constraint run_state_is_known check (state in ('running', 'in_progress', 'finished')),
  as_of timestamptz not null,
  chunks integer not null default 0,
  people bigint not null default 0,
  counts jsonb not null default '{}',
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz,
  is_clock_given boolean not null default false,
  constraint finished_runs_say_when check ((state = 'finished') = (finished_at is not null))
);
comment on table private.runs is 'The run ledger: one row a run of a whole population. The truth about what ran; a schedule''s own log only knows what was queued.';
comment on column private.runs.state is 'in_progress: open, and given back by everybody who worked on it. A holder that died leaves it running.';
comment on column private.runs.as_of is 'The clock that decides in this run: the latest who joined it set it anew, unless the clock was given.';
comment on column private.runs.is_clock_given is 'Whether a caller set the clock: then it stays for whoever joins without one.';
create unique index runs_one_open_per_kind on private.runs (kind) where state <> 'finished';

create table private.run_slices (
  run_id bigint not null references private.runs (id) on delete cascade,
  from_organization_id uuid not null default '00000000-0000-0000-0000-000000000000',
  from_user_id uuid not null default '00000000-0000-0000-0000-000000000000',
  to_organization_id uuid,
  to_user_id uuid,
  holder uuid,
  lease_until timestamptz,
  primary key (run_id, from_organization_id, from_user_id),
  constraint holder_has_one_slice unique (run_id, holder),
  constraint slice_has_both_ends_of_its_key check ((to_organization_id is null) = (to_user_id is null)),
  constraint slice_is_held_for_a_time check ((holder is null) = (lease_until is null))
);
comment on table private.run_slices is 'What of an open run is still to be done, by key range, and who works on it: the untouched rest, what holders have in hand, and what they left. No two overlap. Locked before the run, never after it.';
comment on column private.run_slices.from_organization_id is 'Inclusive, and no reference: organisation and person may be gone. From the nil ids without an end: everybody.';
comment on column private.run_slices.to_organization_id is 'Exclusive; null: to the end of everybody.';
comment on column private.run_slices.holder is 'Null: untouched or given back, free to be taken at once.';

create table private.schedules (
  name text primary key,
  description text not null,
  expected_interval interval constraint expected_interval_is_positive check (expected_interval > interval '0'),
  last_rung_at timestamptz,
  last_started_at timestamptz,
  last_succeeded_at timestamptz,
  last_result jsonb,
  function_name text,
  window_length interval constraint window_is_positive check (window_length > interval '0'),
  added_at timestamptz not null default now()
);
comment on column private.schedules.expected_interval is 'How often it is due; null: only when somebody asks for it.';
comment on column private.schedules.function_name is 'The function that it rings; null: it works in SQL alone.';
comment on column private.schedules.window_length is 'How long it may take from start to success; null: until it is due again.';
comment on column private.schedules.added_at is 'From when on it can be late.';
comment on table private.schedules is 'Every schedule with what is expected of it and what it last did.';

create table private.retention (
  name text primary key,
  description text not null,
  keep_for interval,
  constraint retention_is_known_and_long_enough check (private.is_retention_valid(name, keep_for))
);
comment on table private.retention is 'How long what piles up is kept before the housekeeping deletes it. An update here is all it takes to change it.';
comment on column private.retention.keep_for is 'Null: for ever.';

alter table public.organizations enable row level security;
alter table public.org_settings_kv enable row level security;
alter table public.users enable row level security;
alter table public.user_logins enable row level security;
alter table public.invitations enable row level security;
alter table private.bells enable row level security;
alter table private.rings enable row level security;
alter table private.webhook_deliveries enable row level security;
alter table private.runs enable row level security;
alter table private.run_slices enable row level security;
alter table private.schedules enable row level security;
alter table private.retention enable row level security;

create policy "people read their organisation" on public.organizations for select to authenticated
  using (id = (select private.current_organization_id()));

create policy "people read their organisation's settings" on public.org_settings_kv for select to authenticated
  using (organization_id = (select private.current_organization_id()));
create policy "admins add settings" on public.org_settings_kv for insert to authenticated
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins change settings" on public.org_settings_kv for update to authenticated
  using (organization_id = (select private.organization_as('{admin}')))
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins remove settings" on public.org_settings_kv for delete to authenticated
  using (organization_id = (select private.organization_as('{admin}')));

create policy "people read themselves, staff read their organisation" on public.users for select to authenticated
  using (
    organization_id = (select private.organization_as('{coordinator,manager,admin}'))
    or (organization_id = (select private.current_organization_id()) and id = (select private.current_user_id()))
  );
create policy "people change themselves" on public.users for update to authenticated
  using (organization_id = (select private.current_organization_id()) and id = (select private.current_user_id()))
  with check (organization_id = (select private.current_organization_id()) and id = (select private.current_user_id()));

create policy "people read their own login" on public.user_logins for select to authenticated
  using (auth_user_id = (select auth.uid()));

create policy "admins read invitations" on public.invitations for select to authenticated
  using (organization_id = (select private.organization_as('{admin}')));

revoke all on public.organizations, public.org_settings_kv, public.users, public.user_logins, public.invitations
  from public, anon, authenticated, service_role;
revoke all on private.bells, private.rings, private.webhook_deliveries, private.runs, private.run_slices, private.schedules,
  private.retention
  from public, anon, authenticated, service_role;

grant select on public.organizations, public.users, public.user_logins, public.invitations to authenticated;
-- Only these columns: role, organisation, activity and dates of joining are not the person's to change.
grant update (time_zone, away_from, away_until, language) on public.users to authenticated;
grant select, insert, update, delete on public.org_settings_kv to authenticated;
grant select, insert, update, delete
  on public.organizations, public.org_settings_kv, public.users, public.user_logins, public.invitations to service_role;
grant select, update on private.bells to service_role;
grant select, update on private.rings to service_role;
grant select, insert on private.webhook_deliveries to service_role;
grant select, insert, update on private.runs to service_role;
grant select, insert, update, delete on private.run_slices to service_role;
grant select, update on private.schedules to service_role;
grant select on private.retention to service_role;

create trigger users_stamp_reactivation before update of is_active on public.users
  for each row when (new.is_active and not old.is_active and new.reactivated_at is not distinct from old.reactivated_at)
  execute function private.stamp_reactivation();

-- The platform's own table, hence the name that says whose trigger it is. It fires when an address
-- becomes confirmed and at every sign-in, so that a login older than its invitation is linked too.
create trigger attend_link_invited_login after insert or update of email, email_confirmed_at, last_sign_in_at on auth.users
  for each row when (new.email_confirmed_at is not null)
  execute function private.link_invited_login();

insert into private.retention (name, description, keep_for) values
  ('webhook_deliveries', 'Answers to webhooks, by webhook id, since they were given.', '1 day'),
  ('cron_log', 'Rows of cron.job_run_details of our own jobs, since they ended.', '7 days'),
  ('runs', 'Finished runs, the latest of each kind excepted, since they finished.', '90 days'),
  ('findings', 'Drift, what ticks missed, and warnings of statistics, since they were found.', '180 days'),
  ('outbox', 'Pushes that are over (sent, skipped, retracted, dead), since they were decided.', '90 days'),
  ('held_decisions', 'Who matched and was not told, since it was decided; what waits for its gate to end stays.', '1 year'),
  ('invitations', 'Invitations with their addresses, since they were accepted, revoked or expired.', '1 year'),
  ('notifications', 'Notifications that were read, dismissed or retracted, since then; what a cooldown or a quiet spell still counts stays.', '2 years'),
  ('histories', 'How people, preferences and certificates stood, since they changed. No question goes back further.', '2 years');
