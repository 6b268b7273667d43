create table public.notification_preferences (
  organization_id uuid not null,
  user_id uuid not null,
  scenario text not null constraint preference_scenario_is_known
    check (scenario = 'all' or private.is_scenario_type(scenario) or private.refuse('notification_preferences',
      'preference_scenario_is_known', to_jsonb(scenario), 'all, ' || array_to_string(private.scenario_types(), ', '))),
  channel text not null default 'all' constraint preference_channel_is_known
    check (channel in ('all', 'push') or private.refuse('notification_preferences',
      'preference_channel_is_known', to_jsonb(channel), 'all, push')),
  is_enabled boolean not null,
  primary key (organization_id, user_id, scenario, channel),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table public.notification_preferences is
  'Opt-outs. No row means on. Off for a scenario (or all) on channel all stops everything of it; off for push leaves the in-app list.';
-- Few opt out: the gates read only them.
create index notification_preferences_opted_out on public.notification_preferences (organization_id, user_id)
  include (scenario, channel) where not is_enabled;

create table public.notifications (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  scenario text not null constraint notification_scenario_is_known check (private.is_scenario_type(scenario)),
  subject text not null,
  rule_id uuid,
  context jsonb not null default '{}' constraint context_is_an_object check (jsonb_typeof(context) = 'object'),
  crossed_at timestamptz,
  triggered_at timestamptz not null,
  created_at timestamptz not null default now(),
  read_at timestamptz,
  dismissed_at timestamptz,
  rule_version integer,
  is_mandatory boolean not null default false,
  about_user_id uuid,
  release_on date,
  retracted_at timestamptz,
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  foreign key (organization_id, about_user_id) references public.users (organization_id, id) on delete cascade
);
comment on table public.notifications is 'What a person was told: the in-app list.';
comment on column public.notifications.rule_version is 'The version of the rule that decided (public.scenario_rule_versions).';
comment on column public.notifications.is_mandatory is 'Made by a mandatory rule: opting out neither stops nor retracts it.';
comment on column public.notifications.about_user_id is 'Set where a coordinator is told about somebody else.';
comment on column public.notifications.release_on is 'The person''s local day of the planned release: what the cap counts. Null: not counted.';
comment on column public.notifications.retracted_at is 'Taken back before it reached the person, who no longer sees it.';
comment on column public.notifications.subject is 'What within the scenario it is about; part of the cooldown key (rules.md §3).';
comment on column public.notifications.crossed_at is 'When the condition became true.';
comment on column public.notifications.triggered_at is 'The clock of the evaluation that decided.';
-- Even if a cooldown row were lost, one evaluation tells a person one thing once.
create unique index notifications_once_per_decision
  on public.notifications (organization_id, user_id, scenario, subject, triggered_at)
  -- Always true; keeps it away from the check of the outbox's foreign key (see activities_user_id).
  where user_id is not null;
create index notifications_about_user_id on public.notifications (organization_id, about_user_id) where about_user_id is not null;
-- How many are planned for a person's day.
create index notifications_released on public.notifications (organization_id, user_id, release_on)
  where release_on is not null and retracted_at is null;
-- Whom they have reached, or no longer will, and when: what the housekeeping asks.
create index notifications_done on public.notifications (coalesce(dismissed_at, read_at, retracted_at))
  where coalesce(dismissed_at, read_at, retracted_at) is not null;

create table private.outbox (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  notification_id uuid not null,
  user_id uuid not null,
  channel text not null constraint outbox_channel_is_known check (channel in ('push')),
  state public.outbox_state not null default 'pending',
  created_at timestamptz not null default now(),
  release_at timestamptz not null default now(),
  next_attempt_at timestamptz not null default now(),
  rings boolean not null default false,
  holder uuid,
  lease integer not null default 0,
  attempts integer not null default 0 constraint attempts_are_not_negative check (attempts >= 0),
  last_error text,
  skipped_reason text constraint skipped_reason_is_known
    check (skipped_reason in ('retracted', 'read', 'opted_out', 'person_inactive', 'stale', 'condition_gone', 'no_device')),
  settled_at timestamptz,
  primary key (organization_id, id),
  -- The person follows from the notification, whose own reference guards it.
  foreign key (organization_id, notification_id) references public.notifications (organization_id, id) on delete cascade,
  constraint skipped_says_why check ((state = 'skipped') = (skipped_reason is not null)),
  constraint claimed_has_a_holder check (state <> 'claimed' or holder is not null)
);
comment on table private.outbox is 'What is to be sent outside, written in the transaction that decided it.';
comment on column private.outbox.release_at is 'Not to be sent before: the end of the quiet hours it fell into. From here its deadline is counted.';
comment on column private.outbox.next_attempt_at is 'When a dispatcher may take it: at its release, for its next attempt, or, claimed, when the lease of its holder ends.';
comment on column private.outbox.rings is 'The first of its transaction that may go at once: at commit it rings the bell.';
comment on column private.outbox.holder is 'Who claimed it last.';
comment on column private.outbox.lease is 'Counts the claims. Outcomes name the one they belong to, so that whoever lost it records nothing.';
comment on column private.outbox.attempts is 'How often outcomes were recorded. A dispatcher that died has not attempted: the deadline bounds those.';
comment on column private.outbox.settled_at is 'When it became sent, skipped or dead.';
create unique index outbox_one_per_notification_and_channel on private.outbox (organization_id, notification_id, channel)
  -- Always true; keeps it away from the checks of what refers to a push (see activities_user_id).
  where notification_id is not null;
-- What can still be taken back.
create index outbox_undelivered on private.outbox (organization_id, user_id) where state in ('pending', 'deferred', 'failed');
-- What is over, by age and in the order in which it is listed: all that one evaluation tells has one time.
create index outbox_done on private.outbox (created_at, id) where state in ('sent', 'skipped', 'retracted', 'dead');
-- What a dispatcher takes next, of whatever organisation.
create index outbox_due on private.outbox (next_attempt_at) where state in ('pending', 'deferred', 'failed', 'claimed');
-- What somebody should look at.
create index outbox_dead on private.outbox (organization_id, created_at) where state = 'dead';

create table private.outbox_devices (
  organization_id uuid not null,
  outbox_id uuid not null,
  device_id uuid not null,
  verdict text not null constraint verdict_is_known check (verdict in ('sent', 'device_gone', 'retry', 'refused')),
  attempts integer not null default 1,
  provider_id text,
  reason text,
  attempted_at timestamptz not null,
  receipt_due_at timestamptz,
  primary key (organization_id, outbox_id, device_id),
  foreign key (organization_id, outbox_id) references private.outbox (organization_id, id) on delete cascade,
  constraint receipts_are_asked_for_by_id check (receipt_due_at is null or provider_id is not null)
);
comment on table private.outbox_devices is
  'What became of a push on each device it was tried on: whoever has it is not sent it again. The device is no reference, so that the outcome outlives it.';
comment on column private.outbox_devices.provider_id is 'The message''s name at the provider.';
comment on column private.outbox_devices.receipt_due_at is 'When to ask the provider what became of it. Null: there is nothing (more) to ask.';
create index outbox_devices_receipts on private.outbox_devices (receipt_due_at) where receipt_due_at is not null;

create table private.outbox_history (
  organization_id uuid not null,
  id bigint generated always as identity,
  outbox_id uuid not null,
  event text not null constraint event_is_known
    check (event in ('quiet_hours', 'capped', 'failed', 'dead', 'lease_lost', 'given_back', 'retried', 'replayed', 'receipt')),
  reason text,
  at timestamptz not null,
  primary key (organization_id, id),
  foreign key (organization_id, outbox_id) references private.outbox (organization_id, id) on delete cascade
);
comment on table private.outbox_history is 'What happened to a push on its way, beside the ordinary: of one that is sent at once there is nothing to tell.';
create index outbox_history_outbox_id on private.outbox_history (organization_id, outbox_id, id) where outbox_id is not null;

create table private.push_providers (
  name text primary key constraint push_provider_name_is_well_formed check (name ~ '^[a-z][a-z0-9_]{0,30}$')
);
comment on table private.push_providers is 'The push services of whose tokens devices may be: these, and what a dispatcher that has more declares (public.declare_push_providers).';

create table public.devices (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  provider text not null,
  platform text not null constraint platform_is_known check (platform in ('ios', 'android', 'web')),
  token text not null,
  is_active boolean not null default true,
  deactivated_at timestamptz,
  deactivated_reason text,
  last_seen_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  constraint token_is_one_device unique (organization_id, provider, token),
  constraint token_has_the_form_of_its_provider check (private.is_device_token(provider, token)),
  constraint inactive_devices_say_why check (is_active = (deactivated_at is null) and is_active = (deactivated_reason is null))
);
comment on table public.devices is 'Phones and browsers that pushes reach, each by the token its push service gave it. Registered by their owner (public.register_device).';
comment on column public.devices.last_seen_at is 'When it was last registered.';
comment on column public.devices.deactivated_reason is 'unregistered (by the person), or what the push service said.';
-- (Why a condition that is always true: activities_user_id.)
create index devices_user_id on public.devices (organization_id, user_id) where user_id is not null;

create table public.notification_templates (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  scenario text not null constraint template_scenario_is_known check (private.is_scenario_type(scenario)),
  form text not null default 'self',
  language text not null constraint template_language_is_lower_case_and_well_formed
    check (language = lower(language) and private.is_language(language)),
  title text not null constraint title_is_1_to_120_characters check (btrim(title) <> '' and length(title) <= 120),
  body text not null constraint body_is_1_to_1000_characters check (btrim(body) <> '' and length(body) <= 1000),
  updated_at timestamptz not null default now(),
  primary key (organization_id, scenario, form, language),
  constraint form_belongs_to_the_scenario check (form = any (private.template_forms(scenario)))
);
comment on table public.notification_templates is
  'How an organisation words what it tells people. Where it says nothing, private.default_templates do.';
comment on column public.notification_templates.form is
  'Which of the scenario''s texts: self, to the person; coordinator, about somebody else; of a pastoral case, what happened to it.';
comment on column public.notification_templates.language is 'BCP 47, lower case. A person of es-mx gets es-mx, else es, else the organisation''s language, else en.';

create table private.cooldowns (
  organization_id uuid not null,
  user_id uuid not null,
  scenario text not null constraint cooldown_scenario_is_known check (private.is_scenario_type(scenario)),
  subject text not null,
  last_triggered_at timestamptz not null,
  cooldown_days integer constraint cooldown_is_not_negative check (cooldown_days >= 0),
  spell_from timestamptz,
  told_in_spell integer,
  -- With what tells whom a full evaluation need not look at (private.inactivity_at_rest).
  primary key (organization_id, user_id, scenario, subject) include (last_triggered_at, spell_from, told_in_spell),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table private.cooldowns is 'When a person was last told about a subject. Upserting it is the claim that lets one of two evaluators win.';
comment on column private.cooldowns.cooldown_days is 'The cooldown, in days of 24 hours, that applied when it was last triggered. Null: once and for all.';
comment on column private.cooldowns.spell_from is 'Inactivity: since when the person had been quiet when they were last told.';
comment on column private.cooldowns.told_in_spell is 'How often they have been told since then, at most: what was taken back counts. Null: not known.';
-- Whose cooldown has ended since the last tick.
create index cooldowns_last_triggered on private.cooldowns (organization_id, subject, last_triggered_at) where cooldown_days is not null;

create table private.preference_history (
  organization_id uuid not null,
  id bigint generated always as identity,
  user_id uuid not null,
  scenario text not null,
  channel text not null,
  was_enabled boolean,
  valid_to timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table private.preference_history is
  'Preferences as they stood until they were changed. The state at a time is the earliest row that ended after it, else the preference of today.';
comment on column private.preference_history.was_enabled is 'Null: nothing was stored.';
create index preference_history_ends on private.preference_history (organization_id, user_id, valid_to);
create index preference_history_ended on private.preference_history (valid_to);

alter table public.notification_preferences enable row level security;
alter table public.notifications enable row level security;
alter table private.outbox enable row level security;
alter table private.cooldowns enable row level security;
alter table private.preference_history enable row level security;
alter table private.outbox_devices enable row level security;
alter table private.outbox_history enable row level security;
alter table private.push_providers enable row level security;
alter table public.devices enable row level security;
alter table public.notification_templates enable row level security;

create policy "people read their own preferences" on public.notification_preferences for select to authenticated
  using (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()));
create policy "people set their own preferences" on public.notification_preferences for insert to authenticated
  with check (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()));
create policy "people change their own preferences" on public.notification_preferences for update to authenticated
  using (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()))
  with check (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()));
