create table public.notification_preferences (
  organization_id uuid not null,
  user_id uuid not null,
  scenario text not null constraint preference_scenario_is_known
    check (scenario = 'all' or private.is_scenario_type(scenario)),
  channel text not null default 'all' constraint preference_channel_is_known check (channel in ('all', 'push')),
  is_enabled boolean not null,
  primary key (organization_id, user_id, scenario, channel),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table public.notification_preferences is
  'Opt-outs. No row means on. Off for a scenario (or all) on channel all stops everything of it; off for push leaves the in-app list.';
-- Few opt out: the gates read only them.
create index notification_preferences_opted_out on public.notification_preferences (organization_id, user_id)
  where not is_enabled;

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
  primary key (organization_id, id),
  -- The person follows from the notification, whose own reference guards it.
  foreign key (organization_id, notification_id) references public.notifications (organization_id, id) on delete cascade,
  constraint outbox_one_per_notification_and_channel unique (organization_id, notification_id, channel)
);
comment on table private.outbox is 'What is to be sent outside, written in the transaction that decided it.';
comment on column private.outbox.release_at is 'Not to be sent before: the end of the quiet hours it fell into.';
-- What can still be taken back.
create index outbox_undelivered on private.outbox (organization_id, user_id) where state in ('pending', 'deferred');
-- What is over.
create index outbox_done on private.outbox (created_at) where state in ('sent', 'skipped', 'retracted', 'dead');

create table private.cooldowns (
  organization_id uuid not null,
  user_id uuid not null,
  scenario text not null constraint cooldown_scenario_is_known check (private.is_scenario_type(scenario)),
  subject text not null,
  last_triggered_at timestamptz not null,
  cooldown_days integer constraint cooldown_is_not_negative check (cooldown_days >= 0),
  primary key (organization_id, user_id, scenario, subject),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table private.cooldowns is 'When a person was last told about a subject. Upserting it is the claim that lets one of two evaluators win.';
comment on column private.cooldowns.cooldown_days is 'The cooldown, in days of 24 hours, that applied when it was last triggered. Null: once and for all.';
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

revoke all on public.notification_preferences, public.notifications from public, anon, authenticated, service_role;
revoke all on private.outbox, private.cooldowns, private.preference_history from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.notification_preferences to authenticated, service_role;
grant select on public.notifications to authenticated;
grant update (read_at, dismissed_at) on public.notifications to authenticated;
grant select, insert, update, delete on public.notifications to service_role;
grant select, insert, update, delete on private.outbox, private.cooldowns to service_role;
grant select on private.preference_history to service_role;

create trigger notification_preferences_keep_history after insert or update or delete on public.notification_preferences
  for each row execute function private.keep_preference_history();
create trigger notification_preferences_retract after insert or update on public.notification_preferences
  for each row when (not new.is_enabled) execute function private.retract_opted_out();
