-- Delivery: see supabase/schemas/30_delivery/, to which the migrations are proven equal.
set check_function_bodies = off;

-- What people are told (in-app), and what waits to be pushed to their phones (outbox).

create type public.outbox_state as enum
  ('pending', 'claimed', 'sent', 'deferred', 'skipped', 'retracted', 'failed', 'dead');
comment on type public.outbox_state is 'Where a push is on its way. Skipped is never failed.';

create function private.check_scenario_type(p_scenario text) returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if private.is_scenario_type(p_scenario) is not true then
    raise exception using errcode = 'PT400', message = 'unknown_scenario',
      detail = jsonb_build_object('scenario', p_scenario, 'allowed', to_jsonb(private.scenario_types()))::text;
  end if;
end;
$$;
comment on function private.check_scenario_type(text) is 'Raises PT400 unknown_scenario unless the engine knows the scenario.';
revoke all on function private.check_scenario_type(text) from public, anon, authenticated, service_role;
grant execute on function private.check_scenario_type(text) to service_role;

create function private.is_scenario_type(p_scenario text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select p_scenario = any (private.scenario_types());
$$;
comment on function private.is_scenario_type(text) is 'Whether this is a scenario the engine knows.';
revoke all on function private.is_scenario_type(text) from public, anon, authenticated, service_role;
grant execute on function private.is_scenario_type(text) to authenticated, service_role;

create function private.scenario_types() returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select array['inactivity'];
$$;
comment on function private.scenario_types() is 'The scenarios the engine knows. A new scenario adds its name here.';
revoke all on function private.scenario_types() from public, anon, authenticated, service_role;
grant execute on function private.scenario_types() to authenticated, service_role;

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
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table public.notifications is 'What a person was told: the in-app list.';
comment on column public.notifications.subject is 'What within the scenario it is about; part of the cooldown key (rules.md §3).';
comment on column public.notifications.crossed_at is 'When the condition became true.';
comment on column public.notifications.triggered_at is 'The clock of the evaluation that decided.';
-- Even if a cooldown row were lost, one evaluation tells a person one thing once.
create unique index notifications_once_per_decision
  on public.notifications (organization_id, user_id, scenario, subject, triggered_at)
  -- Always true; keeps it away from the check of the outbox's foreign key (see activities_user_id).
  where user_id is not null;

create table private.outbox (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  notification_id uuid not null,
  user_id uuid not null,
  channel text not null constraint outbox_channel_is_known check (channel in ('push')),
  state public.outbox_state not null default 'pending',
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  -- The person follows from the notification, whose own reference guards it.
  foreign key (organization_id, notification_id) references public.notifications (organization_id, id) on delete cascade,
  constraint outbox_one_per_notification_and_channel unique (organization_id, notification_id, channel)
);
comment on table private.outbox is 'What is to be sent outside, written in the transaction that decided it.';

create table private.cooldowns (
  organization_id uuid not null,
  user_id uuid not null,
  scenario text not null constraint cooldown_scenario_is_known check (private.is_scenario_type(scenario)),
  subject text not null,
  last_triggered_at timestamptz not null,
  cooldown_days integer not null constraint cooldown_is_not_negative check (cooldown_days >= 0),
  primary key (organization_id, user_id, scenario, subject),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table private.cooldowns is 'When a person was last told about a subject. Upserting it is the claim that lets one of two evaluators win.';
comment on column private.cooldowns.cooldown_days is 'The cooldown, in days of 24 hours, that applied when it was last triggered.';

alter table public.notification_preferences enable row level security;
alter table public.notifications enable row level security;
alter table private.outbox enable row level security;
alter table private.cooldowns enable row level security;

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
  using (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()));
create policy "people mark their own notifications" on public.notifications for update to authenticated
  using (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()))
  with check (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()));

revoke all on public.notification_preferences, public.notifications from public, anon, authenticated, service_role;
revoke all on private.outbox, private.cooldowns from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.notification_preferences to authenticated, service_role;
grant select on public.notifications to authenticated;
grant update (read_at, dismissed_at) on public.notifications to authenticated;
grant select, insert, update, delete on public.notifications to service_role;
grant select, insert, update, delete on private.outbox, private.cooldowns to service_role;