create policy "people remove their own preferences" on public.notification_preferences for delete to authenticated
  using (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()));

create policy "people read their own notifications" on public.notifications for select to authenticated
  using (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id())
    and retracted_at is null);
create policy "people mark their own notifications" on public.notifications for update to authenticated
  using (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id())
    and retracted_at is null)
  with check (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()));

create policy "people read their own devices" on public.devices for select to authenticated
  using (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()));

create policy "people read their organisation's templates" on public.notification_templates for select to authenticated
  using (organization_id = (select private.current_organization_id()));
create policy "admins add templates" on public.notification_templates for insert to authenticated
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins change templates" on public.notification_templates for update to authenticated
  using (organization_id = (select private.organization_as('{admin}')))
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins remove templates" on public.notification_templates for delete to authenticated
  using (organization_id = (select private.organization_as('{admin}')));

revoke all on public.notification_preferences, public.notifications, public.devices, public.notification_templates from public, anon, authenticated, service_role;
revoke all on private.outbox, private.outbox_devices, private.outbox_history, private.cooldowns, private.preference_history, private.push_providers
  from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.notification_preferences to authenticated, service_role;
grant select on public.notifications to authenticated;
grant update (read_at, dismissed_at) on public.notifications to authenticated;
grant select, insert, update, delete on public.notifications to service_role;
grant select, insert, update, delete on private.outbox, private.cooldowns to service_role;
grant select on private.preference_history to service_role;
grant select, insert, update, delete on private.outbox_devices to service_role;
grant select, insert on private.outbox_history to service_role;
grant select, insert on private.push_providers to service_role;
grant select on public.devices to authenticated;
grant select, insert, update, delete on public.devices to service_role;
grant select, insert, update, delete on public.notification_templates to authenticated, service_role;

create trigger notification_preferences_keep_history after insert or update or delete on public.notification_preferences
  for each row execute function private.keep_preference_history();
create trigger notification_preferences_retract after insert or update on public.notification_preferences
  for each row when (not new.is_enabled) execute function private.retract_opted_out();
create trigger devices_check_provider before insert or update of provider on public.devices
  for each row execute function private.check_provider();
create trigger notification_templates_check before insert or update on public.notification_templates
  for each row execute function private.check_template();

-- A trigger of its own: dropping it loses seconds, never a push. Judged as each row is written, so a million rows queue one call.
create constraint trigger outbox_ring_bell after insert or update on private.outbox
  deferrable initially deferred
  for each row when (new.rings and new.state = 'pending')
  execute function private.ring_bell_at_commit('push-notification-dispatcher', 'public', 'notifications');

insert into private.bells (function_name) values ('push-notification-dispatcher');
insert into private.push_providers (name) values ('expo'), ('fcm');
