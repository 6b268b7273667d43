-- Delivery: devices, templates, the outbox from its release to the phone, receipts, and what operators ask and do.
set check_function_bodies = off; -- functions come before the tables they read; every body is exercised by the tests

-- Languages of people and settings of organisations.
create function private.is_language(p_language text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select p_language ~* '^[a-z]{2,3}(-[a-z0-9]{2,8})*$';
$$;
comment on function private.is_language(text) is 'Whether this is a well-formed language tag (BCP 47), such as nb, es or en-GB. Unknown languages are allowed: templates may exist for them.';
revoke all on function private.is_language(text) from public, anon, authenticated, service_role;
grant execute on function private.is_language(text) to authenticated, service_role;

alter table public.users add column language text constraint user_language_is_well_formed check (private.is_language(language));
comment on column public.users.language is 'BCP 47, such as nb or es-MX: what they are told in. Null: the organisation''s setting "language", else English.';
grant update (language) on public.users to authenticated;

create or replace function private.is_setting_valid(p_key text, p_value jsonb) returns boolean
language sql stable parallel safe
set search_path = ''
as $$
  select case p_key
    when 'absence_alert_threshold' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,3}$'
    when 'recase_after_days' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$'
    when 'engagement_weights' then private.are_engagement_numbers(p_value, 0)
    when 'engagement_targets' then private.are_engagement_numbers(p_value, 0.01)
    when 'notification_daily_cap' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^([1-9][0-9]?|100)$'
    when 'quiet_hours' then
      jsonb_typeof(p_value) = 'object' and (p_value - '{from,to}'::text[]) = '{}'
      and coalesce(p_value ->> 'from' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$' and p_value ->> 'to' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'
        and p_value ->> 'from' <> p_value ->> 'to', false)
    when 'panel_time_zone' then
      jsonb_typeof(p_value) = 'string' and private.is_time_zone(p_value #>> '{}')
    when 'panel_session_target' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$'
    when 'learning_stuck_days' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$'
    when 'learning_weekly_lessons' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$'
    when 'learning_pass_score' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^([0-9]|[1-9][0-9]|100)$'
    when 'language' then
      jsonb_typeof(p_value) = 'string' and private.is_language(p_value #>> '{}')
    when 'push_deadline_hours' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$' and (p_value #>> '{}')::integer <= 168
    else btrim(p_key) <> ''
  end;
$$;
comment on function private.is_setting_valid(text, jsonb) is
  'Whether a setting may be stored: each known key names its range, other keys only need a name. absence_alert_threshold: a whole number from 1 to 9999 (rules.md §4). recase_after_days: a whole number from 1 to 999. engagement_weights: numbers from 0 to 1000000 by attendance, groups, volunteering, classes, donations, not all of them 0; engagement_targets: the same from 0.01. notification_daily_cap: a whole number from 1 to 100. quiet_hours: {"from": "21:00", "to": "08:00"}, local times that differ. panel_time_zone: the name of a time zone. panel_session_target, learning_stuck_days, learning_weekly_lessons: whole numbers from 1 to 999; learning_pass_score: from 0 to 100. language: a tag such as "nb". push_deadline_hours: a whole number from 1 to 168.';
revoke all on function private.is_setting_valid(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.is_setting_valid(text, jsonb) to authenticated, service_role;

-- The outbox, devices, templates.
create type private.push_outcome as (
  organization_id uuid,
  outbox_id uuid,
  lease integer,
  device_id uuid,
  verdict text,
  provider_id text,
  reason text,
  retry_after double precision,
  awaits_receipt boolean
);
comment on type private.push_outcome is
  'What a provider said of one push to one device. verdict: sent, device_gone, retry or refused; null, of a receipt: not known yet.';

grant execute on function private.check_scenario_type(text) to authenticated;

create function private.is_device_token(p_provider text, p_token text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select case p_provider
    when 'fcm' then p_token ~ '^[A-Za-z0-9_:.-]+$' and length(p_token) between 20 and 4096
    when 'expo' then p_token ~ '^Expo(nent)?PushToken\[[A-Za-z0-9_-]{10,200}\]$'
    else false
  end;
$$;
comment on function private.is_device_token(text, text) is
  'Whether a push service could have given this token: fcm, 20 to 4096 of letters, digits and _:.-; expo, ExponentPushToken[…]. Whether it did, only sending tells.';
revoke all on function private.is_device_token(text, text) from public, anon, authenticated, service_role;
grant execute on function private.is_device_token(text, text) to service_role;

create function private.template_forms(p_scenario text) returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select case p_scenario
    when 'pastoral_case' then array['opened', 'reopened', 'escalated', 'assigned']
    else array['self', 'coordinator']
  end;
$$;
comment on function private.template_forms(text) is
  'The texts a scenario has: to the person themselves and to their coordinators, or one for each thing that happens to a pastoral case.';
revoke all on function private.template_forms(text) from public, anon, authenticated, service_role;
grant execute on function private.template_forms(text) to authenticated, service_role;

create function private.check_template() returns trigger
language plpgsql
set search_path = ''
as $$
declare
  v_allowed constant text[] := private.template_placeholders(new.scenario, new.form);
  v_text text;
  v_unknown text;
begin
  perform private.check_scenario_type(new.scenario);
  if new.form <> all (private.template_forms(new.scenario)) then
    raise exception using errcode = 'PT400', message = 'unknown_form',
      detail = jsonb_build_object('form', new.form, 'allowed', private.template_forms(new.scenario))::text;
  end if;
  foreach v_text in array array[new.title, new.body] loop
    if regexp_replace(v_text, '\{[^{}]*\}', '', 'g') ~ '[{}]' then
      raise exception using errcode = 'PT400', message = 'unmatched_brace',
        detail = jsonb_build_object('text', v_text, 'allowed', v_allowed)::text, hint = 'Braces stand around the name of a value, and nowhere else.';
    end if;
    select m.parts[1] into v_unknown
    from regexp_matches(v_text, '\{([^{}]*)\}', 'g') as m (parts)
    where m.parts[1] <> all (v_allowed)
    limit 1;
    if found then
      raise exception using errcode = 'PT400', message = 'unknown_placeholder',
        detail = jsonb_build_object('placeholder', v_unknown, 'allowed', v_allowed)::text;
    end if;
  end loop;
  new.updated_at := now();
  return new;
end;
$$;
comment on function private.check_template() is
  'Trigger on public.notification_templates: PT400 unknown_placeholder, unmatched_brace or unknown_form, with what is allowed.';
revoke all on function private.check_template() from public, anon, authenticated, service_role;

drop index private.outbox_undelivered;
alter table private.outbox drop constraint outbox_one_per_notification_and_channel;
alter table private.outbox
  add column next_attempt_at timestamptz not null default now(),
  add column rings boolean not null default false,
  add column holder uuid,
  add column lease integer not null default 0,
  add column attempts integer not null default 0 constraint attempts_are_not_negative check (attempts >= 0),
  add column last_error text,
  add column skipped_reason text constraint skipped_reason_is_known
    check (skipped_reason in ('retracted', 'opted_out', 'person_inactive', 'stale', 'condition_gone', 'no_device')),
  add column settled_at timestamptz,
  add constraint skipped_says_why check ((state = 'skipped') = (skipped_reason is not null)),
  add constraint claimed_has_a_holder check (state <> 'claimed' or holder is not null);
update private.outbox o set next_attempt_at = o.release_at where o.state in ('pending', 'deferred');
comment on column private.outbox.release_at is 'Not to be sent before: the end of the quiet hours it fell into. From here its deadline is counted.';
comment on column private.outbox.next_attempt_at is 'When a dispatcher may take it: at its release, for its next attempt, or, claimed, when the lease of its holder ends.';
comment on column private.outbox.rings is 'The first of its transaction that may go at once: at commit it rings the bell.';
comment on column private.outbox.holder is 'Who claimed it last.';
comment on column private.outbox.lease is 'Counts the claims. Outcomes name the one they belong to, so that whoever lost it records nothing.';
comment on column private.outbox.attempts is 'How often outcomes were recorded. A dispatcher that died has not attempted: the deadline bounds those.';
comment on column private.outbox.settled_at is 'When it became sent, skipped or dead.';
-- What can still be taken back.
create unique index outbox_one_per_notification_and_channel on private.outbox (organization_id, notification_id, channel)
  -- Always true; keeps it away from the checks of what refers to a push (see activities_user_id).
  where notification_id is not null;
create index outbox_undelivered on private.outbox (organization_id, user_id) where state in ('pending', 'deferred', 'failed');
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

create table public.devices (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  provider text not null constraint device_provider_is_known check (provider in ('fcm', 'expo')),
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


alter table private.outbox_devices enable row level security;
alter table private.outbox_history enable row level security;
alter table public.devices enable row level security;
alter table public.notification_templates enable row level security;

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

revoke all on public.devices, public.notification_templates, private.outbox_devices, private.outbox_history
  from public, anon, authenticated, service_role;
grant select, insert, update, delete on private.outbox_devices to service_role;
grant select, insert on private.outbox_history to service_role;
grant select on public.devices to authenticated;
grant select, insert, update, delete on public.devices to service_role;
grant select, insert, update, delete on public.notification_templates to authenticated, service_role;

create trigger notification_templates_check before insert or update on public.notification_templates
  for each row execute function private.check_template();

-- A trigger of its own: dropping it loses seconds, never a push. Judged as each row is written, so a million rows queue one call.
create constraint trigger outbox_ring_bell after insert or update on private.outbox
  deferrable initially deferred
  for each row when (new.rings and new.state = 'pending')
  execute function private.ring_bell_at_commit('push-notification-dispatcher', 'public', 'notifications');

insert into private.bells (function_name) values ('push-notification-dispatcher');

-- What the engine and member care have to do with it.
drop function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz);
create function private.unmatched_notifications(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[], p_now timestamptz,
  p_notification_ids uuid[] default null)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  -- Asked of what waits, never of everything that was ever told: a chunk must not cost more as a run goes on. Mostly nothing does.
  v_waiting constant uuid[] := coalesce(p_notification_ids, array(
    select o.notification_id from private.outbox o
    where o.organization_id = p_organization_id and o.state in ('pending', 'deferred', 'failed')
      and (p_from_user is null or o.user_id >= p_from_user) and (p_to_user is null or o.user_id < p_to_user)
      and (p_user_ids is null or o.user_id = any (p_user_ids))));
begin
  if v_waiting = '{}' then
    return v_waiting;
  end if;
  return array(
    select n.id
    from public.notifications n
    where n.organization_id = p_organization_id and n.id = any (v_waiting)
      -- Of who is in quarantine nobody knows what matches.
      and not exists (select from private.quarantine q where q.organization_id = n.organization_id and q.user_id = n.user_id)
      -- Without a rule, somebody outside decided. What was decided later than p_now is not this evaluation's to judge, nor is a
      -- milestone of a year that is no longer looked at, while its rule is on.
      and n.rule_id is not null and n.triggered_at <= p_now
      and (coalesce((n.context ->> 'period_start')::timestamptz >= date_trunc('year', p_now, 'UTC'), true)
        or not exists (
          select from public.scenario_rules r
          where r.organization_id = n.organization_id and r.id = n.rule_id and r.is_enabled))
      and not exists (
        select from unnest(p_matches) as m
        where m.user_id = n.user_id and m.scenario = n.scenario and m.subject = n.subject
          and (m.gate is null or m.gate not in ('rule_disabled', 'person_inactive', 'away', 'not_matched')))
  );
end;
$$;
comment on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz, uuid[]) is
  'What was decided for these people, has not been sent, and no longer holds: p_matches are all they match at p_now. An evaluation takes it back, and a dry-run knows that it will. With p_notification_ids, which of these no longer hold, whoever is about to send them.';
revoke all on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz, uuid[]) to service_role;

create or replace function private.claim_notifications(
  p_organization_id uuid, p_claims private.notification_claim[], p_now timestamptz)
returns setof private.claim_outcome
language plpgsql volatile
set search_path = ''
-- Foreign keys, too, are checked by plans that are made in here.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_snapshot text;
  v_judged private.judged_claim[];
  v_passed private.judged_claim[];
  v_taken text[];
  v_lost private.judged_claim[];
  v_ids uuid[];
  v_ringing uuid;
begin
  if p_claims is null then
    return;
  end if;
  v_snapshot := pg_current_snapshot();
  v_judged := array(select g from private.delivery_gates(p_organization_id, p_claims, p_now, null) g);
  -- Whoever may be told is locked, in the order of the key, so that two evaluators never wait for each other in a circle, and
  -- then, if anybody committed anything meanwhile, judged again by a statement that sees it: a cooldown taken, a day filled, an
  -- opt-out.
  perform from public.users u
  where u.organization_id = p_organization_id and u.id in (
    select g.user_id from unnest(v_judged) as g where g.gate in ('would_send', 'quiet_hours')
    union
    select uc.coordinator_id from unnest(v_judged) as g
    cross join lateral (
      select w.coordinator_id from public.user_coordinators w
      where w.organization_id = p_organization_id and w.user_id = g.user_id
      offset 0
    ) uc
    where g.gate in ('would_send', 'quiet_hours') and g.informs_coordinators)
  order by u.id
  for no key update of u;
  if found then
    v_judged := case when v_snapshot = pg_current_snapshot()::text then v_judged else array(
      select g from unnest(v_judged) as g where g.gate not in ('would_send', 'quiet_hours')
      union all
      select g from private.delivery_gates(p_organization_id, array(
        select row(c.user_id, c.scenario, c.subject, c.rule_id, c.cooldown_days, c.crossed_at, c.context, c.rule_version, c.priority,
          c.is_mandatory, c.informs_coordinators)::private.notification_claim
        from unnest(v_judged) as c where c.gate in ('would_send', 'quiet_hours')), p_now, null) g) end;
    v_passed := array(
      select g from unnest(v_judged) as g where g.gate in ('would_send', 'quiet_hours') order by g.user_id, g.scenario, g.subject);
  end if;

  -- One statement a table, each reading the array alone: joins between what they return would be planned for ten rows.
  if v_passed <> '{}' then
    with cooled as (
      insert into private.cooldowns as cd (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)
      select p_organization_id, p.user_id, p.scenario, p.subject, p_now, p.cooldown_days
      from unnest(v_passed) as p
      on conflict (organization_id, user_id, scenario, subject) do update
        set last_triggered_at = excluded.last_triggered_at, cooldown_days = excluded.cooldown_days
        where cd.last_triggered_at + make_interval(hours => 24 * excluded.cooldown_days) <= excluded.last_triggered_at
      returning cd.user_id, cd.scenario, cd.subject
    )
    select array_agg(concat_ws(' ', c.user_id, c.scenario, c.subject)) into v_taken from cooled c;
    if cardinality(v_taken) is distinct from cardinality(v_passed) then
      -- A sender outside, who asks for no lock, took some of them this moment (public.record_last_triggered).
      v_lost := array(
        select p from unnest(v_passed) as p
        where (concat_ws(' ', p.user_id, p.scenario, p.subject) = any (v_taken)) is not true);
      v_passed := array(
        select p from unnest(v_passed) as p where concat_ws(' ', p.user_id, p.scenario, p.subject) = any (v_taken));
    end if;
    v_ids := array(select gen_random_uuid() from unnest(v_passed));
    insert into public.notifications (
      organization_id, id, user_id, scenario, subject, rule_id, rule_version, context, crossed_at, triggered_at, release_on, is_mandatory)
    select p_organization_id, p.id, p.user_id, p.scenario, p.subject, p.rule_id, p.rule_version, p.context, p.crossed_at, p_now,
      p.release_on, coalesce(p.is_mandatory, false)
    from rows from (unnest(v_ids), unnest(v_passed)) as p (id);
    select p.id into v_ringing
    from rows from (unnest(v_ids), unnest(v_passed)) as p (id)
    where p.release_at <= p_now and (not p.is_push_opted_out or p.is_mandatory)
    limit 1;
    insert into private.outbox (organization_id, notification_id, user_id, channel, state, release_at, next_attempt_at, rings)
    select p_organization_id, p.id, p.user_id, 'push',
      case when p.release_at > p_now then 'deferred' else 'pending' end::public.outbox_state, p.release_at, p.release_at,
      -- One that may go at once rings for all; the time of the others is told by the clock.
      p.id is not distinct from v_ringing
    from rows from (unnest(v_ids), unnest(v_passed)) as p (id)
    where not p.is_push_opted_out or p.is_mandatory;
    perform private.inform_coordinators(p_organization_id, v_passed, p_now);
  end if;

  return query
  select p.user_id, p.scenario, p.subject, case p.gate when 'quiet_hours' then p.gate else 'sent' end, p.id,
    p_now + make_interval(hours => 24 * p.cooldown_days), null::timestamptz, p.rule_id, p.crossed_at, p.context
  from rows from (unnest(v_ids), unnest(v_passed)) as p (id)
  union all
  select g.user_id, g.scenario, g.subject, g.gate, null, g.cooldown_until, g.look_again_at, g.rule_id, g.crossed_at, g.context
  from unnest(v_judged) as g
  where g.gate not in ('would_send', 'quiet_hours')
  union all
  select l.user_id, l.scenario, l.subject, 'cooling_down', null, null, null, l.rule_id, l.crossed_at, l.context
  from unnest(v_lost) as l;
end;
$$;
comment on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) is
  'The atomic act: preference, cooldown, cap, notification and outbox row, together or not at all, for people of one organisation. One outcome a claim: sent, quiet_hours (made, pushed when they end), opted_out, cooling_down, capped (until look_again_at) or person_inactive (also: no longer there). (user, scenario, subject) must be unique among the claims.';
revoke all on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) to service_role;

create function private.is_case_of(p_status public.case_status, p_assigned_servant_id uuid, p_servant_id uuid) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select p_status in ('open', 'in_progress') and p_assigned_servant_id is not distinct from p_servant_id;
$$;
comment on function private.is_case_of(public.case_status, uuid, uuid) is
  'Whether a case is still to be done, and still this servant''s: else news of it concern them no more.';
revoke all on function private.is_case_of(public.case_status, uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.is_case_of(public.case_status, uuid, uuid) to service_role;

create or replace function private.retract_case_news(p_organization_id uuid, p_case_ids uuid[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  with taken as (
    update private.outbox o
    set state = 'retracted'
    from public.notifications n
    join public.pastoral_cases c on c.organization_id = n.organization_id and c.id::text = n.context ->> 'case_id'
    where n.organization_id = p_organization_id and n.scenario = 'pastoral_case' and n.context ->> 'case_id' = any (p_case_ids::text[])
      and o.organization_id = n.organization_id and o.notification_id = n.id and o.user_id = n.user_id
      and o.state in ('pending', 'deferred', 'failed') and not private.is_case_of(c.status, c.assigned_servant_id, n.user_id)
    returning o.notification_id
  )
  update public.notifications n
  set retracted_at = p_now
  from taken t
  where n.organization_id = p_organization_id and n.id = t.notification_id
    and n.read_at is null and n.dismissed_at is null and n.retracted_at is null;
end;
$$;
comment on function private.retract_case_news(uuid, uuid[], timestamptz) is
  'Takes back what has not reached a servant of these cases and no longer concerns them: they are done with, or somebody else''s.';
revoke all on function private.retract_case_news(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.retract_case_news(uuid, uuid[], timestamptz) to service_role;

create or replace function private.retract_unmatched(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_unmatched constant uuid[] := private.unmatched_notifications(p_organization_id, p_from_user, p_to_user, p_user_ids, p_matches, p_now);
  v_taken uuid[];
begin
  if v_unmatched = '{}' then
    return;
  end if;
  -- Whoever opts out locks themselves first and then these rows (private.retract_opted_out): the other way round would be a
  -- circle. Those who are about to be told are locked along, so that all locks are taken in the order of the key.
  perform from public.users u
  where u.organization_id = p_organization_id and u.id in (
    select n.user_id from public.notifications n where n.organization_id = p_organization_id and n.id = any (v_unmatched)
    union
    select m.user_id from unnest(p_matches) as m where m.gate is null
    union
    select uc.coordinator_id from unnest(p_matches) as m
    join public.user_coordinators uc on uc.organization_id = p_organization_id and uc.user_id = m.user_id
    where m.gate is null)
  order by u.id
  for no key update of u;
  with taken as (
    update private.outbox o
    set state = 'retracted'
    where o.organization_id = p_organization_id and o.notification_id = any (v_unmatched) and o.state in ('pending', 'deferred', 'failed')
    returning o.notification_id
  )
  select array_agg(t.notification_id) into v_taken from taken t;
  perform private.take_back(p_organization_id, v_taken, p_now);
end;
$$;
comment on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) is
  'Takes back what was decided for these people, has not been sent, and no longer holds: p_matches are all they match at p_now. What has been read in the app stays there; what coordinators were told of it goes along.';
revoke all on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) to service_role;

create function private.take_back(p_organization_id uuid, p_notification_ids uuid[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  with retracted as (
    update public.notifications n
    set retracted_at = p_now
    where n.organization_id = p_organization_id and n.id = any (p_notification_ids)
      and n.read_at is null and n.dismissed_at is null and n.retracted_at is null
    returning n.user_id, n.scenario, n.subject, n.triggered_at
  ), retold as (
    -- A lead that nobody saw is told again where the certificate turns out to expire after all. (A milestone stays recorded, and
    -- inactivity cools down.)
    delete from private.cooldowns cd
    using retracted r
    where cd.organization_id = p_organization_id and cd.user_id = r.user_id and cd.scenario = r.scenario and cd.subject = r.subject
      and r.scenario = 'certification_expiry'
  )
  update public.notifications n
  set retracted_at = p_now
  from retracted r
  where n.organization_id = p_organization_id and n.about_user_id = r.user_id and n.scenario = r.scenario
    and n.subject = r.subject || '/' || r.user_id and n.triggered_at = r.triggered_at
    and n.read_at is null and n.dismissed_at is null and n.retracted_at is null;
end;
$$;
comment on function private.take_back(uuid, uuid[], timestamptz) is
  'Takes notifications out of the app that were not pushed and no longer hold. What has been read stays; what coordinators were told of it goes along. For whoever has taken back the push and holds the locks of the people (private.retract_unmatched).';
revoke all on function private.take_back(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.take_back(uuid, uuid[], timestamptz) to service_role;

-- Words.
create function private.template_placeholders(p_scenario text, p_form text) returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select array['name', 'first_name', 'organization']
    || case when p_form = 'coordinator' then array['person'] else '{}' end
    || case p_scenario
      when 'inactivity' then array['days', 'since', 'last_activity']
      when 'milestone' then array['threshold', 'value', 'metric', 'period']
      when 'certification_expiry' then array['certificate', 'expires_on', 'days']
      when 'pastoral_case' then array['absences']
      else '{}'
    end;
$$;
comment on function private.template_placeholders(text, text) is
  'What a text may name in braces. Nothing of somebody asked after: a phone shows it to whoever looks.';
revoke all on function private.template_placeholders(text, text) from public, anon, authenticated, service_role;
grant execute on function private.template_placeholders(text, text) to authenticated, service_role;

create function private.languages(p_own text, p_organization text) returns text[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  v_language text;
  v_found text[] := '{}';
begin
  foreach v_language in array array[lower(p_own), lower(p_organization), 'en'] loop
    while v_language <> '' loop
      v_found := v_found || v_language;
      -- The default texts are in Bokmål, which everybody who asks for Norwegian reads.
      if v_language in ('no', 'nn') then
        v_found := v_found || array['nb', 'no'];
      elsif v_language = 'nb' then
        v_found := v_found || 'no'::text;
      end if;
      v_language := case when v_language like '%-%' then regexp_replace(v_language, '-[^-]*$', '') else '' end;
    end loop;
  end loop;
  return v_found;
end;
$$;
comment on function private.languages(text, text) is
  'In which languages a text is looked for, best first: a person''s own and what it is a variety of, then the organisation''s, then English.';
revoke all on function private.languages(text, text) from public, anon, authenticated, service_role;
grant execute on function private.languages(text, text) to authenticated, service_role;

create function private.written_date(p_day date, p_language text) returns text
language sql immutable parallel safe
set search_path = ''
as $$
  select case split_part(p_language, '-', 1)
    when 'en' then d.day || ' ' || (array['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August',
      'September', 'October', 'November', 'December'])[d.month] || ' ' || d.year
    when 'nb' then d.day || '. ' || (array['januar', 'februar', 'mars', 'april', 'mai', 'juni', 'juli', 'august',
      'september', 'oktober', 'november', 'desember'])[d.month] || ' ' || d.year
    when 'no' then private.written_date(p_day, 'nb')
    when 'nn' then private.written_date(p_day, 'nb')
    when 'es' then d.day || ' de ' || (array['enero', 'febrero', 'marzo', 'abril', 'mayo', 'junio', 'julio', 'agosto',
      'septiembre', 'octubre', 'noviembre', 'diciembre'])[d.month] || ' de ' || d.year
    else to_char(p_day, 'YYYY-MM-DD')
  end
  from (select extract(day from p_day)::integer as day, extract(month from p_day)::integer as month, extract(year from p_day)::integer as year) d;
$$;
comment on function private.written_date(date, text) is
  'A day as English, Norwegian and Spanish write it out; 2026-11-21 in any other language. (to_char knows only the server''s locales.)';
revoke all on function private.written_date(date, text) from public, anon, authenticated, service_role;
grant execute on function private.written_date(date, text) to authenticated, service_role;

create function private.default_templates()
returns table (scenario text, form text, language text, title text, body text)
language sql immutable parallel safe
set search_path = ''
as $$
  values
    ('inactivity', 'self', 'en', 'We miss you', 'It has been {days} days since your last activity, {first_name}. How are you? Log what you have done since, or talk to your coordinator.'),
    ('inactivity', 'self', 'nb', 'Vi savner deg', 'Det er {days} dager siden forrige aktivitet, {first_name}. Hvordan går det? Registrer det du har gjort siden sist, eller snakk med koordinatoren din.'),
    ('inactivity', 'self', 'es', 'Te echamos de menos', 'Han pasado {days} días desde tu última actividad, {first_name}. ¿Cómo estás? Registra lo que has hecho desde entonces o habla con tu coordinador.'),
    ('inactivity', 'coordinator', 'en', 'Somebody has gone quiet', '{person} has logged no activity for {days} days, since {since}. A call may help.'),
    ('inactivity', 'coordinator', 'nb', 'Noen har blitt stille', '{person} har ikke registrert aktivitet på {days} dager, siden {since}. En telefon kan hjelpe.'),
    ('inactivity', 'coordinator', 'es', 'Alguien lleva tiempo sin actividad', '{person} no ha registrado actividades en {days} días, desde el {since}. Una llamada puede ayudar.'),
    ('milestone', 'self', 'en', 'You have reached a milestone', 'Congratulations, {first_name}: {threshold} {metric} {period}! Thank you for being there for others.'),
    ('milestone', 'self', 'nb', 'Du har nådd en milepæl', 'Gratulerer, {first_name}: {threshold} {metric} {period}! Takk for at du er der for andre.'),
    ('milestone', 'self', 'es', 'Has alcanzado una meta', '¡Enhorabuena, {first_name}: {threshold} {metric} {period}! Gracias por estar ahí para otras personas.'),
    ('milestone', 'coordinator', 'en', 'Somebody has reached a milestone', '{person} has reached {threshold} {metric} {period}. A good moment to say thank you.'),
    ('milestone', 'coordinator', 'nb', 'Noen har nådd en milepæl', '{person} har nådd {threshold} {metric} {period}. En god anledning til å si takk.'),
    ('milestone', 'coordinator', 'es', 'Alguien ha alcanzado una meta', '{person} ha alcanzado {threshold} {metric} {period}. Un buen momento para dar las gracias.'),
    ('certification_expiry', 'self', 'en', 'A certificate is about to expire', 'Your certificate "{certificate}" expires on {expires_on}. Please renew it in time.'),
    ('certification_expiry', 'self', 'nb', 'Et sertifikat går snart ut', 'Sertifikatet ditt «{certificate}» går ut {expires_on}. Husk å fornye det i tide.'),
    ('certification_expiry', 'self', 'es', 'Un certificado está a punto de caducar', 'Tu certificado «{certificate}» caduca el {expires_on}. Renuévalo a tiempo, por favor.'),
    ('certification_expiry', 'coordinator', 'en', 'A certificate is about to expire', 'The certificate "{certificate}" of {person} expires on {expires_on}.'),
    ('certification_expiry', 'coordinator', 'nb', 'Et sertifikat går snart ut', 'Sertifikatet «{certificate}» til {person} går ut {expires_on}.'),
    ('certification_expiry', 'coordinator', 'es', 'Un certificado está a punto de caducar', 'El certificado «{certificate}» de {person} caduca el {expires_on}.'),
    ('pastoral_case', 'opened', 'en', 'Somebody to look after', 'Somebody of your households has been absent {absences} times in a row. Please log a home visit or a phone call.'),
    ('pastoral_case', 'opened', 'nb', 'Noen trenger oppfølging', 'Noen i familiene dine har vært borte {absences} ganger på rad. Ta gjerne et hjemmebesøk eller en telefon, og registrer det.'),
    ('pastoral_case', 'opened', 'es', 'Alguien necesita atención', 'Alguien de tus familias ha faltado {absences} veces seguidas. Registra una visita o una llamada, por favor.'),
    ('pastoral_case', 'reopened', 'en', 'Somebody is absent again', 'Somebody you looked after is absent again. Please log a home visit or a phone call.'),
    ('pastoral_case', 'reopened', 'nb', 'Noen er borte igjen', 'Noen du har fulgt opp, er borte igjen. Ta gjerne et hjemmebesøk eller en telefon, og registrer det.'),
    ('pastoral_case', 'reopened', 'es', 'Alguien vuelve a faltar', 'Alguien a quien atendías vuelve a faltar. Registra una visita o una llamada, por favor.'),
    ('pastoral_case', 'escalated', 'en', 'Urgent: somebody to look after', 'Somebody of your households has now been absent {absences} times in a row. Please do not wait.'),
    ('pastoral_case', 'escalated', 'nb', 'Haster: noen trenger oppfølging', 'Noen i familiene dine har nå vært borte {absences} ganger på rad. Vennligst ikke vent.'),
    ('pastoral_case', 'escalated', 'es', 'Urgente: alguien necesita atención', 'Alguien de tus familias ha faltado ya {absences} veces seguidas. No esperes, por favor.'),
    ('pastoral_case', 'assigned', 'en', 'Somebody to look after', 'You have been asked to look after somebody who is absent. Please log a home visit or a phone call.'),
    ('pastoral_case', 'assigned', 'nb', 'Noen trenger oppfølging', 'Du er bedt om å følge opp noen som har vært borte. Ta gjerne et hjemmebesøk eller en telefon, og registrer det.'),
    ('pastoral_case', 'assigned', 'es', 'Alguien necesita atención', 'Se te ha pedido que atiendas a alguien que falta. Registra una visita o una llamada, por favor.');
$$;
comment on function private.default_templates() is
  'The texts where an organisation has none of its own, in English, Norwegian and Spanish. Titles name no values, so that there is always one.';
revoke all on function private.default_templates() from public, anon, authenticated, service_role;
grant execute on function private.default_templates() to authenticated, service_role;

create function private.instant_of(p_text text) returns timestamptz
language sql stable parallel safe
set search_path = ''
as $$
  select case when pg_catalog.pg_input_is_valid(p_text, 'timestamptz') then nullif(nullif(p_text::timestamptz, 'infinity'), '-infinity') end;
$$;
comment on function private.instant_of(text) is 'The instant that a text names, null where it names none: what senders outside put into a context is theirs to get wrong.';
revoke all on function private.instant_of(text) from public, anon, authenticated, service_role;
grant execute on function private.instant_of(text) to authenticated, service_role;

create function private.template_values(
  p_scenario text, p_text text, p_context jsonb, p_triggered_at timestamptz, p_time_zone text, p_language text)
returns jsonb
language plpgsql stable parallel safe
set search_path = ''
as $$
declare
  v_base constant text := case split_part(p_language, '-', 1) when 'no' then 'nb' when 'nn' then 'nb' else split_part(p_language, '-', 1) end;
  v_at timestamptz;
begin
  case p_scenario
    when 'inactivity' then
      v_at := private.instant_of(p_context ->> 'anchor_at');
      return jsonb_build_object(
        'days', coalesce(p_context ->> 'days', floor(extract(epoch from p_triggered_at - v_at) / 86400)::text),
        -- Only what is named: to write a day costs more than all the rest.
        'since', case when strpos(p_text, '{since}') > 0 then private.written_date(private.local_date(v_at, p_time_zone), p_language) end,
        'last_activity', case when strpos(p_text, '{last_activity}') > 0 then
          private.written_date(private.local_date(private.instant_of(p_context ->> 'last_activity_at'), p_time_zone), p_language) end);
    when 'milestone' then
      v_at := private.instant_of(p_context ->> 'period_start');
      return jsonb_build_object(
        'threshold', p_context ->> 'threshold', 'value', p_context ->> 'value',
        'metric', case v_base
          when 'nb' then case p_context ->> 'metric' when 'sessions' then 'aktiviteter' when 'hours' then 'timer' when 'contacts' then 'kontakter' end
          when 'es' then case p_context ->> 'metric' when 'sessions' then 'actividades' when 'hours' then 'horas' when 'contacts' then 'contactos' end
          else case p_context ->> 'metric' when 'sessions' then 'activities' when 'hours' then 'hours' when 'contacts' then 'contacts' end end,
        -- The year is one of UTC, as in the statistics.
        'period', case
          when v_at is not null then case v_base when 'nb' then 'i ' when 'es' then 'en ' when 'en' then 'in ' else '' end || extract(year from v_at at time zone 'UTC')
          when p_context ->> 'period' = 'all_time' then case v_base when 'nb' then 'i alt' when 'es' then 'en total' else 'in all' end end);
    when 'certification_expiry' then
      v_at := private.instant_of(p_context ->> 'expires_at');
      return jsonb_build_object(
        'certificate', p_context ->> 'name',
        'expires_on', private.written_date(private.local_date(v_at, p_time_zone), p_language),
        'days', ceil(extract(epoch from v_at - p_triggered_at) / 86400)::text);
    when 'pastoral_case' then
      return jsonb_build_object('absences', p_context ->> 'absences');
    else
      return '{}';
  end case;
end;
$$;
comment on function private.template_values(text, text, jsonb, timestamptz, text, text) is
  'What the placeholders of a text stand for in one notification of a scenario, from its context alone: dates in the reader''s time zone, written out; null where the context does not say.';
revoke all on function private.template_values(text, text, jsonb, timestamptz, text, text) from public, anon, authenticated, service_role;
grant execute on function private.template_values(text, text, jsonb, timestamptz, text, text) to authenticated, service_role;

create function private.render_template(p_template text, p_values jsonb) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  v_parts text[];
  v_value text;
begin
  if strpos(p_template, '{') = 0 then
    return p_template;
  end if;
  -- In one pass, so that a name that has braces in it is a name: every second part stood inside a pair.
  v_parts := string_to_array(translate(p_template, '}', '{'), '{');
  for i in 2 .. cardinality(v_parts) by 2 loop
    v_value := p_values ->> v_parts[i];
    if v_value is null then
      return null;
    end if;
    v_parts[i] := v_value;
  end loop;
  return array_to_string(v_parts, '');
end;
$$;
comment on function private.render_template(text, jsonb) is 'The text with its values, or null where one of them is missing.';
revoke all on function private.render_template(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.render_template(text, jsonb) to authenticated, service_role;

create function private.rendered_notifications(p_organization_ids uuid[], p_notification_ids uuid[])
returns table (organization_id uuid, id uuid, title text, body text, problem text, default_title text, default_body text)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  with asked as materialized (
    select n.organization_id, n.id, n.scenario, n.context, n.triggered_at, u.full_name, o.name as organization, p.full_name as person,
      coalesce(u.time_zone, o.time_zone, 'UTC') as time_zone, u.language as own_language,
      case
        when n.scenario = 'pastoral_case' then case when n.context ->> 'event' = any (private.template_forms(n.scenario)) then n.context ->> 'event' else 'opened' end
        when n.about_user_id is null then 'self' else 'coordinator' end as form
    from rows from (unnest(p_organization_ids), unnest(p_notification_ids)) as c (organization_id, id)
    join public.notifications n on n.organization_id = c.organization_id and n.id = c.id
    join public.users u on u.organization_id = n.organization_id and u.id = n.user_id
    join public.organizations o on o.id = n.organization_id
    left join public.users p on p.organization_id = n.organization_id and p.id = n.about_user_id
  ), worded as materialized (
    -- Looked for once a scenario, form and language, however many are told.
    select d.organization_id, d.scenario, d.form, d.own_language, t.*
    from (select distinct a.organization_id, a.scenario, a.form, a.own_language from asked a) d
    cross join lateral private.languages(d.own_language, (
      select s.value #>> '{}' from public.org_settings_kv s where s.organization_id = d.organization_id and s.key = 'language')) as l (languages)
    cross join lateral (
      select (array_agg(x.title order by x.position, x.is_default))[1] as title, (array_agg(x.body order by x.position, x.is_default))[1] as body,
        (array_agg(x.language order by x.position, x.is_default))[1] as language,
        (array_agg(x.title order by x.position) filter (where x.is_default))[1] as default_title,
        (array_agg(x.body order by x.position) filter (where x.is_default))[1] as default_body,
        (array_agg(x.language order by x.position) filter (where x.is_default))[1] as default_language
      from (
        select w.title, w.body, w.language, false as is_default, array_position(l.languages, w.language) as position
        from public.notification_templates w
        where w.organization_id = d.organization_id and w.scenario = d.scenario and w.form = d.form and w.language = any (l.languages)
        union all
        select w.title, w.body, w.language, true, array_position(l.languages, w.language)
        from private.default_templates() w
        where w.scenario = d.scenario and w.form = d.form and w.language = any (l.languages)
      ) x
    ) t
  )
  select a.organization_id, a.id, r.title, r.body,
    case when r.title is null or r.body is null then (
      select 'missing_value: ' || string_agg(distinct m.parts[1], ', ')
      from regexp_matches(w.title || w.body, '\{([^{}]*)\}', 'g') as m (parts)
      where v.given ->> m.parts[1] is null) end,
    w.default_title,
    case when r.title is null or r.body is null then private.render_template(w.default_body, v.given
      || private.template_values(a.scenario, w.default_body, a.context, a.triggered_at, a.time_zone, w.default_language)) end
  from asked a
  join worded w on w.organization_id = a.organization_id and w.scenario = a.scenario and w.form = a.form
    and w.own_language is not distinct from a.own_language
  cross join lateral (
    select private.template_values(a.scenario, w.title || w.body, a.context, a.triggered_at, a.time_zone, w.language) || jsonb_build_object(
      'name', a.full_name, 'first_name', split_part(btrim(a.full_name), ' ', 1), 'organization', a.organization, 'person', a.person) as given
    offset 0) v
  cross join lateral (
    select left(private.render_template(w.title, v.given), 200) as title, left(private.render_template(w.body, v.given), 2000) as body offset 0) r;
end;
$$;
comment on function private.rendered_notifications(uuid[], uuid[]) is
  'Notifications (arrays of equal length) in words: the organisation''s template or the default, in the best of the reader''s languages. Where a value is missing, title or body is null, problem names it, and the default text is given too. What is pushed and what stands in the app are both this.';
revoke all on function private.rendered_notifications(uuid[], uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.rendered_notifications(uuid[], uuid[]) to authenticated, service_role;

create view public.my_notifications with (security_invoker = true) as
select n.organization_id, n.id, n.user_id, n.scenario,
  case when n.dismissed_at is not null then 'dismissed' when n.read_at is not null then 'read' else 'unread' end as state,
  -- Asked for each column and row, so that a page costs its own rows and not the whole list.
  (select coalesce(r.title, r.default_title) from private.rendered_notifications(array[n.organization_id], array[n.id]) r) as title,
  (select coalesce(r.body, r.default_body) from private.rendered_notifications(array[n.organization_id], array[n.id]) r) as body,
  n.context, n.about_user_id, n.triggered_at, n.created_at, n.read_at, n.dismissed_at
from public.notifications n
where n.retracted_at is null;
comment on view public.my_notifications is
  'The in-app list of whoever asks, in their words: unread, read or dismissed (set read_at and dismissed_at in public.notifications). What was taken back is not in it. The service sees everybody''s.';
revoke all on public.my_notifications from public, anon, authenticated, service_role;
grant select on public.my_notifications to authenticated, service_role;

-- Devices, outcomes, receipts; what operators ask and do.
create function private.check_limit(p_limit integer, p_maximum integer) returns void
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  if p_limit is null or p_limit not between 1 and p_maximum then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', p_maximum)::text;
  end if;
end;
$$;
comment on function private.check_limit(integer, integer) is 'Raises PT400 limit_out_of_range unless the limit lies between 1 and the maximum.';
revoke all on function private.check_limit(integer, integer) from public, anon, authenticated, service_role;
grant execute on function private.check_limit(integer, integer) to service_role;

create function public.claim_receipts(
  p_limit integer default 1000, p_lease_seconds integer default 60, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_receipts jsonb;
begin
  perform private.check_limit(p_limit, 10000);
  with due as (
    update private.outbox_devices d
    set receipt_due_at = p_now + make_interval(secs => p_lease_seconds)
    where d.ctid = any (array(
      select w.ctid from private.outbox_devices w
      where w.receipt_due_at <= p_now
      order by w.receipt_due_at
      limit p_limit
      for update skip locked))
    returning d.organization_id, d.outbox_id, d.device_id, d.provider_id
  )
  select coalesce(jsonb_agg(jsonb_build_object('organization_id', due.organization_id, 'outbox_id', due.outbox_id, 'device_id', due.device_id,
      'provider', v.provider, 'provider_id', due.provider_id)), '[]')
    into v_receipts
  from due
  left join public.devices v on v.organization_id = due.organization_id and v.id = due.device_id;
  return jsonb_build_object('receipts', v_receipts, 'more', jsonb_array_length(v_receipts) = p_limit);
end;
$$;
comment on function public.claim_receipts(integer, integer, timestamptz) is
  'Takes up to p_limit pushes whose receipt is due: {receipts: [{organization_id, outbox_id, device_id, provider, provider_id}], more}. Whoever is not heard of again loses them after p_lease_seconds; asking a provider twice has no effect. provider is null where the device is gone.';
revoke all on function public.claim_receipts(integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.claim_receipts(integer, integer, timestamptz) to service_role;

create function public.give_back_outbox(p_holder uuid, p_pushes jsonb, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_given_back integer;
begin
  if jsonb_typeof(p_pushes) is distinct from 'array' then
    raise exception using errcode = 'PT400', message = 'pushes_are_not_an_array';
  end if;
  with held as (
    select o.organization_id, o.id
    from private.outbox o
    join jsonb_populate_recordset(null::private.push_outcome, p_pushes) c
      on c.organization_id = o.organization_id and c.outbox_id = o.id and c.lease = o.lease
    where o.holder = p_holder and o.state = 'claimed'
    order by o.organization_id, o.id
    for no key update of o
  ), given as (
    update private.outbox o
    -- Another dispatcher is rung for them at once.
    set state = case when o.attempts > 0 then 'failed' else 'pending' end::public.outbox_state, next_attempt_at = p_now, holder = null, rings = true
    from held h
    where o.organization_id = h.organization_id and o.id = h.id
    returning o.organization_id, o.id
  ), told as (
    insert into private.outbox_history (organization_id, outbox_id, event, at)
    select g.organization_id, g.id, 'given_back', p_now from given g
  )
  select count(*) into v_given_back from given g;
  return jsonb_build_object('given_back', v_given_back);
end;
$$;
comment on function public.give_back_outbox(uuid, jsonb, timestamptz) is
  'Gives back what a holder claimed and has not sent: [{organization_id, outbox_id, lease}]. Due at once, and no attempt. Idempotent; what it no longer has is left alone.';
revoke all on function public.give_back_outbox(uuid, jsonb, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.give_back_outbox(uuid, jsonb, timestamptz) to service_role;

create function private.keep_outcomes(p_outcomes private.push_outcome[], p_now timestamptz) returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_deactivated integer;
begin
  insert into private.outbox_devices as d (
    organization_id, outbox_id, device_id, verdict, provider_id, reason, attempted_at, receipt_due_at)
  select o.organization_id, o.outbox_id, o.device_id, o.verdict, o.provider_id, left(o.reason, 500), p_now,
    -- A push service has no receipt before it has tried; Expo asks for a quarter of an hour.
    case when o.verdict = 'sent' and o.awaits_receipt and o.provider_id is not null then p_now + interval '15 minutes' end
  from unnest(p_outcomes) as o
  order by o.organization_id, o.outbox_id, o.device_id
  on conflict (organization_id, outbox_id, device_id) do update
    set verdict = excluded.verdict, provider_id = coalesce(excluded.provider_id, d.provider_id), reason = excluded.reason,
        attempted_at = excluded.attempted_at, receipt_due_at = excluded.receipt_due_at, attempts = d.attempts + 1;
  -- In the order of the key: two dispatchers may hear of one phone at once.
  perform from public.devices d
  join unnest(p_outcomes) as o on o.organization_id = d.organization_id and o.device_id = d.id
  where o.verdict = 'device_gone' and d.is_active
  order by d.organization_id, d.id
  for no key update of d;
  update public.devices d
  set is_active = false, deactivated_at = p_now, deactivated_reason = coalesce(left(o.reason, 500), 'gone')
  from unnest(p_outcomes) as o
  where o.verdict = 'device_gone' and d.organization_id = o.organization_id and d.id = o.device_id and d.is_active;
  get diagnostics v_deactivated = row_count;
  return v_deactivated;
end;
$$;
comment on function private.keep_outcomes(private.push_outcome[], timestamptz) is
  'Writes what became of pushes on devices, and takes devices out of use whose token is nobody''s any more. Returns how many.';
revoke all on function private.keep_outcomes(private.push_outcome[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.keep_outcomes(private.push_outcome[], timestamptz) to service_role;

create function public.list_outbox(
  p_organization_id uuid default null, p_states text[] default null, p_scenario text default null, p_user_id uuid default null,
  p_from timestamptz default null, p_to timestamptz default null, p_after jsonb default null, p_limit integer default 100)
returns jsonb
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_states public.outbox_state[];
  v_found private.outbox[];
  v_last private.outbox;
begin
  perform private.check_limit(p_limit, 1000);
  if exists (select from unnest(p_states) as s where not pg_catalog.pg_input_is_valid(s, 'public.outbox_state')) then
    raise exception using errcode = 'PT400', message = 'unknown_state',
      detail = jsonb_build_object('states', p_states, 'allowed', enum_range(null::public.outbox_state))::text;
  end if;
  v_states := p_states::public.outbox_state[];
  if p_scenario is not null then
    perform private.check_scenario_type(p_scenario);
  end if;
  v_found := array(
    select o
    from private.outbox o
    where (p_organization_id is null or o.organization_id = p_organization_id)
      and (v_states is null or o.state = any (v_states))
      and (p_user_id is null or o.user_id = p_user_id)
      and (p_from is null or o.created_at >= p_from) and (p_to is null or o.created_at < p_to)
      and (p_after is null or (o.created_at, o.id) < ((p_after ->> 'created_at')::timestamptz, (p_after ->> 'outbox_id')::uuid))
      and (p_scenario is null or exists (
        select from public.notifications n
        where n.organization_id = o.organization_id and n.id = o.notification_id and n.scenario = p_scenario))
    order by o.created_at desc, o.id desc
    limit p_limit);
  v_last := v_found[p_limit];
  return jsonb_build_object(
    'rows', (select coalesce(jsonb_agg(private.outbox_row(f.organization_id, f.id) order by f.created_at desc, f.id desc), '[]') from unnest(v_found) as f),
    'next', case when v_last.id is not null then jsonb_build_object('created_at', v_last.created_at, 'outbox_id', v_last.id) end);
end;
$$;
comment on function public.list_outbox(uuid, text[], text, uuid, timestamptz, timestamptz, jsonb, integer) is
  'The outbox, newest first: {rows, next}. Hand next back as p_after for the rows that follow; null: these were the last. PT400 unknown_state, unknown_scenario.';
revoke all on function public.list_outbox(uuid, text[], text, uuid, timestamptz, timestamptz, jsonb, integer) from public, anon, authenticated, service_role;
grant execute on function public.list_outbox(uuid, text[], text, uuid, timestamptz, timestamptz, jsonb, integer) to service_role;

create function private.oldest_push_work(p_now timestamptz) returns timestamptz
language sql stable
set search_path = ''
as $$
  select least(
    (select min(o.next_attempt_at) from private.outbox o
     where o.state in ('pending', 'deferred', 'failed', 'claimed') and o.next_attempt_at <= p_now),
    (select min(d.receipt_due_at) from private.outbox_devices d where d.receipt_due_at <= p_now));
$$;
comment on function private.oldest_push_work(timestamptz) is
  'Since when something waits for a dispatcher: a push, a retry, one whose holder died, a receipt. Null: nothing is due.';
revoke all on function private.oldest_push_work(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.oldest_push_work(timestamptz) to service_role;

create function private.organization_of_push(p_outbox_id uuid) returns uuid
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  -- Organisation by organisation, each of which is one probe: the key begins with it.
  select g.id into v_organization_id
  from public.organizations g
  cross join lateral (
    select from private.outbox p where p.organization_id = g.id and p.id = p_outbox_id offset 0) o
  limit 1;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_push', detail = jsonb_build_object('outbox_id', p_outbox_id)::text,
      hint = 'public.list_outbox lists them.';
  end if;
  return v_organization_id;
end;
$$;
comment on function private.organization_of_push(uuid) is 'The organisation of a push. PT404 unknown_push when there is no such push.';
revoke all on function private.organization_of_push(uuid) from public, anon, authenticated, service_role;
grant execute on function private.organization_of_push(uuid) to service_role;

create function private.outbox_row(p_organization_id uuid, p_outbox_id uuid) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object('organization_id', o.organization_id, 'outbox_id', o.id, 'notification_id', n.id, 'user_id', u.id,
    'full_name', u.full_name, 'scenario', n.scenario, 'channel', o.channel, 'state', o.state, 'skipped_reason', o.skipped_reason,
    'attempts', o.attempts, 'last_error', o.last_error, 'created_at', o.created_at, 'release_at', o.release_at,
    'next_attempt_at', case when o.state in ('pending', 'deferred', 'failed', 'claimed') then o.next_attempt_at end,
    'settled_at', o.settled_at)
  from private.outbox o
  join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
  join public.users u on u.organization_id = n.organization_id and u.id = n.user_id
  where o.organization_id = p_organization_id and o.id = p_outbox_id;
$$;
comment on function private.outbox_row(uuid, uuid) is 'A push as public.list_outbox and public.show_outbox show it.';
revoke all on function private.outbox_row(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.outbox_row(uuid, uuid) to service_role;

create function public.outbox_status(p_organization_id uuid default null, p_now timestamptz default now()) returns jsonb
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select jsonb_build_object(
      'due', count(*) filter (where o.next_attempt_at <= p_now),
      'oldest_due_at', min(o.next_attempt_at) filter (where o.next_attempt_at <= p_now),
      'pending', count(*) filter (where o.state = 'pending'), 'deferred', count(*) filter (where o.state = 'deferred'),
      'claimed', count(*) filter (where o.state = 'claimed'), 'failed', count(*) filter (where o.state = 'failed'),
      'dead', (select count(*) from private.outbox d where d.state = 'dead' and (p_organization_id is null or d.organization_id = p_organization_id)),
      'receipts', (
        select count(*) from private.outbox_devices r
        where r.receipt_due_at is not null and (p_organization_id is null or r.organization_id = p_organization_id)))
    from private.outbox o
    where o.state in ('pending', 'deferred', 'failed', 'claimed') and (p_organization_id is null or o.organization_id = p_organization_id));
end;
$$;
comment on function public.outbox_status(uuid, timestamptz) is
  'What waits, what failed, what is dead: {due, oldest_due_at, pending, deferred, claimed, failed, dead, receipts}. It costs what is not settled, not what was ever sent.';
revoke all on function public.outbox_status(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.outbox_status(uuid, timestamptz) to service_role;

create function private.push_outcomes(p_outcomes jsonb, p_may_be_unknown boolean) returns private.push_outcome[]
language plpgsql stable
set search_path = ''
as $$
declare
  v_outcomes private.push_outcome[];
begin
  if jsonb_typeof(p_outcomes) is distinct from 'array' then
    raise exception using errcode = 'PT400', message = 'outcomes_are_not_an_array';
  end if;
  v_outcomes := array(select o from jsonb_populate_recordset(null::private.push_outcome, p_outcomes) o);
  if exists (
    select from unnest(v_outcomes) as o
    where o.organization_id is null or o.outbox_id is null or o.device_id is null
      or (o.verdict is null and not p_may_be_unknown) or o.verdict not in ('sent', 'device_gone', 'retry', 'refused'))
  then
    raise exception using errcode = 'PT400', message = 'malformed_outcome',
      detail = jsonb_build_object('verdicts', array['sent', 'device_gone', 'retry', 'refused'])::text,
      hint = 'Each outcome names organization_id, outbox_id, device_id and a verdict.';
  end if;
  return v_outcomes;
end;
$$;
comment on function private.push_outcomes(jsonb, boolean) is 'Reads outcomes from JSON. PT400 outcomes_are_not_an_array, malformed_outcome.';
revoke all on function private.push_outcomes(jsonb, boolean) from public, anon, authenticated, service_role;
grant execute on function private.push_outcomes(jsonb, boolean) to service_role;

create function public.record_outbox(
  p_holder uuid, p_outcomes jsonb, p_now timestamptz default now(), p_max_attempts integer default 8,
  p_first_retry_seconds integer default 30, p_longest_retry_seconds integer default 3600)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_outcomes private.push_outcome[] := private.push_outcomes(p_outcomes, false);
  v_organization_ids uuid[];
  v_ids uuid[];
  v_retry_after double precision[];
  v_lost uuid[];
  v_deactivated integer := 0;
  v_states jsonb := '{}';
begin
  -- In the order of the key, as whoever takes back: locks are never waited for in a circle.
  with held as (
    select o.organization_id, o.id, o.lease
    from private.outbox o
    where (o.organization_id, o.id, o.lease) in (select c.organization_id, c.outbox_id, c.lease from unnest(v_outcomes) as c)
      and o.holder = p_holder and o.state = 'claimed'
    order by o.organization_id, o.id
    for no key update
  )
  select array_agg(h.organization_id order by h.organization_id, h.id), array_agg(h.id order by h.organization_id, h.id),
      array_agg(r.retry_after order by h.organization_id, h.id)
    into v_organization_ids, v_ids, v_retry_after
  from held h
  cross join lateral (
    select max(c.retry_after) as retry_after from unnest(v_outcomes) as c
    where c.organization_id = h.organization_id and c.outbox_id = h.id and c.verdict = 'retry') r;
  -- What this very lease recorded before, an answer having been lost on the way, is neither recorded again nor lost.
  v_lost := array(
    select distinct c.outbox_id from unnest(v_outcomes) as c
    where (c.outbox_id = any (v_ids)) is not true and not exists (
      select from private.outbox o
      where o.organization_id = c.organization_id and o.id = c.outbox_id and o.holder = p_holder and o.lease = c.lease));
  if v_ids is not null then
    v_deactivated := private.keep_outcomes(array(select c from unnest(v_outcomes) as c where c.outbox_id = any (v_ids)), p_now);
    v_states := private.settle_pushes(v_organization_ids, v_ids, v_retry_after, 1, p_now,
      p_max_attempts, p_first_retry_seconds, p_longest_retry_seconds);
  end if;
  return jsonb_build_object('recorded', coalesce(cardinality(v_ids), 0), 'states', v_states, 'deactivated', v_deactivated, 'lost', to_jsonb(v_lost));
end;
$$;
comment on function public.record_outbox(uuid, jsonb, timestamptz, integer, integer, integer) is
  'Records what providers said, all devices of a push in one call: [{organization_id, outbox_id, lease, device_id, verdict: sent | device_gone | retry | refused, provider_id, reason, retry_after, awaits_receipt}]. Only for pushes that the holder still has by that lease: the others are in lost. Repeating a call changes nothing. Returns {recorded, states, deactivated, lost}.';
revoke all on function public.record_outbox(uuid, jsonb, timestamptz, integer, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.record_outbox(uuid, jsonb, timestamptz, integer, integer, integer) to service_role;

create function public.record_receipts(
  p_outcomes jsonb, p_now timestamptz default now(), p_max_attempts integer default 8,
  p_first_retry_seconds integer default 30, p_longest_retry_seconds integer default 3600)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_outcomes private.push_outcome[] := private.push_outcomes(p_outcomes, true);
  v_awaited private.push_outcome[];
  v_organization_ids uuid[];
  v_ids uuid[];
  v_retry_after double precision[];
  v_deactivated integer := 0;
  v_states jsonb := '{}';
begin
  -- The push first, as whoever records outcomes does.
  perform from private.outbox o
  where (o.organization_id, o.id) in (select c.organization_id, c.outbox_id from unnest(v_outcomes) as c)
  order by o.organization_id, o.id
  for no key update;
  -- Still awaited, and of this very message: a receipt that comes twice, or late, says nothing new.
  v_awaited := array(
    select c from unnest(v_outcomes) as c
    join private.outbox_devices d on d.organization_id = c.organization_id and d.outbox_id = c.outbox_id and d.device_id = c.device_id
    where d.receipt_due_at is not null and d.provider_id = c.provider_id);
  update private.outbox_devices d
  set receipt_due_at = case
        when c.verdict is not null then null
        -- Push services forget receipts after a day: then it stays at what they said first.
        when p_now - d.attempted_at >= interval '1 day' then null
        else p_now + interval '15 minutes' end,
      reason = case when c.verdict is null and p_now - d.attempted_at >= interval '1 day' then 'no_receipt' else d.reason end
  from unnest(v_awaited) as c
  where d.organization_id = c.organization_id and d.outbox_id = c.outbox_id and d.device_id = c.device_id;
  v_awaited := array(select c from unnest(v_awaited) as c where c.verdict <> 'sent');
  if v_awaited <> '{}' then
    v_deactivated := private.keep_outcomes(v_awaited, p_now);
    insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
    select c.organization_id, c.outbox_id, 'receipt', concat_ws(': ', c.verdict, left(c.reason, 500)), p_now from unnest(v_awaited) as c;
    -- What is being sent once more settles when that is recorded.
    select array_agg(s.organization_id), array_agg(s.id), array_agg(s.retry_after) into v_organization_ids, v_ids, v_retry_after
    from (
      select o.organization_id, o.id, max(c.retry_after) as retry_after
      from private.outbox o
      join unnest(v_awaited) as c on c.organization_id = o.organization_id and c.outbox_id = o.id
      where o.state in ('sent', 'failed')
      group by o.organization_id, o.id
    ) s;
    v_states := private.settle_pushes(v_organization_ids, v_ids, v_retry_after, 0, p_now,
      p_max_attempts, p_first_retry_seconds, p_longest_retry_seconds);
  end if;
  return jsonb_build_object('recorded', (select count(*) from unnest(v_outcomes) as c where c.verdict is not null), 'states', v_states, 'deactivated', v_deactivated);
end;
$$;
comment on function public.record_receipts(jsonb, timestamptz, integer, integer, integer) is
  'Records receipts: [{organization_id, outbox_id, device_id, provider_id, verdict, reason, retry_after}], verdict null where the provider does not know yet (asked again, for a day). A push that reached nobody after all is tried again, dead, or skipped. Repeating a call changes nothing.';
revoke all on function public.record_receipts(jsonb, timestamptz, integer, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.record_receipts(jsonb, timestamptz, integer, integer, integer) to service_role;

create function public.register_device(p_provider text, p_platform text, p_token text) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.current_organization_id();
  v_user_id uuid := private.current_user_id();
  v_id uuid;
begin
  if v_user_id is null then
    raise exception using errcode = '42501', message = 'only_people_have_devices', hint = 'Sign in as a person of an organisation.';
  end if;
  if p_provider is null or p_provider not in ('fcm', 'expo') then
    raise exception using errcode = 'PT400', message = 'unknown_provider',
      detail = jsonb_build_object('provider', p_provider, 'allowed', array['fcm', 'expo'])::text;
  end if;
  if p_platform is null or p_platform not in ('ios', 'android', 'web') then
    raise exception using errcode = 'PT400', message = 'unknown_platform',
      detail = jsonb_build_object('platform', p_platform, 'allowed', array['ios', 'android', 'web'])::text;
  end if;
  if private.is_device_token(p_provider, p_token) is not true then
    raise exception using errcode = 'PT400', message = 'malformed_token',
      detail = jsonb_build_object('provider', p_provider, 'expected', case p_provider
        when 'fcm' then '20 to 4096 letters, digits and _:.-' else 'ExponentPushToken[...]' end)::text,
      hint = 'Pass the token exactly as the push service gave it to the app.';
  end if;
  -- A phone that changes hands, or on which somebody else signs in, goes along with its token.
  insert into public.devices as d (organization_id, user_id, provider, platform, token)
  values (v_organization_id, v_user_id, p_provider, p_platform, p_token)
  on conflict (organization_id, provider, token) do update
    set user_id = excluded.user_id, platform = excluded.platform, is_active = true, deactivated_at = null, deactivated_reason = null,
        last_seen_at = now()
  returning d.id into v_id;
  return jsonb_build_object('device_id', v_id);
end;
$$;
-- Definer because a token may have been another's until now, whose row the caller may not see; it writes for the caller alone.
comment on function public.register_device(text, text, text) is
  'Registers the caller''s phone or browser for pushes; call it at every start of the app. Idempotent; a token that was another''s of the organisation moves. PT400 malformed_token, unknown_provider, unknown_platform.';
revoke all on function public.register_device(text, text, text) from public, anon, authenticated, service_role;
grant execute on function public.register_device(text, text, text) to authenticated;

create function public.replay_outbox(
  p_organization_id uuid default null, p_scenario text default null, p_from timestamptz default null, p_to timestamptz default null,
  p_error text default null, p_limit integer default 1000, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_organization_ids uuid[];
  v_ids uuid[];
  v_replayed integer := 0;
begin
  perform private.check_limit(p_limit, 10000);
  if p_scenario is not null then
    perform private.check_scenario_type(p_scenario);
  end if;
  with dead as (
    select o.organization_id, o.id
    from private.outbox o
    join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
    where o.state = 'dead' and (p_organization_id is null or o.organization_id = p_organization_id)
      and (p_from is null or o.created_at >= p_from) and (p_to is null or o.created_at < p_to)
      and (p_scenario is null or n.scenario = p_scenario)
      and (p_error is null or strpos(lower(o.last_error), lower(p_error)) > 0)
    order by o.organization_id, o.id
    limit p_limit
    for no key update of o
  )
  select array_agg(d.organization_id), array_agg(d.id) into v_organization_ids, v_ids from dead d;
  if v_ids is not null then
    v_replayed := private.requeue_pushes(v_organization_ids, v_ids, 'replayed', p_now);
  end if;
  return jsonb_build_object('replayed', v_replayed, 'more', v_replayed = p_limit);
end;
$$;
comment on function public.replay_outbox(uuid, text, timestamptz, timestamptz, text, integer, timestamptz) is
  'Tries dead letters again: all, or those of an organisation, a scenario, a time of creation (from inclusive, to exclusive) or with this text in their error; up to p_limit, and whether there may be more. A second replay finds none of them dead, and does nothing. Whoever has a push on one device is not sent it there again.';
revoke all on function public.replay_outbox(uuid, text, timestamptz, timestamptz, text, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.replay_outbox(uuid, text, timestamptz, timestamptz, text, integer, timestamptz) to service_role;

create function private.requeue_pushes(p_organization_ids uuid[], p_outbox_ids uuid[], p_event text, p_now timestamptz) returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_requeued integer;
begin
  -- Whoever has it is not sent it again; what was refused may be taken now.
  update private.outbox_devices d
  set verdict = 'retry'
  from rows from (unnest(p_organization_ids), unnest(p_outbox_ids)) as c (organization_id, id)
  where d.organization_id = c.organization_id and d.outbox_id = c.id and d.verdict = 'refused';
  insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
  select o.organization_id, o.id, p_event, concat_ws(': ', o.state, coalesce(o.skipped_reason, o.last_error)), p_now
  from rows from (unnest(p_organization_ids), unnest(p_outbox_ids)) as c (organization_id, id)
  join private.outbox o on o.organization_id = c.organization_id and o.id = c.id;
  update private.outbox o
  set state = 'pending', attempts = 0, next_attempt_at = p_now, release_at = p_now, skipped_reason = null, settled_at = null, holder = null,
      rings = c.position = 1
  from rows from (unnest(p_organization_ids), unnest(p_outbox_ids)) with ordinality as c (organization_id, id, position)
  where o.organization_id = c.organization_id and o.id = c.id;
  get diagnostics v_requeued = row_count;
  return v_requeued;
end;
$$;
comment on function private.requeue_pushes(uuid[], uuid[], text, timestamptz) is
  'Puts pushes, which the caller has locked, back at the beginning: due now, with a new deadline and all attempts. A dispatcher judges them like any other.';
revoke all on function private.requeue_pushes(uuid[], uuid[], text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.requeue_pushes(uuid[], uuid[], text, timestamptz) to service_role;

create or replace function private.retract_opted_out() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- An evaluation that is about to tell this person holds this lock until its notification can be seen below; one that comes
  -- later reads the preference.
  perform from public.users u where u.organization_id = new.organization_id and u.id = new.user_id for no key update;
  with undelivered as (
    update private.outbox o
    set state = 'retracted'
    from public.notifications n
    where o.organization_id = new.organization_id and o.user_id = new.user_id and o.state in ('pending', 'deferred', 'failed')
      and n.organization_id = o.organization_id and n.id = o.notification_id
      and new.scenario in ('all', n.scenario) and new.channel in ('all', o.channel) and not n.is_mandatory
  )
  update public.notifications n
  set retracted_at = now()
  where n.organization_id = new.organization_id and n.user_id = new.user_id and new.channel = 'all'
    and new.scenario in ('all', n.scenario) and not n.is_mandatory
    and n.read_at is null and n.dismissed_at is null and n.retracted_at is null;
  return null;
end;
$$;
-- Definer because people may write their preferences and not the outbox.
comment on function private.retract_opted_out() is
  'Trigger on public.notification_preferences: opting out takes back what waits to be pushed, and for every channel also what is unread in the app (rules.md §3).';
revoke all on function private.retract_opted_out() from public, anon, authenticated, service_role;

create function public.retry_outbox(p_outbox_id uuid, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_push private.outbox;
begin
  select o.* into v_push
  from private.outbox o where o.organization_id = private.organization_of_push(p_outbox_id) and o.id = p_outbox_id
  for no key update;
  if v_push.state in ('failed', 'dead') or v_push.skipped_reason in ('stale', 'no_device') then
    perform private.requeue_pushes(array[v_push.organization_id], array[p_outbox_id], 'retried', p_now);
    return jsonb_build_object('outbox_id', p_outbox_id, 'outcome', 'queued', 'was', v_push.state, 'skipped_reason', v_push.skipped_reason);
  end if;
  return jsonb_build_object('outbox_id', p_outbox_id, 'outcome', case
      when v_push.state in ('pending', 'deferred', 'claimed') then 'already_queued'
      when v_push.state = 'sent' then 'already_sent'
      else 'not_wanted' end,
    'was', v_push.state, 'skipped_reason', v_push.skipped_reason);
end;
$$;
comment on function public.retry_outbox(uuid, timestamptz) is
  'Tries a push again now that failed, is dead, was stale or found no device. Returns {outbox_id, outcome: queued | already_queued | already_sent | not_wanted (taken back, or switched off by the person), was, skipped_reason}. PT404 unknown_push.';
revoke all on function public.retry_outbox(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.retry_outbox(uuid, timestamptz) to service_role;

create function private.settle_pushes(
  p_organization_ids uuid[], p_outbox_ids uuid[], p_retry_after double precision[], p_attempt integer, p_now timestamptz,
  p_max_attempts integer, p_first_retry_seconds integer, p_longest_retry_seconds integer)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_counts jsonb;
begin
  with judged as materialized (
    select o.organization_id, o.id, s.*,
      case
        when s.waits and o.attempts + p_attempt < p_max_attempts then 'failed'
        -- Whom it reached on one device has been told, whatever became of the others.
        when s.reached then 'sent'
        when s.waits or s.refused then 'dead'
        else 'skipped'
      end::public.outbox_state as state,
      -- Never at once, so that a service that recovers is not met by everybody who waited for it.
      p_now + make_interval(secs => greatest(c.retry_after,
        least(p_longest_retry_seconds, p_first_retry_seconds * 2 ^ least(o.attempts + p_attempt - 1, 20)) * (0.5 + random() / 2))) as again_at
    from rows from (unnest(p_organization_ids), unnest(p_outbox_ids), unnest(p_retry_after)) as c (organization_id, id, retry_after)
    join private.outbox o on o.organization_id = c.organization_id and o.id = c.id
    cross join lateral (
      select bool_or(d.verdict = 'sent') as reached, bool_or(d.verdict = 'retry') as waits, bool_or(d.verdict = 'refused') as refused,
        (array_agg(d.reason order by d.verdict = 'refused' desc, d.attempted_at desc) filter (where d.verdict <> 'sent' and d.reason is not null))[1] as reason
      from private.outbox_devices d
      where d.organization_id = o.organization_id and d.outbox_id = o.id
      offset 0
    ) s
  ), settled as (
    update private.outbox o
    set state = j.state, attempts = o.attempts + p_attempt, next_attempt_at = case when j.state = 'failed' then j.again_at else o.next_attempt_at end,
        last_error = coalesce(j.reason, o.last_error), skipped_reason = case when j.state = 'skipped' then 'no_device' end,
        settled_at = case when j.state <> 'failed' then p_now end, rings = false
    from judged j
    where o.organization_id = j.organization_id and o.id = j.id
    returning o.organization_id, o.id, o.state, o.last_error
  ), told as (
    insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
    select s.organization_id, s.id, s.state::text, s.last_error, p_now from settled s where s.state in ('failed', 'dead')
  )
  select coalesce(jsonb_object_agg(c.state, c.n), '{}') into v_counts
  from (select s.state, count(*) as n from settled s group by s.state) c;
  return v_counts;
end;
$$;
comment on function private.settle_pushes(uuid[], uuid[], double precision[], integer, timestamptz, integer, integer, integer) is
  'What follows for pushes from the outcomes on their devices: sent, failed (tried again: exponential, with jitter, not before the seconds the provider asked for), dead, or skipped because no device was left. p_attempt: 1 where they were tried, 0 where only more is known. Returns {"state": n}.';
revoke all on function private.settle_pushes(uuid[], uuid[], double precision[], integer, timestamptz, integer, integer, integer) from public, anon, authenticated, service_role;
grant execute on function private.settle_pushes(uuid[], uuid[], double precision[], integer, timestamptz, integer, integer, integer) to service_role;

create function public.show_outbox(p_outbox_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_push private.outbox;
begin
  select o.* into v_push from private.outbox o where o.organization_id = private.organization_of_push(p_outbox_id) and o.id = p_outbox_id;
  return private.outbox_row(v_push.organization_id, v_push.id)
    || jsonb_build_object('holder', v_push.holder, 'lease', v_push.lease, 'collapse_key', v_push.id)
    || (select jsonb_build_object('title', r.title, 'body', r.body, 'problem', r.problem)
        from private.rendered_notifications(array[v_push.organization_id], array[v_push.notification_id]) r)
    || jsonb_build_object(
      'devices', (
        select coalesce(jsonb_agg(jsonb_build_object('device_id', d.device_id, 'provider', v.provider, 'platform', v.platform, 'is_active', v.is_active,
          'verdict', d.verdict, 'reason', d.reason, 'attempts', d.attempts, 'attempted_at', d.attempted_at, 'provider_id', d.provider_id,
          'receipt_due_at', d.receipt_due_at) order by d.attempted_at, d.device_id), '[]')
        from private.outbox_devices d
        left join public.devices v on v.organization_id = d.organization_id and v.id = d.device_id
        where d.organization_id = v_push.organization_id and d.outbox_id = v_push.id),
      'history', (
        select coalesce(jsonb_agg(jsonb_build_object('at', h.at, 'event', h.event, 'reason', h.reason) order by h.id), '[]')
        from private.outbox_history h
        where h.organization_id = v_push.organization_id and h.outbox_id = v_push.id));
end;
$$;
comment on function public.show_outbox(uuid) is
  'One push, whole: its row as in public.list_outbox, its words (problem: why it has none), what became of it on each device, and its history. PT404 unknown_push.';
revoke all on function public.show_outbox(uuid) from public, anon, authenticated, service_role;
grant execute on function public.show_outbox(uuid) to service_role;

create function public.unregister_device(p_token text) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_devices integer;
begin
  update public.devices d
  set is_active = false, deactivated_at = now(), deactivated_reason = 'unregistered'
  where d.organization_id = private.current_organization_id() and d.user_id = private.current_user_id()
    and d.token = p_token and d.is_active;
  get diagnostics v_devices = row_count;
  return jsonb_build_object('unregistered', v_devices > 0);
end;
$$;
-- Definer because people may not write devices, whose other columns are not theirs to say; it touches the caller's alone.
comment on function public.unregister_device(text) is
  'Takes the caller''s device out of use; call it when they sign out. Idempotent: unregistered says whether it was theirs and in use.';
revoke all on function public.unregister_device(text) from public, anon, authenticated, service_role;
grant execute on function public.unregister_device(text) to authenticated;

-- Releasing.
create type private.push_release as (
  organization_id uuid,
  id uuid,
  notification_id uuid,
  user_id uuid,
  lease integer,
  attempts integer,
  gate text,
  release_at timestamptz,
  planned_on date,
  release_on date,
  expires_at timestamptz,
  problem text
);
comment on type private.push_release is
  'A claimed push (private.outbox), and what speaks against sending it now, or null. release_at, release_on: when and on which of the person''s days it goes. problem: what went wrong in judging it.';

create function public.claim_outbox(
  p_holder uuid, p_limit integer default 100, p_lease_seconds integer default 60, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_rows tid[];
  v_due private.outbox[];
  v_releases private.push_release[];
  v_held jsonb;
  v_messages jsonb := '[]';
begin
  perform private.check_limit(p_limit, 10000);
  if p_holder is null or p_lease_seconds is null or p_lease_seconds not between 1 and 3600 then
    raise exception using errcode = 'PT400', message = 'lease_seconds_out_of_range',
      detail = jsonb_build_object('lease_seconds', p_lease_seconds, 'minimum', 1, 'maximum', 3600)::text, hint = 'Name a holder and a lease.';
  end if;
  -- By row address, and two statements: joined, the limit would be planned as a scan of the table.
  with due as (
    select o.ctid as row_at, o as push
    from private.outbox o
    where o.state in ('pending', 'deferred', 'failed', 'claimed') and o.next_attempt_at <= p_now
    order by o.next_attempt_at
    limit p_limit
    for update skip locked
  )
  select array_agg(d.row_at), array_agg(d.push order by (d.push).next_attempt_at) into v_rows, v_due from due d;
  if v_due is null then
    return jsonb_build_object('claimed', 0, 'messages', v_messages, 'held', '{}'::jsonb, 'more', false,
      'rang_again', private.ring_again('push-notification-dispatcher', 'public', 'notifications'));
  end if;
  update private.outbox o
  set state = 'claimed', holder = p_holder, lease = o.lease + 1, next_attempt_at = p_now + make_interval(secs => p_lease_seconds), rings = false
  where o.ctid = any (v_rows);
  insert into private.outbox_history (organization_id, outbox_id, event, at)
  select d.organization_id, d.id, 'lease_lost', p_now from unnest(v_due) as d where d.state = 'claimed';

  v_releases := array(
    select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease + 1, r.attempts,
      r.gate, r.release_at, r.planned_on, r.release_on, r.expires_at, r.problem)::private.push_release
    from private.release_pushes(v_due, p_now) r);
  with worded as materialized (
    select m.* from private.push_messages(array(select r from unnest(v_releases) as r where r.gate is null)) m
  )
  select array(
      select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease, r.attempts,
        coalesce(r.gate, case when w.messages is null then 'no_device' when w.problem is not null then 'unrendered' end),
        r.release_at, r.planned_on, r.release_on, r.expires_at, coalesce(r.problem, case when w.messages is not null then w.problem end))::private.push_release
      from unnest(v_releases) as r
      left join worded w on w.organization_id = r.organization_id and w.id = r.id),
    coalesce((
      select jsonb_agg(x.message order by d.position)
      from worded w
      join (select u.organization_id, u.id, row_number() over () as position from unnest(v_due) as u) d on d.organization_id = w.organization_id and d.id = w.id
      cross join lateral jsonb_array_elements(w.messages) as x (message)
      where w.problem is null), '[]')
    into v_releases, v_messages;
  v_held := private.hold_pushes(v_releases, p_now);
  return jsonb_build_object('claimed', cardinality(v_due), 'messages', v_messages, 'held', v_held, 'more', cardinality(v_due) = p_limit,
    'rang_again', cardinality(v_due) < p_limit and private.ring_again('push-notification-dispatcher', 'public', 'notifications'));
end;
$$;
comment on function public.claim_outbox(uuid, integer, integer, timestamptz) is
  'Takes up to p_limit pushes that are due, of those whose holder has not been heard of for its lease, too, and judges each as of now. Returns {claimed, messages: [{organization_id, outbox_id, lease, device_id, provider, token, title, body, collapse_key, expires_at, data}], held: {"gate": n} (those not to be sent, already written), more, rang_again}, the oldest first. The messages are the holder''s until p_lease_seconds are over: public.record_outbox or public.give_back_outbox. Claims never wait for each other.';
revoke all on function public.claim_outbox(uuid, integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.claim_outbox(uuid, integer, integer, timestamptz) to service_role;

create function public.confirm_outbox(
  p_holder uuid, p_pushes jsonb, p_lease_seconds integer default 60, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_pushes private.outbox[];
  v_releases private.push_release[];
begin
  if jsonb_typeof(p_pushes) is distinct from 'array' then
    raise exception using errcode = 'PT400', message = 'pushes_are_not_an_array';
  end if;
  v_pushes := array(
    select o from private.outbox o
    join jsonb_populate_recordset(null::private.push_outcome, p_pushes) c
      on c.organization_id = o.organization_id and c.outbox_id = o.id and c.lease = o.lease
    where o.holder = p_holder and o.state = 'claimed'
    order by o.organization_id, o.id
    for no key update of o);
  update private.outbox o
  set next_attempt_at = greatest(o.next_attempt_at, p_now + make_interval(secs => p_lease_seconds))
  from unnest(v_pushes) as p
  where o.organization_id = p.organization_id and o.id = p.id;
  v_releases := array(select r from private.release_pushes(v_pushes, p_now) r);
  return jsonb_build_object('held', private.hold_pushes(v_releases, p_now),
    'going', to_jsonb(array(select r.id from unnest(v_releases) as r where r.gate is null)));
end;
$$;
comment on function public.confirm_outbox(uuid, jsonb, integer, timestamptz) is
  'Judges once more what a holder claimed a while ago and is about to send: [{organization_id, outbox_id, lease}]. Returns {going: [outbox_id], held: {"gate": n}}: what is not in going is not to be sent, being held or no longer the holder''s. Renews the lease.';
revoke all on function public.confirm_outbox(uuid, jsonb, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.confirm_outbox(uuid, jsonb, integer, timestamptz) to service_role;

create function private.gone_notifications(p_organization_id uuid, p_notification_ids uuid[], p_now timestamptz) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_ruled uuid[];
  v_rule_ids uuid[];
  v_user_ids uuid[];
  v_rules private.scenario_rule[];
  v_gone uuid[] := '{}';
begin
  select array_agg(n.id), array_agg(distinct n.rule_id), array_agg(distinct n.user_id) into v_ruled, v_rule_ids, v_user_ids
  from public.notifications n
  where n.organization_id = p_organization_id and n.id = any (p_notification_ids) and n.rule_id is not null;
  if v_ruled is not null then
    v_rules := array(select r from unnest(private.rules_of(p_organization_id, null)) as r where r.id = any (v_rule_ids));
    -- As of the end of time: from the raw rows, all that there are.
    v_gone := private.unmatched_notifications(p_organization_id, null, null, null,
      array(select m from private.scenario_matches(p_organization_id, null, null, v_user_ids, v_rules, p_now, 'infinity', false) m),
      p_now, v_ruled);
  end if;
  return v_gone || array(
    select n.id
    from public.notifications n
    left join public.pastoral_cases c on c.organization_id = n.organization_id and c.id::text = n.context ->> 'case_id'
    where n.organization_id = p_organization_id and n.id = any (p_notification_ids) and n.scenario = 'pastoral_case'
      and n.context ? 'case_id' and private.is_case_of(c.status, c.assigned_servant_id, n.user_id) is not true);
end;
$$;
comment on function private.gone_notifications(uuid, uuid[], timestamptz) is
  'Which of these notifications would not be made any more: by the evaluators that made them, over raw rows. What somebody outside decided holds.';
revoke all on function private.gone_notifications(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.gone_notifications(uuid, uuid[], timestamptz) to service_role;

create function private.hold_pushes(p_releases private.push_release[], p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  if not exists (select from unnest(p_releases) as r where r.gate is not null) then
    return '{}';
  end if;
  update private.outbox o
  set state = h.state, rings = false,
      skipped_reason = case when h.state = 'skipped' then r.gate end,
      settled_at = case when h.state in ('sent', 'skipped', 'dead') then p_now end,
      last_error = coalesce(r.problem, o.last_error),
      attempts = o.attempts + (r.gate = 'unjudged')::integer,
      release_at = case when h.state = 'deferred' then r.release_at else o.release_at end,
      next_attempt_at = case
        when h.state = 'deferred' then r.release_at
        when r.gate = 'unjudged' then p_now + interval '10 minutes' * (o.attempts + 1)
        when r.gate = 'busy' then p_now + interval '1 second'
        else o.next_attempt_at end
  from unnest(p_releases) as r
  cross join lateral (
    select case
      when r.gate in ('quiet_hours', 'capped') then 'deferred'
      when r.gate = 'busy' then case when r.attempts > 0 then 'failed' else 'pending' end
      when r.gate = 'unjudged' then case when r.attempts >= 7 then 'dead' else 'failed' end
      when r.gate = 'unrendered' then 'dead'
      -- On one device it has arrived, before.
      when exists (
        select from private.outbox_devices d
        where d.organization_id = r.organization_id and d.outbox_id = r.id and d.verdict = 'sent') then 'sent'
      else 'skipped' end::public.outbox_state as state
    offset 0) h
  where r.gate is not null and o.organization_id = r.organization_id and o.id = r.id;
  insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
  select r.organization_id, r.id,
    case r.gate when 'unjudged' then case when r.attempts >= 7 then 'dead' else 'failed' end when 'unrendered' then 'dead' else r.gate end,
    r.problem, p_now
  from unnest(p_releases) as r
  where r.gate in ('quiet_hours', 'capped', 'unjudged', 'unrendered');
  return (
    select jsonb_object_agg(g.gate, g.n)
    from (select r.gate, count(*) as n from unnest(p_releases) as r where r.gate is not null group by r.gate) g);
end;
$$;
comment on function private.hold_pushes(private.push_release[], timestamptz) is
  'Writes why claimed pushes are not sent now: deferred (quiet_hours, capped), skipped for its reason, dead (unrendered), tried again (unjudged, busy). Returns {"gate": n}.';
revoke all on function private.hold_pushes(private.push_release[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.hold_pushes(private.push_release[], timestamptz) to service_role;

create function private.judge_conditions(p_organization_id uuid, p_notification_ids uuid[], p_now timestamptz)
returns table (notification_id uuid, gate text, problem text)
language plpgsql stable
set search_path = ''
as $$
declare
  v_message text;
  v_state text;
  v_half integer := cardinality(p_notification_ids) / 2;
begin
  return query
  select g.id, 'condition_gone', null::text from unnest(private.gone_notifications(p_organization_id, p_notification_ids, p_now)) as g (id);
exception
  -- As in private.decide_safely: these are the moment's fault, and nobody's data.
  when syntax_error_or_access_rule_violation or query_canceled or serialization_failure or deadlock_detected or lock_not_available or operator_intervention
    or insufficient_resources or connection_exception then
    raise;
  when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    if v_half = 0 then
      return query select p_notification_ids[1], 'unjudged', 'condition_failed: ' || v_state || ' ' || left(v_message, 200);
      return;
    end if;
    return query
    select * from private.judge_conditions(p_organization_id, p_notification_ids[:v_half], p_now)
    union all
    select * from private.judge_conditions(p_organization_id, p_notification_ids[v_half + 1:], p_now);
end;
$$;
comment on function private.judge_conditions(uuid, uuid[], timestamptz) is
  'private.gone_notifications, in which one person''s bad row does not stop everybody: condition_gone, or unjudged with the problem. Those that hold have no row.';
revoke all on function private.judge_conditions(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.judge_conditions(uuid, uuid[], timestamptz) to service_role;

create function private.push_messages(p_releases private.push_release[])
returns table (organization_id uuid, id uuid, problem text, messages jsonb)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select r.organization_id, r.id, w.problem,
    (select jsonb_agg(jsonb_build_object('organization_id', r.organization_id, 'outbox_id', r.id, 'lease', r.lease,
        'device_id', d.id, 'provider', d.provider, 'token', d.token, 'title', w.title, 'body', w.body, 'collapse_key', r.id,
        'expires_at', r.expires_at, 'data', jsonb_build_object('notification_id', r.notification_id, 'scenario', n.scenario)))
     from public.devices d
     where d.organization_id = r.organization_id and d.user_id = r.user_id and d.is_active
       and not exists (
         select from private.outbox_devices x
         where x.organization_id = r.organization_id and x.outbox_id = r.id and x.device_id = d.id and x.verdict <> 'retry'))
  from unnest(p_releases) as r
  join private.rendered_notifications(
      array(select r.organization_id from unnest(p_releases) as r), array(select r.notification_id from unnest(p_releases) as r)) w
    on w.organization_id = r.organization_id and w.id = r.notification_id
  join public.notifications n on n.organization_id = r.organization_id and n.id = r.notification_id;
end;
$$;
comment on function private.push_messages(private.push_release[]) is
  'What is to be sent of these pushes: a message for each of the person''s devices that has not had it. null: there is none. problem: why it cannot be put into words.';
revoke all on function private.push_messages(private.push_release[]) from public, anon, authenticated, service_role;
grant execute on function private.push_messages(private.push_release[]) to service_role;

create function private.release_gates(p_pushes private.outbox[], p_now timestamptz) returns setof private.push_release
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  with settings as materialized (
    select o.id as organization_id, o.time_zone,
      max((s.value #>> '{}')::integer) filter (where s.key = 'notification_daily_cap') as cap,
      coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'push_deadline_hours'), 24) as deadline_hours,
      max(s.value ->> 'from') filter (where s.key = 'quiet_hours')::time as quiet_from,
      max(s.value ->> 'to') filter (where s.key = 'quiet_hours')::time as quiet_to
    from (select distinct p.organization_id from unnest(p_pushes) as p) d
    join public.organizations o on o.id = d.organization_id
    left join public.org_settings_kv s on s.organization_id = o.id and s.key in ('notification_daily_cap', 'push_deadline_hours', 'quiet_hours')
    group by o.id, o.time_zone
  ), asked as (
    select p.*, n.scenario, n.release_on as planned_on, n.triggered_at, n.retracted_at, n.is_mandatory, u.is_active,
      z.time_zone, s.cap, s.quiet_from, s.quiet_to, e.expires_at, private.local_date(p_now, z.time_zone) as today,
      private.release_at(p_now, z.time_zone, s.quiet_from, s.quiet_to) as quiet_until
    from unnest(p_pushes) as p
    join public.notifications n on n.organization_id = p.organization_id and n.id = p.notification_id
    join public.users u on u.organization_id = p.organization_id and u.id = p.user_id
    join settings s on s.organization_id = p.organization_id
    cross join lateral (select coalesce(u.time_zone, s.time_zone, 'UTC') as time_zone offset 0) z
    cross join lateral (select p.release_at + make_interval(hours => s.deadline_hours) as expires_at) e
  ), judged as (
    select a.*,
      case
        when a.retracted_at is not null then 'retracted'
        when not a.is_active then 'person_inactive'
        when not a.is_mandatory and exists (
          select from public.notification_preferences np
          where np.organization_id = a.organization_id and np.user_id = a.user_id and np.scenario in ('all', a.scenario)
            and np.channel in ('all', a.channel) and not np.is_enabled) then 'opted_out'
        when a.expires_at <= p_now then 'stale'
        when a.quiet_until > p_now then 'quiet_hours'
      end as gate
    from asked a
  ), counted as (
    select j.*,
      case when j.gate is null and j.cap is not null and j.planned_on is not null then
        j.cap <= (
          select count(*) from public.notifications m
          where m.organization_id = j.organization_id and m.user_id = j.user_id and m.release_on = j.today
            and m.retracted_at is null and m.id <> j.notification_id
            -- One that was planned for another day goes after all of this day's. One of this day, after those that were told
            -- already and those that were decided before.
            and (j.planned_on <> j.today or (m.triggered_at, m.id) < (j.triggered_at, j.notification_id)
              or not exists (
                select from private.outbox w
                where w.organization_id = m.organization_id and w.notification_id = m.id
                  and w.state in ('pending', 'deferred', 'failed', 'claimed'))))
          + case when j.planned_on <> j.today then row_number() over (
              partition by j.organization_id, j.user_id, j.gate is null, j.planned_on = j.today order by j.triggered_at, j.notification_id) - 1
            else 0 end
      end as is_capped
    from judged j
  )
  select c.organization_id, c.id, c.notification_id, c.user_id, c.lease, c.attempts, coalesce(c.gate, case when c.is_capped then 'capped' end),
    l.release_at, c.planned_on,
    case when c.planned_on is not null and (c.gate is null or c.gate = 'quiet_hours') then private.local_date(l.release_at, c.time_zone) else c.planned_on end,
    c.expires_at, null::text
  from counted c
  cross join lateral (
    select case
      when c.gate = 'quiet_hours' then c.quiet_until
      when c.is_capped then private.release_at(private.local_midnight(c.today + 1, c.time_zone), c.time_zone, c.quiet_from, c.quiet_to)
      else p_now end as release_at
    offset 0) l;
end;
$$;
comment on function private.release_gates(private.outbox[], timestamptz) is
  'What speaks against sending these pushes at p_now, the condition aside: retracted, person_inactive, opted_out, stale (its deadline is over), quiet_hours and capped (until release_at), by the settings, preferences and time zones of this moment.';
revoke all on function private.release_gates(private.outbox[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.release_gates(private.outbox[], timestamptz) to service_role;

create function private.release_pushes(p_pushes private.outbox[], p_now timestamptz) returns setof private.push_release
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_releases private.push_release[] := array(select g from private.release_gates(p_pushes, p_now) g);
  v_organization_id uuid;
  v_gone jsonb := '{}';
  v_locked text[];
begin
  for v_organization_id in
    select distinct r.organization_id from unnest(v_releases) as r where r.gate is null order by 1
  loop
    v_gone := v_gone || coalesce((
      select jsonb_object_agg(j.notification_id, jsonb_build_object('gate', j.gate, 'problem', j.problem))
      from private.judge_conditions(v_organization_id, array(
        select r.notification_id from unnest(v_releases) as r where r.gate is null and r.organization_id = v_organization_id), p_now) j), '{}');
  end loop;
  v_releases := array(
    select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease, r.attempts,
      coalesce(r.gate, v_gone -> r.notification_id::text ->> 'gate'), r.release_at, r.planned_on, r.release_on, r.expires_at,
      v_gone -> r.notification_id::text ->> 'problem')::private.push_release
    from unnest(v_releases) as r);

  -- What changes the person's list or fills another of their days is done under their lock, as the engine does, and nobody is
  -- waited for: whoever has the lock may be waiting for a push that is held here.
  if exists (select from unnest(v_releases) as r where r.gate = 'condition_gone' or r.release_on <> r.planned_on) then
    v_locked := array(
      select u.organization_id || ' ' || u.id from public.users u
      where (u.organization_id, u.id) in (
        select r.organization_id, r.user_id from unnest(v_releases) as r where r.gate = 'condition_gone' or r.release_on <> r.planned_on)
      order by u.organization_id, u.id
      for no key update of u skip locked);
    -- A day is counted by a statement that sees what was committed before the lock.
    v_releases := array(
      select r from unnest(v_releases) as r where (r.gate is distinct from 'condition_gone' and r.release_on <> r.planned_on) is not true
      union all
      select g from private.release_gates(array(
        select p from unnest(p_pushes) as p
        where exists (
          select from unnest(v_releases) as r
          where r.organization_id = p.organization_id and r.id = p.id and r.gate is distinct from 'condition_gone' and r.release_on <> r.planned_on)), p_now) g);
    v_releases := array(
      select case when (r.gate = 'condition_gone' or r.release_on <> r.planned_on) and r.organization_id || ' ' || r.user_id <> all (v_locked)
        then row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease, r.attempts, 'busy', r.release_at, r.planned_on, r.planned_on,
          r.expires_at, null)::private.push_release
        else r end
      from unnest(v_releases) as r);
    perform private.take_back(g.organization_id, g.ids, p_now)
    from (
      select r.organization_id, array_agg(r.notification_id) as ids from unnest(v_releases) as r where r.gate = 'condition_gone' group by r.organization_id
    ) g;
    update public.notifications n
    set release_on = r.release_on
    from unnest(v_releases) as r
    where n.organization_id = r.organization_id and n.id = r.notification_id and r.release_on <> r.planned_on
      and (r.gate is null or r.gate in ('quiet_hours', 'capped'));
  end if;
  return query select r.* from unnest(v_releases) as r;
end;
$$;
comment on function private.release_pushes(private.outbox[], timestamptz) is
  'Judges claimed pushes at their release: private.release_gates, then whether their conditions still hold. What no longer holds leaves the app, too; what moves to another day is counted there. Every push has its row; busy: its person is being decided about this moment.';
revoke all on function private.release_pushes(private.outbox[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.release_pushes(private.outbox[], timestamptz) to service_role;

insert into private.schedules (name, description, expected_interval) values
  ('push-sweep', 'Rings push-notification-dispatcher for what is due: deferred and failed pushes, receipts, and what no bell announced.', interval '1 minute');
select cron.schedule('attend-push-sweep', '* * * * *',
  $job$select private.tick_sweep('push-sweep', 'push-notification-dispatcher', private.oldest_push_work(now()), 'notifications')$job$);
