-- The scenario engine, whole: versions of rules, milestones, certificates, gates at their place, ticks that cost what is due.
set check_function_bodies = off;

drop function private.inactivity_gates(uuid, uuid, uuid, uuid[], timestamptz);
drop function private.explanations(uuid, uuid, uuid, uuid[], timestamptz);
drop function private.decide(uuid, uuid, uuid, uuid[], timestamptz);
drop function private.claim_notifications(uuid, private.notification_claim[], timestamptz);
drop function public.dry_run_scenarios(uuid, timestamptz, uuid, integer);
drop function public.explain_scenarios(uuid, uuid, timestamptz);
drop view private.inactivity_facts;

alter type private.notification_claim add attribute rule_version integer, add attribute priority integer,
  add attribute is_mandatory boolean, add attribute informs_coordinators boolean;
create type private.scenario_rule as (
  organization_id uuid,
  id uuid,
  type text,
  name text,
  is_enabled boolean,
  threshold_days integer,
  cooldown_days integer,
  version integer,
  priority integer,
  effective_from timestamptz,
  activation text,
  spread_days integer,
  max_reminders integer,
  metric text,
  period text,
  thresholds integer[],
  max_age_days integer,
  lead_days integer[],
  is_mandatory boolean,
  informs_coordinators boolean
);
comment on type private.scenario_rule is
  'A rule as the evaluators take it: a row of public.scenario_rules, a version of one, a draft, or one made for a question.';

comment on type private.notification_claim is
  'A wish to tell a person something; private.claim_notifications decides. cooldown_days null: once and for all.';

create type private.scenario_match as (
  user_id uuid,
  scenario text,
  rule_id uuid,
  subject text,
  gate text,
  crossed_at timestamptz,
  later_gate text,
  told_with text,
  eligible_at timestamptz,
  context jsonb
);
comment on type private.scenario_match is
  'What an evaluator says of a person and one subject of a rule. gate: why it does not match, or null. later_gate: why a match is not worth telling, judged after before_effective. told_with: the subject that is told in its place. eligible_at: when it would match, if that is known. context: the values compared.';

create type private.judged_claim as (
  user_id uuid,
  scenario text,
  subject text,
  rule_id uuid,
  cooldown_days integer,
  crossed_at timestamptz,
  context jsonb,
  rule_version integer,
  priority integer,
  is_mandatory boolean,
  informs_coordinators boolean,
  gate text,
  opted_out_of text,
  is_push_opted_out boolean,
  cooldown_until timestamptz,
  release_at timestamptz,
  release_on date,
  look_again_at timestamptz
);
comment on type private.judged_claim is
  'A claim (private.notification_claim), and whether it may be made: would_send, quiet_hours (made, and pushed at release_at), or what speaks against it. release_on: the person''s local day of the release. look_again_at: when a full day ends.';

create type private.claim_outcome as (
  user_id uuid,
  scenario text,
  subject text,
  outcome text,
  notification_id uuid,
  cooldown_until timestamptz,
  look_again_at timestamptz
);
comment on type private.claim_outcome is 'What became of a claim (private.claim_notifications).';

create function private.are_thresholds(p_values integer[], p_maximum integer) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select coalesce(cardinality(p_values) between 1 and 20 and array_ndims(p_values) = 1
    and 1 <= all (p_values) and p_maximum >= all (p_values)
    and cardinality(p_values) = (select count(distinct v) from unnest(p_values) v), false);
$$;
comment on function private.are_thresholds(integer[], integer) is 'Whether these are one to twenty different whole numbers from 1 to a maximum.';
revoke all on function private.are_thresholds(integer[], integer) from public, anon, authenticated, service_role;
grant execute on function private.are_thresholds(integer[], integer) to service_role;

create or replace function private.is_setting_valid(p_key text, p_value jsonb) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select case p_key
    when 'absence_alert_threshold' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,3}$'
    when 'notification_daily_cap' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^([1-9][0-9]?|100)$'
    when 'quiet_hours' then
      jsonb_typeof(p_value) = 'object' and (p_value - '{from,to}'::text[]) = '{}'
      and coalesce(p_value ->> 'from' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$' and p_value ->> 'to' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'
        and p_value ->> 'from' <> p_value ->> 'to', false)
    else btrim(p_key) <> ''
  end;
$$;
comment on function private.is_setting_valid(text, jsonb) is
  'Whether a setting may be stored: each known key names its range, other keys only need a name. absence_alert_threshold: a whole number from 1 to 9999 (rules.md §4). notification_daily_cap: a whole number from 1 to 100. quiet_hours: {"from": "21:00", "to": "08:00"}, local times that differ.';
revoke all on function private.is_setting_valid(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.is_setting_valid(text, jsonb) to authenticated, service_role;

create or replace function private.scenario_types() returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select array['inactivity', 'milestone', 'certification_expiry'];
$$;
comment on function private.scenario_types() is 'The scenarios the engine knows. A new scenario adds its name here.';
revoke all on function private.scenario_types() from public, anon, authenticated, service_role;
grant execute on function private.scenario_types() to authenticated, service_role;

-- Always true: keeps it away from looking up an activity's contacts while the planner knows nothing of the table yet.
drop index public.activity_contacts_contact_id;
create index activity_contacts_contact_id on public.activity_contacts (organization_id, contact_id) where contact_id is not null;

-- Dates in ranges, for the ticks.
create index users_joined_at on public.users (organization_id, joined_at) where joined_at is not null;
create index users_reactivated_at on public.users (organization_id, reactivated_at) where reactivated_at is not null;
create index users_away_from on public.users (organization_id, away_from) where away_from is not null;
create index users_away_until on public.users (organization_id, away_until) where away_until is not null;
create index activity_statistics_quiet on public.activity_statistics (organization_id, last_activity_date) where period_type = 'all_time';

alter table public.notifications
  add column rule_version integer,
  add column is_mandatory boolean not null default false,
  add column about_user_id uuid,
  add column release_on date,
  add column retracted_at timestamptz,
  add foreign key (organization_id, about_user_id) references public.users (organization_id, id) on delete cascade;
comment on column public.notifications.rule_version is 'The version of the rule that decided (public.scenario_rule_versions).';
comment on column public.notifications.is_mandatory is 'Made by a mandatory rule: opting out neither stops nor retracts it.';
comment on column public.notifications.about_user_id is 'Set where a coordinator is told about somebody else.';
comment on column public.notifications.release_on is 'The person''s local day of the planned release: what the cap counts. Null: not counted.';
comment on column public.notifications.retracted_at is 'Taken back before it reached the person, who no longer sees it.';
create index notifications_about_user_id on public.notifications (organization_id, about_user_id) where about_user_id is not null;
create index notifications_released on public.notifications (organization_id, user_id, release_on)
  where release_on is not null and retracted_at is null;
alter policy "people read their own notifications" on public.notifications
  using (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id())
    and retracted_at is null);
alter policy "people mark their own notifications" on public.notifications
  using (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id())
    and retracted_at is null);

alter table private.outbox add column release_at timestamptz not null default now();
comment on column private.outbox.release_at is 'Not to be sent before: the end of the quiet hours it fell into.';
create index outbox_undelivered on private.outbox (organization_id, user_id) where state in ('pending', 'deferred');
alter table private.cooldowns alter column cooldown_days drop not null;
comment on column private.cooldowns.cooldown_days is 'The cooldown, in days of 24 hours, that applied when it was last triggered. Null: once and for all.';
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
alter table private.preference_history enable row level security;
revoke all on private.preference_history from public, anon, authenticated, service_role;
grant select on private.preference_history to service_role;

alter table public.scenario_rules
  add column version integer not null default 1,
  add column priority integer not null default 100 constraint priority_is_between_0_and_1000 check (priority between 0 and 1000),
  add column effective_from timestamptz not null default '-infinity',
  add column activation text not null default 'all' constraint activation_is_known check (activation in ('skip', 'all', 'spread')),
  add column spread_days integer constraint spread_days_is_between_1_and_365 check (spread_days between 1 and 365),
  add column max_reminders integer not null default 3 constraint max_reminders_is_between_1_and_100 check (max_reminders between 1 and 100),
  add column metric text not null default 'sessions' constraint metric_is_known check (metric in ('sessions', 'hours', 'contacts')),
  add column period text not null default 'year' constraint period_is_known check (period in ('year', 'all_time')),
  add column thresholds integer[] not null default '{50}' constraint thresholds_are_1_to_20_positive_numbers
    check (private.are_thresholds(thresholds, 1000000)),
  add column max_age_days integer not null default 7 constraint max_age_days_is_between_1_and_366 check (max_age_days between 1 and 366),
  add column lead_days integer[] not null default '{30}' constraint lead_days_are_1_to_20_numbers_up_to_365
    check (private.are_thresholds(lead_days, 365)),
  add column is_mandatory boolean not null default false,
  add column informs_coordinators boolean not null default false,
  add constraint spread_days_go_with_spread check ((activation = 'spread') = (spread_days is not null)),
  add constraint certificates_are_never_skipped check (type <> 'certification_expiry' or activation = 'all');
comment on column public.scenario_rules.threshold_days is 'Inactivity: days of 24 hours without a completed activity.';
comment on column public.scenario_rules.cooldown_days is 'Inactivity: days of 24 hours before the same person may be reminded.';
comment on column public.scenario_rules.version is 'Counts the edits. Every decision names the version that made it.';
comment on column public.scenario_rules.priority is 'Where a person''s day is full, the highest goes first.';
comment on column public.scenario_rules.effective_from is 'Since when this version decides. Activation says what becomes of crossings before it.';
comment on column public.scenario_rules.activation is 'Crossings before effective_from: skip them, tell all, or spread them over spread_days.';
comment on column public.scenario_rules.max_reminders is 'Inactivity: notifications in one spell, the first included.';
comment on column public.scenario_rules.metric is 'Milestone: what is counted. Hours are the sum of minutes, contacts are different people.';
comment on column public.scenario_rules.period is 'Milestone: a year (UTC), or all time.';
comment on column public.scenario_rules.thresholds is 'Milestone: the counts that are celebrated.';
comment on column public.scenario_rules.max_age_days is 'Milestone: days of 24 hours after which a crossing is recorded and no longer celebrated.';
comment on column public.scenario_rules.lead_days is 'Certification expiry: days of 24 hours before the end at which somebody is told.';
comment on column public.scenario_rules.is_mandatory is 'Told whatever the person''s preferences say.';
comment on column public.scenario_rules.informs_coordinators is 'The person''s coordinators see it in their list, too.';

create table public.scenario_rule_versions (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  rule_id uuid not null,
  version integer not null,
  rule jsonb not null,
  valid_from timestamptz not null default now(),
  valid_to timestamptz not null default 'infinity',
  primary key (organization_id, rule_id, version)
);
comment on table public.scenario_rule_versions is 'Every version of every rule, the present one included. A deleted rule keeps its versions.';
comment on column public.scenario_rule_versions.rule is 'The row of public.scenario_rules.';

create table private.rule_clocks (
  organization_id uuid not null,
  rule_id uuid not null,
  evaluated_until timestamptz not null default '-infinity',
  primary key (organization_id, rule_id),
  foreign key (organization_id, rule_id) references public.scenario_rules (organization_id, id) on delete cascade
);
comment on table private.rule_clocks is
  'Until when each rule has been looked at: whoever crossed since is due. -infinity: the rule is new or changed, everybody it concerns is due.';
create index rule_clocks_changed on private.rule_clocks (organization_id, rule_id) where evaluated_until = '-infinity';

create table public.certificates (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  name text not null constraint certificate_name_is_not_blank check (btrim(name) <> ''),
  issued_at timestamptz,
  expires_at timestamptz not null constraint expires_at_is_a_date check (isfinite(expires_at)),
  revoked_at timestamptz,
  replaced_by uuid,
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  foreign key (organization_id, replaced_by) references public.certificates (organization_id, id) on delete set null (replaced_by),
  constraint expires_at_is_after_issued_at check (expires_at > issued_at),
  constraint certificate_does_not_replace_itself check (replaced_by <> id)
);
comment on table public.certificates is 'What a person is certified for, and until when. A renewed certificate is a new one that replaces the old.';
comment on column public.certificates.expires_at is 'Exclusive: at this instant it has expired.';
create index certificates_expire on public.certificates (organization_id, expires_at) where revoked_at is null and replaced_by is null;
create index certificates_user_id on public.certificates (organization_id, user_id) where user_id is not null;
create index certificates_replaced_by on public.certificates (organization_id, replaced_by) where replaced_by is not null;

create table private.certificate_history (
  organization_id uuid not null,
  id bigint generated always as identity,
  certificate_id uuid not null,
  user_id uuid not null,
  name text not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  replaced_by uuid,
  created_at timestamptz not null,
  valid_to timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table private.certificate_history is 'Certificates as they stood until they were changed or deleted.';
create index certificate_history_user_id on private.certificate_history (organization_id, user_id, valid_to);

create table private.user_history (
  organization_id uuid not null,
  id bigint generated always as identity,
  user_id uuid not null,
  role public.user_role not null,
  is_active boolean not null,
  joined_at timestamptz not null,
  reactivated_at timestamptz,
  away_from timestamptz,
  away_until timestamptz,
  time_zone text,
  valid_to timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table private.user_history is
  'What the rules read of people, as it stood until it was changed. The state at a time is the earliest row that ended after it, else the person of today.';
create index user_history_ends on private.user_history (organization_id, user_id, valid_to);

create table public.achievements (
  organization_id uuid not null,
  user_id uuid not null,
  subject text not null,
  rule_id uuid not null,
  metric text not null,
  period text not null,
  period_start timestamptz,
  threshold integer not null,
  crossed_at timestamptz not null,
  outcome text not null constraint achievement_outcome_is_known
    check (outcome in ('celebrated', 'before_effective', 'crossing_too_old', 'opted_out', 'superseded')),
  recorded_at timestamptz not null default now(),
  primary key (organization_id, user_id, subject),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table public.achievements is
  'Milestones reached, each once and for ever: falling below and back never counts again. rule_id may name a rule that is gone.';
comment on column public.achievements.crossed_at is 'When the activity took place that reached the threshold.';
comment on column public.achievements.outcome is 'celebrated, or why it was only recorded.';
comment on column public.achievements.period_start is 'Null: all time.';

create table public.user_coordinators (
  organization_id uuid not null,
  user_id uuid not null,
  coordinator_id uuid not null,
  primary key (organization_id, user_id, coordinator_id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  foreign key (organization_id, coordinator_id) references public.users (organization_id, id) on delete cascade,
  constraint nobody_coordinates_themselves check (user_id <> coordinator_id)
);
comment on table public.user_coordinators is 'Who looks after whom: whom a rule that informs coordinators informs.';
create index user_coordinators_coordinator_id on public.user_coordinators (organization_id, coordinator_id);

create table private.held_decisions (
  organization_id uuid not null,
  user_id uuid not null,
  subject text not null,
  scenario text not null,
  rule_id uuid not null,
  rule_version integer not null,
  gate text not null,
  crossed_at timestamptz,
  decided_at timestamptz not null,
  look_again_at timestamptz,
  primary key (organization_id, user_id, subject),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table private.held_decisions is
  'Who matched and was not told, by which gate, since when: the latest such decision a subject. (Who was told is in public.notifications; who cools down, in private.cooldowns.)';
comment on column private.held_decisions.look_again_at is 'When the gate ends by itself. Null: it does not, or has been looked at since.';
create index held_decisions_look_again on private.held_decisions (organization_id, look_again_at) where look_again_at is not null;

create table private.quarantine (
  organization_id uuid not null,
  user_id uuid not null,
  reason text not null,
  message text not null,
  since timestamptz not null default now(),
  primary key (organization_id, user_id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table private.quarantine is 'People whose evaluation failed. They are left out, so that everybody else is evaluated, until somebody retries them.';
comment on column private.quarantine.reason is 'SQLSTATE.';

create table private.sweep_findings (
  organization_id uuid not null,
  id bigint generated always as identity,
  user_id uuid not null,
  run_id bigint not null,
  scenario text not null,
  subject text not null,
  crossed_at timestamptz not null,
  found_at timestamptz not null default now(),
  primary key (organization_id, id)
);
comment on table private.sweep_findings is 'What a full evaluation told people that the ticks before it should have told them: nothing, if the ticks are complete.';

alter table public.scenario_rule_versions enable row level security;
alter table private.rule_clocks enable row level security;
alter table public.certificates enable row level security;
alter table private.certificate_history enable row level security;
alter table private.user_history enable row level security;
alter table public.achievements enable row level security;
alter table public.user_coordinators enable row level security;
alter table private.held_decisions enable row level security;
alter table private.quarantine enable row level security;
alter table private.sweep_findings enable row level security;

create policy "staff read the versions of their organisation's rules" on public.scenario_rule_versions for select to authenticated
  using (organization_id = (select private.organization_as('{coordinator,manager,admin}')));
create policy "people read their own certificates, staff their organisation's" on public.certificates for select to authenticated
  using (
    organization_id = (select private.organization_as('{coordinator,manager,admin}'))
    or (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()))
  );
create policy "coordinators and admins add certificates" on public.certificates for insert to authenticated
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins change certificates" on public.certificates for update to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins remove certificates" on public.certificates for delete to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "people read their own achievements, staff their organisation's" on public.achievements for select to authenticated
  using (
    organization_id = (select private.organization_as('{coordinator,manager,admin}'))
    or (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()))
  );
create policy "staff read who looks after whom" on public.user_coordinators for select to authenticated
  using (organization_id = (select private.organization_as('{coordinator,manager,admin}')));

revoke all on public.scenario_rules, public.scenario_rule_versions, public.certificates, public.achievements, public.user_coordinators
  from public, anon, authenticated, service_role;
revoke all on private.scenario_marks, private.rule_clocks, private.certificate_history, private.user_history, private.held_decisions,
  private.quarantine, private.sweep_findings
  from public, anon, authenticated, service_role;
grant select on public.scenario_rules, public.scenario_rule_versions, public.achievements, public.user_coordinators to authenticated;
grant select, insert, update, delete on public.certificates to authenticated, service_role;
-- Rules are changed through public.save_rule, which shows whom a change concerns before it takes effect.
grant select on public.scenario_rules, public.scenario_rule_versions to service_role;
grant select, insert on public.achievements to service_role;
grant select, insert, update, delete on public.user_coordinators to service_role;
grant select, insert, update, delete on private.scenario_marks, private.held_decisions, private.quarantine to service_role;
grant select, update on private.rule_clocks to service_role;
grant select on private.certificate_history, private.user_history to service_role;
grant select, insert on private.sweep_findings to service_role;

create or replace function public.drain_scenario_marks(p_limit integer default 2000, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_marks integer;
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_organization_id uuid;
  v_people integer := 0;
  v_counts jsonb := '{}';
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  -- Rules that are new or changed first: whom they concern is marked here, and claimed below.
  perform private.tick_scenarios(p_now, true);
  -- Any mark nobody else holds. By row address: a join with a limit for parameter is planned as a scan of the table.
  with claimed as (
    delete from private.scenario_marks m
    where m.ctid = any (array(
      select w.ctid from private.scenario_marks w
      order by w.organization_id, w.id
      limit p_limit
      for update skip locked))
    returning m.organization_id, m.user_id
  )
  select count(*), array_agg(c.organization_id), array_agg(c.user_id) into v_marks, v_organization_ids, v_user_ids from claimed c;

  for v_organization_id in select distinct o.id from unnest(v_organization_ids) as o (id) order by o.id loop
    v_counts := private.add_counts(v_counts, public.evaluate_people(v_organization_id, (
      select array_agg(distinct c.user_id)
      from unnest(v_organization_ids, v_user_ids) as c (organization_id, user_id)
      where c.organization_id = v_organization_id), p_now) -> 'counts');
  end loop;
  select count(distinct (c.organization_id, c.user_id)) into v_people
  from unnest(v_organization_ids, v_user_ids) as c (organization_id, user_id);

  return jsonb_build_object('marks', v_marks, 'people', v_people, 'more', v_marks = p_limit, 'counts', v_counts,
    'rang_again', v_marks < p_limit and private.ring_again('scenario-trigger-engine', 'public', 'activities'));
end;
$$;
comment on function public.drain_scenario_marks(integer, timestamptz) is
  'Claims up to p_limit marks and evaluates the people they name; marks and effects go in one transaction, so a crash leaves the marks. Drainers never wait for each other. Marks of people who are gone are dropped.';
revoke all on function public.drain_scenario_marks(integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.drain_scenario_marks(integer, timestamptz) to service_role;

create or replace function public.enqueue_notification(
  p_user_id uuid, p_scenario text, p_context jsonb default '{}', p_subject text default null,
  p_cooldown_days integer default null, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_outcome jsonb;
begin
  perform private.check_scenario_type(p_scenario);
  if jsonb_typeof(p_context) is distinct from 'object' then
    raise exception using errcode = 'PT400', message = 'context_is_not_an_object', hint = 'Pass a JSON object, or leave it out.';
  end if;
  if p_cooldown_days is not null and p_cooldown_days not between 1 and 3650 then
    raise exception using errcode = 'PT400', message = 'cooldown_days_out_of_range',
      detail = jsonb_build_object('cooldown_days', p_cooldown_days, 'minimum', 1, 'maximum', 3650)::text;
  end if;
  select jsonb_build_object('outcome', c.outcome, 'notification_id', c.notification_id,
      'until', coalesce(nullif(c.cooldown_until, 'infinity'), c.look_again_at))
    into v_outcome
  from private.claim_notifications(v_organization_id, array[row(
      p_user_id, p_scenario, coalesce(p_subject, p_scenario), null, coalesce(p_cooldown_days, 14), null, p_context,
      null, 100, false, false)::private.notification_claim], p_now) c;
  return v_outcome;
end;
$$;
comment on function public.enqueue_notification(uuid, text, jsonb, text, integer, timestamptz) is
  'The atomic claim for one person: preference, cooldown (default 14 days), notification and outbox in one transaction. The outcome is a value: sent, quiet_hours (in the app now, pushed when they end), opted_out, cooling_down, capped, person_inactive. The subject defaults to the scenario. Repeating a call within the cooldown tells nobody twice.';
revoke all on function public.enqueue_notification(uuid, text, jsonb, text, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.enqueue_notification(uuid, text, jsonb, text, integer, timestamptz) to service_role;

create or replace function public.evaluate_chunk(
  p_run_id bigint, p_holder uuid, p_chunk_size integer default 2000, p_lease_seconds integer default 60)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_slice record;
  v_ticked_at timestamptz;
  v_people integer := 0;
  v_counts jsonb := '{}';
begin
  for v_slice in select t.* from private.take_chunk(p_run_id, p_holder, p_chunk_size) t loop
    -- Whoever is due is marked now: what is told without a mark is what the ticks do not know of.
    if v_ticked_at is distinct from v_slice.as_of then
      perform private.tick_scenarios(v_slice.as_of);
      v_ticked_at := v_slice.as_of;
    end if;
    v_counts := private.add_counts(v_counts,
      private.decide_safely(
        v_slice.organization_id, v_slice.from_user, v_slice.to_user, null, v_slice.as_of, p_run_id));
    v_people := v_people + v_slice.people;
  end loop;
  return private.finish_chunk(p_run_id, p_holder, p_chunk_size, v_people, v_counts, p_lease_seconds);
end;
$$;
comment on function public.evaluate_chunk(bigint, uuid, integer, integer) is
  'Evaluates the people whom the holder has in hand, and takes the next: effects and slices in one transaction, so that a crash repeats nothing and skips nobody. Several holders work at once. Returns done, more (the holder has people in hand), people and counts of this chunk. PT409 lease_lost when somebody else has taken them over.';
revoke all on function public.evaluate_chunk(bigint, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_chunk(bigint, uuid, integer, integer) to service_role;

create or replace function public.evaluate_inactivity(p_user_id uuid, p_threshold_days integer, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_rule private.scenario_rule;
  v_answer jsonb;
begin
  if p_threshold_days is null or p_threshold_days not between 1 and 3650 then
    raise exception using errcode = 'PT400', message = 'threshold_days_out_of_range',
      detail = jsonb_build_object('threshold_days', p_threshold_days, 'minimum', 1, 'maximum', 3650)::text;
  end if;
  v_rule := private.lone_rule(v_organization_id, 'inactivity', jsonb_build_object('threshold_days', p_threshold_days));
  select jsonb_build_object('user_id', m.user_id, 'organization_id', v_organization_id, 'threshold_days', p_threshold_days,
      'matched', m.gate is null, 'gate', coalesce(m.gate, 'matched'), 'last_activity_at', m.context -> 'last_activity_at',
      'anchor_at', m.context -> 'anchor_at', 'crossed_at', coalesce(m.crossed_at, (m.context ->> 'would_cross_at')::timestamptz),
      'days_inactive', round(extract(epoch from p_now - (m.context ->> 'anchor_at')::timestamptz) / 86400, 3))
    into v_answer
  from private.inactivity_matches(v_organization_id, null, null, array[p_user_id], array[v_rule], p_now, null, false) m;
  return v_answer;
end;
$$;
comment on function public.evaluate_inactivity(uuid, integer, timestamptz) is
  'The inactivity evaluator alone: whether a person has been quiet for this many days of 24 hours, with the values compared. No rule, preference or cooldown is asked, nothing is written. PT404 unknown_user, PT400 threshold_days_out_of_range (1 to 3650).';
revoke all on function public.evaluate_inactivity(uuid, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_inactivity(uuid, integer, timestamptz) to service_role;

create or replace function public.evaluate_people(p_organization_id uuid, p_user_ids uuid[], p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
begin
  return jsonb_build_object(
    'people', coalesce(cardinality(p_user_ids), 0),
    -- No list is nobody; to private.decide it would mean everybody.
    'counts', private.decide_safely(p_organization_id, null, null, coalesce(p_user_ids, '{}'), p_now));
end;
$$;
comment on function public.evaluate_people(uuid, uuid[], timestamptz) is
  'Evaluates these people of one organisation, with all effects. people counts the ids given; those that are not of the organisation are ignored.';
revoke all on function public.evaluate_people(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_people(uuid, uuid[], timestamptz) to service_role;

create or replace function private.mark_scenarios() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_rings boolean;
begin
  if tg_op = 'INSERT' then
    -- As private.mark_people does, without its arrays: this is what every writer of an activity pays.
    v_rings := coalesce(current_setting('attend.scenario_bell', true), '') <> 'requested';
    insert into private.scenario_marks (organization_id, user_id, rings)
    select c.organization_id, c.user_id, v_rings and row_number() over () = 1
    from (select distinct n.organization_id, n.user_id from new_rows n) c;
    if found and v_rings then
      perform set_config('attend.scenario_bell', 'requested', true);
    end if;
    return null;
  elsif tg_op = 'DELETE' then
    select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
    from (select distinct o.organization_id, o.user_id from old_rows o) c;
  else
    select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
    from (select n.organization_id, n.user_id from new_rows n union select o.organization_id, o.user_id from old_rows o) c;
  end if;
  perform private.mark_people(v_organization_ids, v_user_ids);
  return null;
end;
$$;
-- Definer because whoever changes an activity, certificate or preference may not see marks.
comment on function private.mark_scenarios() is
  'Trigger: whoever''s figures (private.statistics_marks), certificates or preferences changed is to be evaluated.';
revoke all on function private.mark_scenarios() from public, anon, authenticated, service_role;

create or replace function public.should_notify(
  p_user_id uuid, p_scenario text, p_subject text default null, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_reason text;
  v_until timestamptz;
begin
  perform private.check_scenario_type(p_scenario);
  -- A rule's cooldown is what it says today, as in the gates; other subjects keep the one they were told with.
  -- What is told once and for all speaks only against itself.
  select max(case when cd.cooldown_days is null then 'infinity'
      else cd.last_triggered_at + make_interval(hours => 24 * coalesce(r.cooldown_days, cd.cooldown_days)) end) into v_until
  from private.cooldowns cd
  left join public.scenario_rules r on r.organization_id = cd.organization_id and r.id::text = cd.subject
  where cd.organization_id = v_organization_id and cd.user_id = p_user_id and cd.scenario = p_scenario
    and case when p_subject is null then cd.cooldown_days is not null else cd.subject = p_subject end;
  select case
      when not u.is_active then 'person_inactive'
      when exists (
        select from public.notification_preferences np
        where np.organization_id = v_organization_id and np.user_id = p_user_id
          and np.scenario in ('all', p_scenario) and np.channel = 'all' and not np.is_enabled) then 'opted_out'
      when v_until > p_now then 'cooling_down'
    end into v_reason
  from public.users u
  where u.organization_id = v_organization_id and u.id = p_user_id;
  return jsonb_build_object('allowed', v_reason is null, 'reason', v_reason,
    'until', case when v_reason = 'cooling_down' then nullif(v_until, 'infinity') end);
end;
$$;
comment on function public.should_notify(uuid, text, text, timestamptz) is
  'Advice: whether a notification would pass activity, preference and cooldown now; without a subject, any cooldown of the scenario that ends counts. No until with cooling_down: once and for all. Only enqueue_notification decides. PT404 unknown_user, PT400 unknown_scenario.';
revoke all on function public.should_notify(uuid, text, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.should_notify(uuid, text, text, timestamptz) to service_role;

create function private.keep_preference_history() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- A key that is new, by insert or by update, had nothing stored until now.
  if tg_op = 'INSERT'
    or tg_op = 'UPDATE' and (new.user_id, new.scenario, new.channel) is distinct from (old.user_id, old.scenario, old.channel)
  then
    insert into private.preference_history (organization_id, user_id, scenario, channel, was_enabled)
    values (new.organization_id, new.user_id, new.scenario, new.channel, null);
  end if;
  if tg_op <> 'INSERT' then
    insert into private.preference_history (organization_id, user_id, scenario, channel, was_enabled)
    select old.organization_id, old.user_id, old.scenario, old.channel, old.is_enabled
    -- A person being erased takes the history along.
    where exists (select from public.users u where u.organization_id = old.organization_id and u.id = old.user_id);
  end if;
  return null;
end;
$$;
-- Definer because people change their preferences and may not write history.
comment on function private.keep_preference_history() is
  'Trigger on public.notification_preferences: keeps what held until now, so that a question about the past can be answered.';
revoke all on function private.keep_preference_history() from public, anon, authenticated, service_role;

create function private.retract_opted_out() returns trigger
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
    where o.organization_id = new.organization_id and o.user_id = new.user_id and o.state in ('pending', 'deferred')
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

create function private.activate_rule(
  p_rule private.scenario_rule, p_activation text, p_spread_days integer, p_now timestamptz)
returns private.scenario_rule
language plpgsql stable
set search_path = ''
as $$
declare
  v_rule private.scenario_rule := p_rule;
begin
  if p_activation is null or p_activation not in ('skip', 'all', 'spread') then
    raise exception using errcode = 'PT400', message = 'activation_is_needed',
      detail = jsonb_build_object('activation', p_activation, 'allowed', array['skip', 'all', 'spread'])::text,
      hint = 'Say what becomes of those who match already: skip them, tell all, or spread them over days.';
  end if;
  if p_rule.type = 'certification_expiry' and p_activation <> 'all' then
    raise exception using errcode = 'PT400', message = 'certificates_are_never_skipped',
      detail = jsonb_build_object('activation', p_activation, 'allowed', array['all'])::text,
      hint = 'Certificates that have not expired yet are what the rule is for.';
  end if;
  if (p_activation = 'spread') <> (p_spread_days is not null) or p_spread_days not between 1 and 365 then
    raise exception using errcode = 'PT400', message = 'spread_days_out_of_range',
      detail = jsonb_build_object('spread_days', p_spread_days, 'minimum', 1, 'maximum', 365)::text,
      hint = 'spread needs spread_days; skip and all have none.';
  end if;
  v_rule.activation := p_activation;
  v_rule.spread_days := p_spread_days;
  v_rule.effective_from := p_now;
  return v_rule;
end;
$$;
comment on function private.activate_rule(private.scenario_rule, text, integer, timestamptz) is
  'The rule as it decides from p_now on, with what becomes of crossings before. PT400 unless that is said.';
revoke all on function private.activate_rule(private.scenario_rule, text, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.activate_rule(private.scenario_rule, text, integer, timestamptz) to service_role;

create function private.certificates_as_of(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_as_of timestamptz)
returns table (certificate_id uuid, user_id uuid, name text, expires_at timestamptz, is_valid boolean)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  if p_as_of is null then
    return query
    select c.id, c.user_id, c.name, c.expires_at, c.revoked_at is null and c.replaced_by is null
    from public.certificates c
    where c.organization_id = p_organization_id
      and (p_from_user is null or c.user_id >= p_from_user) and (p_to_user is null or c.user_id < p_to_user)
      and (p_user_ids is null or c.user_id = any (p_user_ids));
    return;
  end if;
  return query
  select distinct on (h.certificate_id) h.certificate_id, h.user_id, h.name, h.expires_at, h.revoked_at is null and h.replaced_by is null
  from (
    select g.certificate_id, g.user_id, g.name, g.expires_at, g.revoked_at, g.replaced_by, g.created_at, g.valid_to, g.id
    from private.certificate_history g
    where g.organization_id = p_organization_id and g.valid_to > p_as_of
    union all
    select c.id, c.user_id, c.name, c.expires_at, c.revoked_at, c.replaced_by, c.created_at, 'infinity', null
    from public.certificates c
    where c.organization_id = p_organization_id
  ) h
  where h.created_at <= p_as_of
    and (p_from_user is null or h.user_id >= p_from_user) and (p_to_user is null or h.user_id < p_to_user)
    and (p_user_ids is null or h.user_id = any (p_user_ids))
  order by h.certificate_id, h.valid_to, h.id;
end;
$$;
comment on function private.certificates_as_of(uuid, uuid, uuid, uuid[], timestamptz) is
  'The certificates of a range or list of people, now (null) or as they stood at p_as_of. is_valid: neither revoked nor replaced.';
revoke all on function private.certificates_as_of(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.certificates_as_of(uuid, uuid, uuid, uuid[], timestamptz) to service_role;

create function private.certification_expiry_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_user_ids uuid[] := p_user_ids;
  v_longest interval := (select make_interval(hours => 24 * max(l)) from unnest(p_rules) r, unnest(r.lead_days) l where r.type = 'certification_expiry');
begin
  if v_longest is null then
    return;
  end if;
  if p_matched_only and p_user_ids is null and p_as_of is null then
    v_user_ids := (
      select array_agg(distinct c.user_id)
      from public.certificates c
      where c.organization_id = p_organization_id and c.revoked_at is null and c.replaced_by is null
        and c.expires_at > p_now and c.expires_at <= p_now + v_longest
        and (p_from_user is null or c.user_id >= p_from_user) and (p_to_user is null or c.user_id < p_to_user));
    if v_user_ids is null then
      return;
    end if;
  end if;
  return query
  with judged as materialized (
    select f.user_id, f.away_until, r.id as rule_id, c.certificate_id, c.name, c.expires_at, c.is_valid, l.lead, s.crosses_at,
      case
        when not r.is_enabled then 'rule_disabled'
        when not f.is_active then 'person_inactive'
        when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
        when (c.is_valid and s.crosses_at <= p_now and p_now < c.expires_at) is not true then 'not_matched'
      end as gate,
      min(l.lead) filter (where s.crosses_at <= p_now) over (partition by r.id, c.certificate_id) as shortest_due
    from private.facts(p_organization_id, p_from_user, p_to_user, v_user_ids, p_as_of) f
    cross join unnest(p_rules) r
    cross join unnest(r.lead_days) as l (lead)
    left join private.certificates_as_of(p_organization_id, p_from_user, p_to_user, v_user_ids, p_as_of) c on c.user_id = f.user_id
    cross join lateral (select c.expires_at - make_interval(hours => 24 * l.lead) as crosses_at) s
    where r.type = 'certification_expiry'
  )
  select j.user_id, 'certification_expiry', j.rule_id, concat_ws(':', j.rule_id, j.certificate_id, j.lead), j.gate,
    case when j.gate is null then j.crosses_at end,
    case when j.gate is null and j.lead > j.shortest_due then 'superseded' end,
    case when j.gate is null and j.lead > j.shortest_due then concat_ws(':', j.rule_id, j.certificate_id, j.shortest_due) end,
    case j.gate when 'away' then j.away_until when 'not_matched' then case when j.is_valid and j.crosses_at > p_now then j.crosses_at end end,
    jsonb_strip_nulls(jsonb_build_object('certificate_id', j.certificate_id, 'name', j.name, 'expires_at', j.expires_at,
      'lead_days', j.lead, 'is_valid', case when j.gate is not null then j.is_valid end,
      'away_until', case when j.gate = 'away' then j.away_until end,
      'would_cross_at', case when j.gate is not null then j.crosses_at end))
  from judged j
  where j.gate is null or not p_matched_only;
end;
$$;
comment on function private.certification_expiry_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'The certification expiry evaluator: for everybody of a range or list, each of these rules of the type, each certificate and lead, whether the certificate is about to expire. Of several leads due the shortest is told. Arguments as private.inactivity_matches (rules.md §3).';
revoke all on function private.certification_expiry_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.certification_expiry_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;

create function private.check_rule(p_rule private.scenario_rule) returns void
language plpgsql stable
set search_path = ''
as $$
declare
  v_problem jsonb := (
    select jsonb_build_object('parameter', c.parameter, 'value', c.value, 'allowed', c.allowed)
    from (values
      ('name', to_jsonb(p_rule.name), 'not blank', btrim(p_rule.name) <> ''),
      ('is_enabled', to_jsonb(p_rule.is_enabled), 'true or false', p_rule.is_enabled is not null),
      ('threshold_days', to_jsonb(p_rule.threshold_days), '1 to 3650', p_rule.threshold_days between 1 and 3650),
      ('cooldown_days', to_jsonb(p_rule.cooldown_days), '1 to 3650', p_rule.cooldown_days between 1 and 3650),
      ('max_reminders', to_jsonb(p_rule.max_reminders), '1 to 100', p_rule.max_reminders between 1 and 100),
      ('priority', to_jsonb(p_rule.priority), '0 to 1000', p_rule.priority between 0 and 1000),
      ('metric', to_jsonb(p_rule.metric), 'sessions, hours or contacts', p_rule.metric in ('sessions', 'hours', 'contacts')),
      ('period', to_jsonb(p_rule.period), 'year or all_time', p_rule.period in ('year', 'all_time')),
      ('thresholds', to_jsonb(p_rule.thresholds), '1 to 20 different whole numbers from 1 to 1000000',
        private.are_thresholds(p_rule.thresholds, 1000000)),
      ('max_age_days', to_jsonb(p_rule.max_age_days), '1 to 366', p_rule.max_age_days between 1 and 366),
      ('lead_days', to_jsonb(p_rule.lead_days), '1 to 20 different whole numbers from 1 to 365', private.are_thresholds(p_rule.lead_days, 365)),
      ('is_mandatory', to_jsonb(p_rule.is_mandatory), 'true or false', p_rule.is_mandatory is not null),
      ('informs_coordinators', to_jsonb(p_rule.informs_coordinators), 'true or false', p_rule.informs_coordinators is not null)
    ) as c (parameter, value, allowed, is_allowed)
    where c.is_allowed is not true
    limit 1);
begin
  if v_problem is not null then
    raise exception using errcode = 'PT400', message = 'parameter_out_of_range', detail = v_problem::text;
  end if;
  if exists (
    select from public.scenario_rules r
    where r.organization_id = p_rule.organization_id and r.type = p_rule.type and r.name = p_rule.name and r.id <> p_rule.id)
  then
    raise exception using errcode = 'PT409', message = 'rule_name_is_taken', detail = jsonb_build_object('name', p_rule.name)::text;
  end if;
end;
$$;
comment on function private.check_rule(private.scenario_rule) is
  'Raises PT400 parameter_out_of_range with the allowed range, or PT409 rule_name_is_taken. The table''s constraints say the same to those who write it directly.';
revoke all on function private.check_rule(private.scenario_rule) from public, anon, authenticated, service_role;
grant execute on function private.check_rule(private.scenario_rule) to service_role;

create function private.claim_notifications(
  p_organization_id uuid, p_claims private.notification_claim[], p_now timestamptz)
returns setof private.claim_outcome
language plpgsql volatile
set search_path = ''
as $$
declare
  v_judged private.judged_claim[];
  v_passed private.judged_claim[];
  v_taken text[];
  v_lost private.judged_claim[];
  v_ids uuid[];
begin
  if p_claims is null then
    return;
  end if;
  v_judged := array(select g from private.delivery_gates(p_organization_id, p_claims, p_now, null) g);
  -- Whoever may be told is locked, in the order of the key, so that two evaluators never wait for each other in a circle, and
  -- then judged again by a statement that sees what was committed meanwhile: a cooldown taken, a day filled, an opt-out.
  perform from public.users u
  where u.organization_id = p_organization_id and u.id in (
    select g.user_id from unnest(v_judged) as g where g.gate in ('would_send', 'quiet_hours')
    union
    select uc.coordinator_id from unnest(v_judged) as g
    join public.user_coordinators uc on uc.organization_id = p_organization_id and uc.user_id = g.user_id
    where g.gate in ('would_send', 'quiet_hours') and g.informs_coordinators)
  order by u.id
  for no key update of u;
  if found then
    v_judged := array(
      select g from unnest(v_judged) as g where g.gate not in ('would_send', 'quiet_hours')
      union all
      select g from private.delivery_gates(p_organization_id, array(
        select row(c.user_id, c.scenario, c.subject, c.rule_id, c.cooldown_days, c.crossed_at, c.context, c.rule_version, c.priority,
          c.is_mandatory, c.informs_coordinators)::private.notification_claim
        from unnest(v_judged) as c where c.gate in ('would_send', 'quiet_hours')), p_now, null) g);
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
    insert into private.outbox (organization_id, notification_id, user_id, channel, state, release_at)
    select p_organization_id, p.id, p.user_id, 'push',
      case when p.release_at > p_now then 'deferred' else 'pending' end::public.outbox_state, p.release_at
    from rows from (unnest(v_ids), unnest(v_passed)) as p (id)
    where not p.is_push_opted_out or p.is_mandatory;
    perform private.inform_coordinators(p_organization_id, v_passed, p_now);
  end if;

  return query
  select p.user_id, p.scenario, p.subject, case p.gate when 'quiet_hours' then p.gate else 'sent' end, p.id,
    p_now + make_interval(hours => 24 * p.cooldown_days), null::timestamptz
  from rows from (unnest(v_ids), unnest(v_passed)) as p (id)
  union all
  select g.user_id, g.scenario, g.subject, g.gate, null, g.cooldown_until, g.look_again_at
  from unnest(v_judged) as g
  where g.gate not in ('would_send', 'quiet_hours')
  union all
  select l.user_id, l.scenario, l.subject, 'cooling_down', null, null, null
  from unnest(v_lost) as l;
end;
$$;
comment on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) is
  'The atomic act: preference, cooldown, cap, notification and outbox row, together or not at all, for people of one organisation. One outcome a claim: sent, quiet_hours (made, pushed when they end), opted_out, cooling_down, capped (until look_again_at) or person_inactive (also: no longer there). (user, scenario, subject) must be unique among the claims.';
revoke all on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) to service_role;

create function private.claims_of(p_matches private.scenario_match[], p_rules private.scenario_rule[])
returns private.notification_claim[]
language sql stable
set search_path = ''
as $$
  select array_agg(row(
      m.user_id, m.scenario, m.subject, m.rule_id,
      -- Only inactivity reminds: a milestone and a certificate's lead are told once.
      case when m.scenario = 'inactivity' then r.cooldown_days end,
      m.crossed_at, m.context, r.version, r.priority, r.is_mandatory, r.informs_coordinators)::private.notification_claim)
  from unnest(p_matches) as m
  join unnest(p_rules) as r on r.id = m.rule_id
  where m.gate is null;
$$;
comment on function private.claims_of(private.scenario_match[], private.scenario_rule[]) is
  'The claims that follow from those matches that nothing but the person speaks against; null: none.';
revoke all on function private.claims_of(private.scenario_match[], private.scenario_rule[]) from public, anon, authenticated, service_role;
grant execute on function private.claims_of(private.scenario_match[], private.scenario_rule[]) to service_role;

create function private.count_gates(p_matches private.scenario_match[]) returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_object_agg(s.scenario, s.gates), '{}')
  from (
    select g.scenario, jsonb_object_agg(g.gate, g.n) as gates
    from (select m.scenario, m.gate, count(*) as n from unnest(p_matches) as m where m.gate is not null group by m.scenario, m.gate) g
    group by g.scenario
  ) s;
$$;
comment on function private.count_gates(private.scenario_match[]) is 'How many are held by which gate: {"scenario": {"gate": n}}.';
revoke all on function private.count_gates(private.scenario_match[]) from public, anon, authenticated, service_role;
grant execute on function private.count_gates(private.scenario_match[]) to service_role;

create function private.count_outcomes(p_outcomes private.claim_outcome[]) returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_object_agg(s.scenario, s.outcomes), '{}')
  from (
    select o.scenario, jsonb_object_agg(o.outcome, o.n) as outcomes
    from (select c.scenario, c.outcome, count(*) as n from unnest(p_outcomes) as c group by c.scenario, c.outcome) o
    group by o.scenario
  ) s;
$$;
comment on function private.count_outcomes(private.claim_outcome[]) is 'How many claims ended how: {"scenario": {"outcome": n}}.';
revoke all on function private.count_outcomes(private.claim_outcome[]) from public, anon, authenticated, service_role;
grant execute on function private.count_outcomes(private.claim_outcome[]) to service_role;

create function private.count_rule_version() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if to_jsonb(new) - 'version' is distinct from to_jsonb(old) - 'version' then
    new.version := old.version + 1;
  else
    new.version := old.version;
  end if;
  return new;
end;
$$;
comment on function private.count_rule_version() is 'Trigger on public.scenario_rules: an edit is a new version, however it is made.';
revoke all on function private.count_rule_version() from public, anon, authenticated, service_role;

create function private.crossed_milestone_at(
  p_organization_id uuid, p_user_id uuid, p_metric text, p_period text, p_period_start timestamptz, p_threshold integer, p_at timestamptz)
returns timestamptz
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_from timestamptz := coalesce(p_period_start, '-infinity');
  v_to timestamptz := case when p_period = 'year' then ((p_period_start at time zone 'UTC') + interval '1 year') at time zone 'UTC' else 'infinity' end;
begin
  if p_metric = 'contacts' then
    return (
      select f.first_at
      from (
        select min(a.occurred_at) as first_at
        from public.activities a
        cross join lateral (
          select c.contact_id from public.activity_contacts c
          where c.organization_id = p_organization_id and c.activity_id = a.id
          offset 0
        ) ac
        where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status = 'completed'
          and a.occurred_at >= v_from and a.occurred_at < v_to and a.occurred_at <= p_at and a.recorded_at <= p_at
        group by ac.contact_id
      ) f
      order by f.first_at offset p_threshold - 1 limit 1);
  end if;
  return (
    select min(c.occurred_at)
    from (
      select a.occurred_at,
        case when p_metric = 'sessions' then count(*) over w else sum(a.duration_minutes) over w end as reached
      from public.activities a
      where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status = 'completed'
        and a.occurred_at >= v_from and a.occurred_at < v_to and a.occurred_at <= p_at and a.recorded_at <= p_at
      window w as (order by a.occurred_at, a.id rows unbounded preceding)
    ) c
    where c.reached >= p_threshold * case when p_metric = 'hours' then 60 else 1 end);
end;
$$;
comment on function private.crossed_milestone_at(uuid, uuid, text, text, timestamptz, integer, timestamptz) is
  'When the activity took place that reached a milestone, counted in the order in which activities took place; null if none has by p_at.';
revoke all on function private.crossed_milestone_at(uuid, uuid, text, text, timestamptz, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.crossed_milestone_at(uuid, uuid, text, text, timestamptz, integer, timestamptz) to service_role;

create function private.decide(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz, p_run_id bigint default null)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_rules private.scenario_rule[] := private.rules_of(p_organization_id, null);
  v_matches private.scenario_match[];
  v_outcomes private.claim_outcome[];
  v_counts jsonb;
begin
  -- Of a list every gate is counted; of a range only those who match are looked at, for there may be millions of others.
  v_matches := array(
    select m from private.scenario_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, v_rules, p_now, null, p_user_ids is null) m
    where not exists (select from private.quarantine q where q.organization_id = p_organization_id and q.user_id = m.user_id));
  -- Before anybody is told, so that what no longer holds makes room in their day.
  perform private.retract_unmatched(p_organization_id, p_from_user, p_to_user, p_user_ids, v_matches, p_now);
  v_outcomes := array(
    select o from private.claim_notifications(p_organization_id, private.claims_of(v_matches, v_rules), p_now) o);
  perform private.record_achievements(p_organization_id, v_matches, v_outcomes, p_now);
  perform private.record_held(p_organization_id, p_from_user, p_to_user, p_user_ids, v_matches, v_outcomes, v_rules, p_now);
  v_counts := private.add_counts(private.count_gates(v_matches), private.count_outcomes(v_outcomes));
  if p_run_id is not null then
    v_counts := private.add_counts(v_counts, private.record_findings(p_organization_id, v_matches, v_outcomes, p_run_id));
  end if;
  return v_counts;
end;
$$;
comment on function private.decide(uuid, uuid, uuid, uuid[], timestamptz, bigint) is
  'Evaluates a range (from inclusive, to exclusive, null: open) or list of people of one organisation, with all effects, in the caller''s transaction. With p_run_id, a full evaluation, what the ticks should have told before is reported in private.sweep_findings. Returns {"scenario": {"gate": n}}.';
revoke all on function private.decide(uuid, uuid, uuid, uuid[], timestamptz, bigint) from public, anon, authenticated, service_role;
grant execute on function private.decide(uuid, uuid, uuid, uuid[], timestamptz, bigint) to service_role;

create function private.decide_safely(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz, p_run_id bigint default null)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_message text;
  v_state text;
  v_ids uuid[];
  v_half integer;
begin
  return private.decide(p_organization_id, p_from_user, p_to_user, p_user_ids, p_now, p_run_id);
exception
  -- These are the moment's fault and nobody's data: a cancelled statement, a lost race, a server going down; or the engine's
  -- own, which would put everybody into quarantine: a function or a right that is missing.
  when syntax_error_or_access_rule_violation or query_canceled or serialization_failure or deadlock_detected or lock_not_available or operator_intervention
    or insufficient_resources or connection_exception then
    raise;
  when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    -- In halves, until it is one person's: the others are decided. In the order of the key, as locks are taken.
    v_ids := (
      select array_agg(distinct i.id order by i.id)
      from unnest(coalesce(p_user_ids, private.people(p_organization_id, p_from_user, p_to_user))) as i (id));
    v_half := cardinality(v_ids) / 2;
    if v_half is null then
      return '{}';
    elsif v_half = 0 then
      insert into private.quarantine (organization_id, user_id, reason, message)
      select u.organization_id, u.id, v_state, v_message
      from public.users u where u.organization_id = p_organization_id and u.id = v_ids[1]
      on conflict (organization_id, user_id) do update set reason = excluded.reason, message = excluded.message;
      return jsonb_build_object('quarantined', jsonb_build_object(v_state, 1));
    end if;
    return private.add_counts(
      private.decide_safely(p_organization_id, null, null, v_ids[:v_half], p_now, p_run_id),
      private.decide_safely(p_organization_id, null, null, v_ids[v_half + 1:], p_now, p_run_id));
end;
$$;
comment on function private.decide_safely(uuid, uuid, uuid, uuid[], timestamptz, bigint) is
  'private.decide, in which one person''s bad row does not stop everybody: whoever cannot be decided is put into private.quarantine with the reason. Returns the counts, and {"quarantined": {"sqlstate": n}}.';
revoke all on function private.decide_safely(uuid, uuid, uuid, uuid[], timestamptz, bigint) from public, anon, authenticated, service_role;
grant execute on function private.decide_safely(uuid, uuid, uuid, uuid[], timestamptz, bigint) to service_role;

create function public.delete_rule(p_organization_id uuid, p_rule_id uuid) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_rule jsonb;
begin
  delete from public.scenario_rules r where r.organization_id = p_organization_id and r.id = p_rule_id returning to_jsonb(r) into v_rule;
  if v_rule is null then
    raise exception using errcode = 'PT404', message = 'unknown_rule',
      detail = jsonb_build_object('organization_id', p_organization_id, 'rule_id', p_rule_id)::text;
  end if;
  return v_rule;
end;
$$;
-- Definer because nobody may write rules directly; service_role alone may call it.
comment on function public.delete_rule(uuid, uuid) is
  'Deletes a rule and takes back what it decided and is not sent; its versions, notifications and achievements stay. Returns the rule that was. PT404 unknown_rule.';
revoke all on function public.delete_rule(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function public.delete_rule(uuid, uuid) to service_role;

create function private.delivery_gates(
  p_organization_id uuid, p_claims private.notification_claim[], p_now timestamptz, p_as_of timestamptz,
  p_leaving uuid[] default '{}')
returns setof private.judged_claim
language plpgsql stable
set search_path = ''
as $$
declare
  v_time_zone text;
  v_cap integer;
  v_quiet_from time;
  v_quiet_to time;
begin
  select o.time_zone,
      (select (s.value #>> '{}')::integer from public.org_settings_kv s where s.organization_id = o.id and s.key = 'notification_daily_cap'),
      q.value ->> 'from', q.value ->> 'to'
    into v_time_zone, v_cap, v_quiet_from, v_quiet_to
  from public.organizations o
  left join public.org_settings_kv q on q.organization_id = o.id and q.key = 'quiet_hours'
  where o.id = p_organization_id;

  return query
  with judged as (
    select c.*, p.*, r.release_at, d.release_on, d.time_zone,
      case
        when coalesce(h.is_active, u.is_active) is not true then 'person_inactive'
        when p.opted_out_of is not null and not coalesce(c.is_mandatory, false) then 'opted_out'
        when p.cooldown_until > p_now then 'cooling_down'
      end as gate
    from unnest(p_claims) as c
    left join public.users u on u.organization_id = p_organization_id and u.id = c.user_id
    left join lateral (
      select g.user_id, g.is_active, g.time_zone from private.user_history g
      where p_as_of is not null and g.organization_id = p_organization_id and g.user_id = c.user_id and g.valid_to > p_as_of
      order by g.valid_to, g.id limit 1
    ) h on true
    cross join lateral (
      select coalesce(case when h.user_id is null then u.time_zone else h.time_zone end, v_time_zone, 'UTC') as time_zone) z
    cross join lateral (select private.release_at(p_now, z.time_zone, v_quiet_from, v_quiet_to) as release_at) r
    cross join lateral (select private.local_date(r.release_at, z.time_zone) as release_on, z.time_zone) d
    -- Probes for each who match, so that a chunk costs the same however many have been told before.
    cross join lateral (
      select
        case when p_as_of is null then (
            select min(np.scenario) from public.notification_preferences np
            where np.organization_id = p_organization_id and np.user_id = c.user_id and np.scenario in ('all', c.scenario)
              and np.channel = 'all' and not np.is_enabled)
          else (select min(o.scenario) from private.opted_out_of(p_organization_id, c.user_id, c.scenario, 'all', p_as_of) o)
        end as opted_out_of,
        case when p_as_of is null then exists (
            select from public.notification_preferences np
            where np.organization_id = p_organization_id and np.user_id = c.user_id and np.scenario in ('all', c.scenario)
              and np.channel = 'push' and not np.is_enabled)
          else exists (select from private.opted_out_of(p_organization_id, c.user_id, c.scenario, 'push', p_as_of))
        end as is_push_opted_out,
        case when p_as_of is null then (
            select coalesce(cd.last_triggered_at + make_interval(hours => 24 * c.cooldown_days), 'infinity')
            from private.cooldowns cd
            where cd.organization_id = p_organization_id and cd.user_id = c.user_id
              and cd.scenario = c.scenario and cd.subject = c.subject)
          else (
            select coalesce(max(t.triggered_at) + make_interval(hours => 24 * c.cooldown_days),
              case when count(*) > 0 then 'infinity'::timestamptz end)
            from (
              select n.triggered_at from public.notifications n
              where n.organization_id = p_organization_id and n.user_id = c.user_id and n.scenario = c.scenario
                and n.subject = c.subject and n.triggered_at < p_as_of
                -- What is told once and was taken back unseen is to be told again.
                and (c.cooldown_days is not null or n.retracted_at is null or n.retracted_at > p_as_of)
              union all
              -- What was told together with another has no notification of its own.
              select cd.last_triggered_at from private.cooldowns cd
              where cd.organization_id = p_organization_id and cd.user_id = c.user_id
                and cd.scenario = c.scenario and cd.subject = c.subject and cd.last_triggered_at < p_as_of
            ) t)
        end as cooldown_until
      offset 0
    ) p
  ), ranked as (
    select j.*,
      case when v_cap is not null and j.gate is null then
        row_number() over (
          partition by j.user_id, j.release_on, j.gate is null order by j.priority desc nulls last, j.crossed_at, j.subject)
        + (select count(*) from public.notifications n
           where n.organization_id = p_organization_id and n.user_id = j.user_id and n.release_on = j.release_on
             and (n.retracted_at is null or n.retracted_at > p_as_of) and (p_as_of is null or n.triggered_at < p_as_of)
             and not (n.id = any (p_leaving) and n.read_at is null and n.dismissed_at is null))
        > v_cap
      end as is_capped
    from judged j
  )
  select r.user_id, r.scenario, r.subject, r.rule_id, r.cooldown_days, r.crossed_at, r.context, r.rule_version, r.priority,
    r.is_mandatory, r.informs_coordinators,
    coalesce(r.gate, case when r.is_capped then 'capped' when r.release_at > p_now then 'quiet_hours' else 'would_send' end),
    r.opted_out_of, r.is_push_opted_out, r.cooldown_until, r.release_at, r.release_on,
    -- The day is over where the next release is another day's: at midnight, or already where quiet hours begin that last over it.
    case when r.gate is null and r.is_capped then
      case when v_quiet_from > v_quiet_to then (r.release_on + v_quiet_from) at time zone r.time_zone
        else private.local_midnight(r.release_on + 1, r.time_zone) end
    end
  from ranked r;
end;
$$;
comment on function private.delivery_gates(uuid, private.notification_claim[], timestamptz, timestamptz, uuid[]) is
  'Preference, cooldown, cap and quiet hours for claims of one organisation, at p_now; with p_as_of as they stood then, and without p_leaving, notifications about to be taken back. Every claim has its row; who is gone is person_inactive. Dry-run and claim read this and nothing else (rules.md §3 "Gates").';
revoke all on function private.delivery_gates(uuid, private.notification_claim[], timestamptz, timestamptz, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.delivery_gates(uuid, private.notification_claim[], timestamptz, timestamptz, uuid[]) to service_role;

create function private.draft_rule(p_organization_id uuid, p_rule jsonb) returns private.scenario_rule
language plpgsql stable
set search_path = ''
as $$
declare
  v_common constant text[] := '{id,type,name,is_enabled,priority,is_mandatory,informs_coordinators}';
  v_allowed text[];
  v_unknown text[];
  v_old private.scenario_rule;
  v_rule private.scenario_rule;
begin
  if not exists (select from public.organizations o where o.id = p_organization_id) then
    raise exception using errcode = 'PT404', message = 'unknown_organization',
      detail = jsonb_build_object('organization_id', p_organization_id)::text;
  end if;
  if jsonb_typeof(p_rule) is distinct from 'object' then
    raise exception using errcode = 'PT400', message = 'rule_is_not_an_object', hint = 'Pass a JSON object.';
  end if;
  if p_rule ? 'id' then
    select r.* into v_old from unnest(private.rules_of(p_organization_id, null)) as r where r.id::text = p_rule ->> 'id';
    if not found then
      raise exception using errcode = 'PT404', message = 'unknown_rule',
        detail = jsonb_build_object('organization_id', p_organization_id, 'rule_id', p_rule ->> 'id')::text;
    end if;
    if p_rule ? 'type' and p_rule ->> 'type' is distinct from v_old.type then
      raise exception using errcode = 'PT400', message = 'type_cannot_change', hint = 'Make another rule.';
    end if;
    -- What is recorded names threshold and period: 50 sessions must not be taken for 50 hours.
    if v_old.type = 'milestone' and p_rule ? 'metric' and p_rule ->> 'metric' is distinct from v_old.metric then
      raise exception using errcode = 'PT400', message = 'metric_cannot_change', hint = 'Make another rule.';
    end if;
    v_rule := v_old;
  else
    perform private.check_scenario_type(p_rule ->> 'type');
    if not p_rule ?& '{name,is_enabled}' then
      raise exception using errcode = 'PT400', message = 'rule_is_incomplete',
        detail = jsonb_build_object('needed', array['type', 'name', 'is_enabled'])::text;
    end if;
    -- The defaults of the columns, in one place more than one would wish; a test compares them.
    v_rule := jsonb_populate_record(v_rule, jsonb_build_object(
      'organization_id', p_organization_id, 'id', gen_random_uuid(), 'type', p_rule ->> 'type', 'threshold_days', 21,
      'cooldown_days', 14, 'version', 0, 'priority', 100, 'max_reminders', 3, 'metric', 'sessions',
      'period', 'year', 'thresholds', array[50], 'max_age_days', 7, 'lead_days', array[30], 'is_mandatory', false,
      'informs_coordinators', false));
  end if;
  v_allowed := v_common || case v_rule.type
    when 'inactivity' then '{threshold_days,cooldown_days,max_reminders}'::text[]
    when 'milestone' then '{metric,period,thresholds,max_age_days}'
    when 'certification_expiry' then '{lead_days}' end;
  v_unknown := array(select k from jsonb_object_keys(p_rule) k where k <> all (v_allowed) order by k);
  if v_unknown <> '{}' then
    raise exception using errcode = 'PT400', message = 'unknown_parameter',
      detail = jsonb_build_object('unknown', v_unknown, 'type', v_rule.type, 'allowed', v_allowed)::text;
  end if;
  begin
    v_rule := jsonb_populate_record(v_rule, p_rule);
  exception when data_exception then
    raise exception using errcode = 'PT400', message = 'parameter_of_wrong_type', detail = jsonb_build_object('problem', sqlerrm)::text;
  end;
  v_rule.organization_id := p_organization_id;
  perform private.check_rule(v_rule);
  return v_rule;
end;
$$;
comment on function private.draft_rule(uuid, jsonb) is
  'The rule that an edit would make: a new one, or with "id" the present one with these parameters changed. Writes nothing. PT400 and PT404 with what is allowed.';
revoke all on function private.draft_rule(uuid, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.draft_rule(uuid, jsonb) to service_role;

create function public.dry_run_scenarios(
  p_organization_id uuid, p_at timestamptz default null, p_after_user uuid default null, p_limit integer default 500,
  p_scenario text default null)
returns jsonb
language plpgsql stable
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_after uuid := p_after_user;
  v_ids uuid[];
  v_rows jsonb;
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 10000)::text;
  end if;
  if p_scenario is not null then
    perform private.check_scenario_type(p_scenario);
  end if;
  perform private.question_time(p_organization_id, p_at);
  -- Until somebody has a row: of a page of people who came later, a question about the past has none, and [] means the end.
  loop
    v_ids := array(
      select u.id from public.users u
      where u.organization_id = p_organization_id and (v_after is null or u.id > v_after)
      order by u.id limit p_limit);
    if v_ids = '{}' then
      return '[]';
    end if;
    v_rows := private.explanations(p_organization_id, v_ids, p_scenario, p_at);
    if v_rows <> '[]' then
      return v_rows;
    end if;
    v_after := v_ids[cardinality(v_ids)];
  end loop;
end;
$$;
comment on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer, text) is
  'What an evaluation would do now, or would have done at p_at on the facts of then, without effects: rows of each person, rule and subject with the gate, for the p_limit people after p_after_user. Page until []. One JSON value, so no row limit of the API cuts it. PT400 time_out_of_range, limit_out_of_range, unknown_scenario; PT404 unknown_organization.';
revoke all on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer, text) from public, anon, authenticated, service_role;
grant execute on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer, text) to service_role;

create function private.due_of_rule(p_rule private.scenario_rule, p_from timestamptz, p_to timestamptz) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_threshold constant interval := make_interval(hours => 24 * p_rule.threshold_days);
  v_cooldown constant interval := make_interval(hours => 24 * p_rule.cooldown_days);
  v_due uuid[] := '{}';
begin
  if p_from = '-infinity' then
    -- What the rule as it was told, and as it is would not, is to be taken back.
    v_due := array(
      select o.user_id
      from private.outbox o
      join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
      where o.organization_id = p_rule.organization_id and o.state in ('pending', 'deferred') and n.rule_id = p_rule.id);
  end if;
  if not p_rule.is_enabled then
    return v_due;
  end if;

  case p_rule.type
  when 'inactivity' then
    if p_from = '-infinity' then
      return v_due || private.inactivity_candidates(p_rule.organization_id, null, null, p_to - v_threshold);
    end if;
    -- Whoever's anchor lies in the range has one of these dates in it; whoever has may have a later anchor, and is looked at.
    return v_due || array(
      select s.user_id from public.activity_statistics s
      where s.organization_id = p_rule.organization_id and s.period_type = 'all_time'
        and s.last_activity_date > p_from - v_threshold and s.last_activity_date <= p_to - v_threshold
      union
      -- Whose row may be stale is looked up in the activities.
      select m.user_id
      from (select distinct w.user_id from private.statistics_marks w where w.organization_id = p_rule.organization_id) m
      cross join lateral (
        select max(a.occurred_at) as last_at from public.activities a
        where a.organization_id = p_rule.organization_id and a.user_id = m.user_id and a.status = 'completed') l
      where l.last_at > p_from - v_threshold and l.last_at <= p_to - v_threshold
      union
      select u.id from public.users u
      where u.organization_id = p_rule.organization_id
        and u.joined_at > p_from - v_threshold and u.joined_at <= p_to - v_threshold
      union
      select u.id from public.users u
      where u.organization_id = p_rule.organization_id
        and u.reactivated_at > p_from - v_threshold and u.reactivated_at <= p_to - v_threshold
      union
      select u.id from public.users u
      where u.organization_id = p_rule.organization_id
        and u.away_until > p_from - v_threshold and u.away_until <= p_to - v_threshold
      union
      select cd.user_id from private.cooldowns cd
      where cd.organization_id = p_rule.organization_id and cd.subject = p_rule.id::text and cd.cooldown_days is not null
        and cd.last_triggered_at > p_from - v_cooldown and cd.last_triggered_at <= p_to - v_cooldown);
  when 'milestone' then
    -- Only activities reach milestones, and mark; a rule that is new has those who were there before it.
    if p_from = '-infinity' then
      return v_due || private.milestone_candidates(p_rule.organization_id, null, null, array[p_rule], p_to);
    end if;
  when 'certification_expiry' then
    return v_due || array(
      select distinct c.user_id
      from unnest(p_rule.lead_days) as l (lead)
      join public.certificates c on c.organization_id = p_rule.organization_id and c.revoked_at is null and c.replaced_by is null
        and c.expires_at > p_from + make_interval(hours => 24 * l.lead) and c.expires_at <= p_to + make_interval(hours => 24 * l.lead)
        and c.expires_at > p_to
      union
      -- What was told of one that has expired meanwhile, and waits to be pushed, is to be taken back.
      select c.user_id
      from public.certificates c
      where c.organization_id = p_rule.organization_id and c.revoked_at is null and c.replaced_by is null
        and c.expires_at > p_from and c.expires_at <= p_to and p_from > '-infinity');
  end case;
  return v_due;
end;
$$;
comment on function private.due_of_rule(private.scenario_rule, timestamptz, timestamptz) is
  'Whom to look at because of a rule, when it was last looked at p_from (exclusive; -infinity: never, as it is now) and is at p_to: everybody who crossed meanwhile, and few others. From index ranges alone. A new scenario says here which of its crossings come with time.';
revoke all on function private.due_of_rule(private.scenario_rule, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.due_of_rule(private.scenario_rule, timestamptz, timestamptz) to service_role;

create function public.evaluate_certification_expiry(p_user_id uuid, p_lead_days integer, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_rule private.scenario_rule;
  v_answer jsonb;
begin
  if p_lead_days is null or p_lead_days not between 1 and 365 then
    raise exception using errcode = 'PT400', message = 'lead_days_out_of_range',
      detail = jsonb_build_object('lead_days', p_lead_days, 'minimum', 1, 'maximum', 365)::text;
  end if;
  v_rule := private.lone_rule(v_organization_id, 'certification_expiry', jsonb_build_object('lead_days', array[p_lead_days]));
  select jsonb_build_object('user_id', p_user_id, 'organization_id', v_organization_id, 'lead_days', p_lead_days,
      'matched', coalesce(bool_or(m.gate is null), false),
      'gate', coalesce(min(m.gate) filter (where m.gate <> 'not_matched'), case when bool_or(m.gate is null) then 'matched' else 'not_matched' end),
      'certificates', coalesce(jsonb_agg(jsonb_build_object('certificate_id', m.context -> 'certificate_id', 'name', m.context -> 'name',
          'expires_at', m.context -> 'expires_at', 'matched', m.gate is null,
          'crossed_at', coalesce(m.crossed_at, (m.context ->> 'would_cross_at')::timestamptz))
        order by m.context ->> 'expires_at', m.context ->> 'certificate_id') filter (where m.context ? 'certificate_id'), '[]'))
    into v_answer
  from private.certification_expiry_matches(v_organization_id, null, null, array[p_user_id], array[v_rule], p_now, null, false) m;
  return v_answer;
end;
$$;
comment on function public.evaluate_certification_expiry(uuid, integer, timestamptz) is
  'The certification expiry evaluator alone: which certificates of a person expire within this many days of 24 hours. No rule, preference or cooldown is asked, nothing is written. PT404 unknown_user, PT400 lead_days_out_of_range (1 to 365).';
revoke all on function public.evaluate_certification_expiry(uuid, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_certification_expiry(uuid, integer, timestamptz) to service_role;

create function public.evaluate_milestone(
  p_user_id uuid, p_metric text, p_threshold integer default 50, p_period text default 'year', p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_rule private.scenario_rule;
  v_answer jsonb;
begin
  if p_metric is null or p_metric not in ('sessions', 'hours', 'contacts') then
    raise exception using errcode = 'PT400', message = 'unknown_milestone_type',
      detail = jsonb_build_object('milestone_type', p_metric, 'allowed', array['sessions', 'hours', 'contacts'])::text;
  end if;
  if p_period is null or p_period not in ('year', 'all_time') then
    raise exception using errcode = 'PT400', message = 'unknown_period',
      detail = jsonb_build_object('period', p_period, 'allowed', array['year', 'all_time'])::text;
  end if;
  if p_threshold is null or p_threshold not between 1 and 1000000 then
    raise exception using errcode = 'PT400', message = 'threshold_out_of_range',
      detail = jsonb_build_object('threshold', p_threshold, 'minimum', 1, 'maximum', 1000000)::text;
  end if;
  v_rule := private.lone_rule(v_organization_id, 'milestone', jsonb_build_object(
    'metric', p_metric, 'period', p_period, 'thresholds', array[p_threshold]));
  select jsonb_build_object('user_id', m.user_id, 'organization_id', v_organization_id, 'milestone_type', p_metric,
      'period', p_period, 'period_start', m.context -> 'period_start', 'threshold', p_threshold, 'value', m.context -> 'value',
      'matched', m.gate is null, 'gate', coalesce(m.gate, 'matched'), 'crossed_at', m.crossed_at)
    into v_answer
  from private.milestone_matches(v_organization_id, null, null, array[p_user_id], array[v_rule], p_now, null, false) m
  -- The period that p_now lies in; the last days of the one before are the rules' business.
  order by (m.context ->> 'period_start')::timestamptz desc nulls last
  limit 1;
  return v_answer;
end;
$$;
comment on function public.evaluate_milestone(uuid, text, integer, text, timestamptz) is
  'The milestone evaluator alone: whether a person has reached a count of sessions, hours or contacts in this year (UTC) or all time, and when. No rule, record or preference is asked, nothing is written. PT404 unknown_user, PT400 unknown_milestone_type, unknown_period, threshold_out_of_range (1 to 1000000).';
revoke all on function public.evaluate_milestone(uuid, text, integer, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_milestone(uuid, text, integer, text, timestamptz) to service_role;

create function public.explain_scenarios(
  p_organization_id uuid, p_user_id uuid, p_scenario text default null, p_at timestamptz default null)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_at timestamptz := coalesce(p_at, now());
begin
  if p_scenario is not null then
    perform private.check_scenario_type(p_scenario);
  end if;
  if not exists (select from public.users u where u.organization_id = p_organization_id and u.id = p_user_id) then
    raise exception using errcode = 'PT404', message = 'unknown_user',
      detail = jsonb_build_object('organization_id', p_organization_id, 'user_id', p_user_id)::text;
  end if;
  return jsonb_build_object(
    'at', v_at, 'user', (
      select jsonb_build_object('user_id', u.id, 'full_name', u.full_name, 'role', u.role,
        'time_zone', private.time_zone_of_user(u.organization_id, u.id))
      from public.users u where u.organization_id = p_organization_id and u.id = p_user_id),
    'answers', private.explanations(p_organization_id, array[p_user_id], p_scenario, p_at),
    'told', (
      select coalesce(jsonb_agg(jsonb_build_object('notification_id', n.id, 'scenario', n.scenario, 'rule_id', n.rule_id,
          'rule_version', n.rule_version, 'subject', n.subject, 'crossed_at', n.crossed_at, 'triggered_at', n.triggered_at,
          'retracted_at', n.retracted_at, 'read_at', n.read_at, 'push', o.state, 'release_at', o.release_at, 'detail', n.context)
          order by n.triggered_at desc, n.id), '[]')
      from (
        select * from public.notifications t
        where t.organization_id = p_organization_id and t.user_id = p_user_id and t.triggered_at <= v_at
          and (p_scenario is null or t.scenario = p_scenario) and t.about_user_id is null
        order by t.triggered_at desc, t.id limit 50
      ) n
      left join private.outbox o on o.organization_id = n.organization_id and o.notification_id = n.id),
    'held', (
      select coalesce(jsonb_agg(jsonb_build_object('scenario', h.scenario, 'rule_id', h.rule_id, 'rule_version', h.rule_version,
          'subject', h.subject, 'gate', h.gate, 'crossed_at', h.crossed_at, 'decided_at', h.decided_at,
          'look_again_at', h.look_again_at) order by h.decided_at desc, h.subject), '[]')
      from private.held_decisions h
      where h.organization_id = p_organization_id and h.user_id = p_user_id and h.decided_at <= v_at
        and (p_scenario is null or h.scenario = p_scenario)),
    'quarantine', (
      select jsonb_build_object('reason', q.reason, 'message', q.message, 'since', q.since)
      from private.quarantine q where q.organization_id = p_organization_id and q.user_id = p_user_id));
end;
$$;
comment on function public.explain_scenarios(uuid, uuid, text, timestamptz) is
  'Why a person would or would not be told something now, or at p_at on the facts of then, matched or not: {at, user, answers: one row a rule and subject with gate, values and when it is eligible again; told: what was decided, as stored, newest first, 50 at most; held: who matched and was not told; quarantine}. PT404 unknown_user, PT400 unknown_scenario, time_out_of_range.';
revoke all on function public.explain_scenarios(uuid, uuid, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.explain_scenarios(uuid, uuid, text, timestamptz) to service_role;

create function private.explanations(p_organization_id uuid, p_user_ids uuid[], p_scenario text, p_at timestamptz) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_as_of timestamptz := private.question_time(p_organization_id, p_at);
  v_rules private.scenario_rule[] := private.rules_of(p_organization_id, v_as_of);
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
        'user_id', g.user_id, 'full_name', u.full_name, 'scenario', g.scenario, 'rule_id', g.rule_id,
        'rule_version', g.rule_version, 'subject', g.subject, 'gate', g.gate, 'crossed_at', g.crossed_at, 'eligible_again_at', g.eligible_again_at, 'release_at', g.release_at,
        'detail', g.detail) order by g.user_id, g.rule_id, g.subject), '[]')
    from private.scenario_gates(p_organization_id, null, null, p_user_ids, v_rules, coalesce(v_as_of, now()), v_as_of) g
    join public.users u on u.organization_id = p_organization_id and u.id = g.user_id
    -- Not by the rules that are asked: a person's day is shared by all scenarios.
    where p_scenario is null or g.scenario = p_scenario);
end;
$$;
comment on function private.explanations(uuid, uuid[], text, timestamptz) is
  'The gates of a list of people as readable rows, ordered by person, rule and subject: [{user_id, full_name, scenario, rule_id, rule_version, subject, gate, crossed_at, eligible_again_at, release_at, detail}]. p_scenario null: all; p_at null: now.';
revoke all on function private.explanations(uuid, uuid[], text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.explanations(uuid, uuid[], text, timestamptz) to service_role;

create function private.facts(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_as_of timestamptz)
returns table (
  user_id uuid, role public.user_role, is_active boolean, joined_at timestamptz, reactivated_at timestamptz,
  away_from timestamptz, away_until timestamptz, time_zone text, last_activity_at timestamptz)
language plpgsql stable
set search_path = ''
as $$
begin
  if p_as_of is null then
    return query select f.* from private.facts_now(p_organization_id, p_from_user, p_to_user, p_user_ids) f;
  else
    return query select f.* from private.facts_as_of(p_organization_id, p_from_user, p_to_user, p_user_ids, p_as_of) f;
  end if;
end;
$$;
comment on function private.facts(uuid, uuid, uuid, uuid[], timestamptz) is
  'private.facts_now, or with p_as_of private.facts_as_of: the evaluators read this and do not care which.';
revoke all on function private.facts(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.facts(uuid, uuid, uuid, uuid[], timestamptz) to service_role;

create function private.facts_as_of(p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_at timestamptz)
returns table (
  user_id uuid, role public.user_role, is_active boolean, joined_at timestamptz, reactivated_at timestamptz,
  away_from timestamptz, away_until timestamptz, time_zone text, last_activity_at timestamptz)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select u.id, p.role, p.is_active, p.joined_at, p.reactivated_at, p.away_from, p.away_until, p.time_zone,
    (select a.occurred_at from public.activities a
     where a.organization_id = u.organization_id and a.user_id = u.id and a.status = 'completed'
       and a.occurred_at <= p_at and a.recorded_at <= p_at
     order by a.occurred_at desc limit 1)
  from public.users u
  cross join lateral (
    select h.role, h.is_active, h.joined_at, h.reactivated_at, h.away_from, h.away_until, h.time_zone
    from (
      select h.*, 1 as precedence from private.user_history h
      where h.organization_id = u.organization_id and h.user_id = u.id and h.valid_to > p_at
      union all
      select u.organization_id, 0, u.id, u.role, u.is_active, u.joined_at, u.reactivated_at, u.away_from, u.away_until, u.time_zone,
        'infinity'::timestamptz, 2
    ) h
    order by h.precedence, h.valid_to, h.id
    limit 1
  ) p
  where u.organization_id = p_organization_id and u.created_at <= p_at
    and (p_from_user is null or u.id >= p_from_user)
    and (p_to_user is null or u.id < p_to_user)
    and (p_user_ids is null or u.id = any (p_user_ids));
end;
$$;
comment on function private.facts_as_of(uuid, uuid, uuid, uuid[], timestamptz) is
  'private.facts_now as it would have answered at p_at: people as they stood then, activities that had taken place and been recorded by then. An activity edited since counts as it is today; an erased person is gone from the past too.';
revoke all on function private.facts_as_of(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.facts_as_of(uuid, uuid, uuid, uuid[], timestamptz) to service_role;

create function private.facts_now(p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[])
returns table (
  user_id uuid, role public.user_role, is_active boolean, joined_at timestamptz, reactivated_at timestamptz,
  away_from timestamptz, away_until timestamptz, time_zone text, last_activity_at timestamptz)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select u.id, u.role, u.is_active, u.joined_at, u.reactivated_at, u.away_from, u.away_until, u.time_zone,
    -- Nobody is decided on stale aggregates: whoever has a mark waiting, or no row yet, is looked up in the activities.
    case
      when s.user_id is null
        or exists (select from private.statistics_marks m where m.organization_id = u.organization_id and m.user_id = u.id)
      then (select a.occurred_at from public.activities a
            where a.organization_id = u.organization_id and a.user_id = u.id and a.status = 'completed'
            order by a.occurred_at desc limit 1)
      else s.last_activity_date
    end
  from public.users u
  left join public.activity_statistics s
    on s.organization_id = u.organization_id and s.user_id = u.id and s.period_type = 'all_time'
  where u.organization_id = p_organization_id
    and (p_from_user is null or u.id >= p_from_user)
    and (p_to_user is null or u.id < p_to_user)
    and (p_user_ids is null or u.id = any (p_user_ids));
end;
$$;
comment on function private.facts_now(uuid, uuid, uuid, uuid[]) is
  'What the rules read of each person of a range (from inclusive, to exclusive, null: open) or list, right at this moment whatever still waits to be recomputed. Same columns as private.facts_as_of (rules.md §3 "Facts").';
revoke all on function private.facts_now(uuid, uuid, uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.facts_now(uuid, uuid, uuid, uuid[]) to service_role;

create function private.inactivity_candidates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_quiet_since timestamptz)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select array_agg(c.user_id)
    from (
      select s.user_id
      from public.activity_statistics s
      where s.organization_id = p_organization_id and s.period_type = 'all_time'
        and (s.last_activity_date is null or s.last_activity_date <= p_quiet_since)
        and (p_from_user is null or s.user_id >= p_from_user) and (p_to_user is null or s.user_id < p_to_user)
      union
      -- Whose row may be stale is looked at in any case.
      select m.user_id
      from private.statistics_marks m
      where m.organization_id = p_organization_id
        and (p_from_user is null or m.user_id >= p_from_user) and (p_to_user is null or m.user_id < p_to_user)
    ) c);
end;
$$;
comment on function private.inactivity_candidates(uuid, uuid, uuid, timestamptz) is
  'Everybody of a range who may have been inactive since p_quiet_since, and few others: read from one covering index, so that a sweep looks closer at few.';
revoke all on function private.inactivity_candidates(uuid, uuid, uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.inactivity_candidates(uuid, uuid, uuid, timestamptz) to service_role;

create function private.inactivity_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
-- The arguments decide the plan: a range of people, a list of them, or one. (plpgsql, because a function in SQL is planned
-- without knowing its arguments, whatever the plan cache is told.)
set plan_cache_mode = force_custom_plan
as $$
declare
  v_user_ids uuid[] := p_user_ids;
  v_shortest integer := (select min(r.threshold_days) from unnest(p_rules) r where r.type = 'inactivity');
begin
  if v_shortest is null then
    return;
  end if;
  if p_matched_only and p_user_ids is null and p_as_of is null then
    v_user_ids := private.inactivity_candidates(
      p_organization_id, p_from_user, p_to_user, p_now - make_interval(hours => 24 * v_shortest));
    if v_user_ids is null then
      return;
    end if;
  end if;
  return query
  select m.user_id, 'inactivity', m.rule_id, m.rule_id::text, m.gate,
    case when m.gate is null then m.crosses_at end,
    case when m.gate is null and m.max_reminders <= m.skipped + (
        select count(*) from public.notifications n
        where n.organization_id = p_organization_id and n.user_id = m.user_id and n.scenario = 'inactivity'
          and n.subject = m.rule_id::text and n.triggered_at >= m.anchor_at and (n.retracted_at is null or n.retracted_at > p_as_of)
          and (p_as_of is null or n.triggered_at < p_as_of))
      then 'enough_reminders' end,
    null,
    case m.gate when 'away' then m.away_until when 'not_matched' then case when m.role = 'peer_mentor' then m.crosses_at end end,
    jsonb_strip_nulls(jsonb_build_object('threshold_days', m.threshold_days, 'last_activity_at', m.last_activity_at,
      'anchor_at', m.anchor_at, 'role', case when m.gate is not null then m.role end,
      'away_until', case when m.gate = 'away' then m.away_until end,
      'would_cross_at', case when m.gate is not null then m.crosses_at end))
  from (
    select f.user_id, f.role, f.away_until, f.last_activity_at, n.anchor_at,
      r.id as rule_id, r.threshold_days, r.max_reminders, c.crosses_at,
      -- A skipped rule acts as if it had been on all the time: what it would have sent before counts as sent.
      case when r.activation = 'skip' and c.crosses_at < r.effective_from
        then ceil(extract(epoch from r.effective_from - c.crosses_at) / (86400 * r.cooldown_days)) else 0 end as skipped,
      case
        when not r.is_enabled then 'rule_disabled'
        when not f.is_active then 'person_inactive'
        when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
        when f.role <> 'peer_mentor' or (c.crosses_at <= p_now) is not true then 'not_matched'
      end as gate
    from private.facts(p_organization_id, p_from_user, p_to_user, v_user_ids, p_as_of) f
    cross join unnest(p_rules) r
    -- An absence still ahead is not yet a reason to wait; one under way is the gate "away".
    cross join lateral (
      select greatest(f.last_activity_at, f.joined_at, f.reactivated_at, case when f.away_until <= p_now then f.away_until end) as anchor_at) n
    -- Days are 24 hours: a threshold does not move with anybody's clock change.
    cross join lateral (select n.anchor_at + make_interval(hours => 24 * r.threshold_days) as crosses_at) c
    where r.type = 'inactivity'
    offset 0
  ) m
  where m.gate is null or not p_matched_only;
end;
$$;
comment on function private.inactivity_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'The inactivity evaluator: for everybody of a range (from inclusive, to exclusive, null: open) or list and each of these rules of the type, whether they match at p_now, with the values compared. p_as_of: facts of then instead of now. p_matched_only: only those who match (rules.md §3).';
revoke all on function private.inactivity_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.inactivity_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;

create function private.inform_coordinators(p_organization_id uuid, p_told private.judged_claim[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not exists (select from unnest(p_told) as t where t.informs_coordinators) then
    return;
  end if;
  insert into public.notifications (
    organization_id, user_id, scenario, subject, rule_id, rule_version, context, crossed_at, triggered_at, about_user_id)
  select p_organization_id, uc.coordinator_id, t.scenario, t.subject || '/' || t.user_id, t.rule_id, t.rule_version, t.context,
    t.crossed_at, p_now, t.user_id
  from unnest(p_told) as t
  join public.user_coordinators uc on uc.organization_id = p_organization_id and uc.user_id = t.user_id
  join public.users u on u.organization_id = uc.organization_id and u.id = uc.coordinator_id
  where t.informs_coordinators and u.is_active
    and not exists (
      select from public.notification_preferences np
      where np.organization_id = p_organization_id and np.user_id = uc.coordinator_id and np.scenario in ('all', t.scenario)
        and np.channel = 'all' and not np.is_enabled);
end;
$$;
comment on function private.inform_coordinators(uuid, private.judged_claim[], timestamptz) is
  'Tells the coordinators of those who were told, where the rule says so and they have not opted out: in the app only and beyond the cap, so that what they see of others does not use up what concerns themselves. For private.claim_notifications, which holds the locks.';
revoke all on function private.inform_coordinators(uuid, private.judged_claim[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.inform_coordinators(uuid, private.judged_claim[], timestamptz) to service_role;

create function private.keep_certificate_history() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into private.certificate_history (
    organization_id, certificate_id, user_id, name, expires_at, revoked_at, replaced_by, created_at)
  select old.organization_id, old.id, old.user_id, old.name, old.expires_at, old.revoked_at, old.replaced_by, old.created_at
  -- A person being erased takes the history along.
  where exists (select from public.users u where u.organization_id = old.organization_id and u.id = old.user_id);
  return null;
end;
$$;
-- Definer because staff change certificates and may not write history.
comment on function private.keep_certificate_history() is 'Trigger on public.certificates: keeps a certificate as it stood until now.';
revoke all on function private.keep_certificate_history() from public, anon, authenticated, service_role;

create function private.keep_rule_version() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if tg_op <> 'INSERT' then
    if tg_op = 'UPDATE' and new.version = old.version then
      return null;
    end if;
    update private.rule_clocks c set evaluated_until = '-infinity'
    where tg_op = 'UPDATE' and c.organization_id = old.organization_id and c.rule_id = old.id;
    update public.scenario_rule_versions v set valid_to = now()
    where v.organization_id = old.organization_id and v.rule_id = old.id and v.valid_to = 'infinity';
  end if;
  if tg_op = 'DELETE' then
    -- What it decided and is not sent yet is to be taken back.
    perform private.mark_people(array_agg(p.organization_id), array_agg(p.user_id))
    from (
      select distinct o.organization_id, o.user_id
      from private.outbox o
      join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
      where o.organization_id = old.organization_id and o.state in ('pending', 'deferred') and n.rule_id = old.id
    ) p;
  else
    insert into public.scenario_rule_versions (organization_id, rule_id, version, rule)
    values (new.organization_id, new.id, new.version, to_jsonb(new));
    if tg_op = 'INSERT' then
      insert into private.rule_clocks (organization_id, rule_id) values (new.organization_id, new.id);
    end if;
  end if;
  return null;
end;
$$;
-- Definer because whoever may change rules may not rewrite their history.
comment on function private.keep_rule_version() is
  'Trigger on public.scenario_rules: keeps every version, and makes everybody the rule concerns due for the next tick.';
revoke all on function private.keep_rule_version() from public, anon, authenticated, service_role;

create function private.keep_user_history() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into private.user_history (organization_id, user_id, role, is_active, joined_at, reactivated_at, away_from, away_until, time_zone)
  values (old.organization_id, old.id, old.role, old.is_active, old.joined_at, old.reactivated_at, old.away_from, old.away_until, old.time_zone);
  return null;
end;
$$;
-- Definer because people change themselves and may not write history.
comment on function private.keep_user_history() is 'Trigger on public.users: keeps what the rules read of a person as it stood until now.';
revoke all on function private.keep_user_history() from public, anon, authenticated, service_role;

create function public.list_quarantine(p_organization_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('user_id', q.user_id, 'full_name', u.full_name, 'reason', q.reason,
      'message', q.message, 'since', q.since) order by q.since, q.user_id), '[]')
    from private.quarantine q
    join public.users u on u.organization_id = q.organization_id and u.id = q.user_id
    where q.organization_id = p_organization_id);
end;
$$;
comment on function public.list_quarantine(uuid) is
  'Whose evaluation failed, with reason (SQLSTATE) and message, oldest first. They are left out until public.retry_quarantine.';
revoke all on function public.list_quarantine(uuid) from public, anon, authenticated, service_role;
grant execute on function public.list_quarantine(uuid) to service_role;

create function public.list_rules(p_organization_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(r) || jsonb_build_object('evaluated_until', nullif(c.evaluated_until, '-infinity'))
      order by r.type, r.name), '[]')
    from public.scenario_rules r
    left join private.rule_clocks c on c.organization_id = r.organization_id and c.rule_id = r.id
    where r.organization_id = p_organization_id);
end;
$$;
comment on function public.list_rules(uuid) is 'The rules of an organisation, and until when each has been evaluated.';
revoke all on function public.list_rules(uuid) from public, anon, authenticated, service_role;
grant execute on function public.list_rules(uuid) to service_role;

create function private.lone_rule(p_organization_id uuid, p_type text, p_parameters jsonb) returns private.scenario_rule
language plpgsql immutable
set search_path = ''
as $$
begin
  return jsonb_populate_record(null::private.scenario_rule, jsonb_build_object('organization_id', p_organization_id,
    'id', '00000000-0000-0000-0000-000000000000', 'type', p_type, 'is_enabled', true, 'activation', 'all',
    'cooldown_days', 14, 'max_reminders', 100, 'max_age_days', 7) || p_parameters);
end;
$$;
comment on function private.lone_rule(uuid, text, jsonb) is 'A rule that is stored nowhere, for asking an evaluator alone.';
revoke all on function private.lone_rule(uuid, text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.lone_rule(uuid, text, jsonb) to service_role;

create function private.mark_people(p_organization_ids uuid[], p_user_ids uuid[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_rings boolean;
begin
  if p_user_ids is null then
    return;
  end if;
  -- One bell a transaction. The setting is local, so a rollback to a savepoint that takes the mark takes it too.
  v_rings := coalesce(current_setting('attend.scenario_bell', true), '') <> 'requested';
  if v_rings then
    perform set_config('attend.scenario_bell', 'requested', true);
  end if;
  insert into private.scenario_marks (organization_id, user_id, rings)
  select m.organization_id, m.user_id, v_rings and m.position = 1
  from unnest(p_organization_ids, p_user_ids) with ordinality as m (organization_id, user_id, position);
end;
$$;
comment on function private.mark_people(uuid[], uuid[]) is 'Appends a scenario mark for each of these people (two arrays of equal length; null: nobody).';
revoke all on function private.mark_people(uuid[], uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.mark_people(uuid[], uuid[]) to service_role;

create function private.mark_scenarios_of_users() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
begin
  if tg_op = 'INSERT' then
    -- Thresholds are days: who joined this very day cannot be late for anything, and the ticks find them when they are.
    select array_agg(n.organization_id), array_agg(n.id) into v_organization_ids, v_user_ids
    from new_rows n where n.joined_at < now() - interval '23 hours';
  else
    select array_agg(n.organization_id), array_agg(n.id) into v_organization_ids, v_user_ids
    from new_rows n
    join old_rows o on o.organization_id = n.organization_id and o.id = n.id
    where (o.role, o.is_active, o.joined_at, o.reactivated_at, o.away_from, o.away_until, o.time_zone)
      is distinct from (n.role, n.is_active, n.joined_at, n.reactivated_at, n.away_from, n.away_until, n.time_zone);
  end if;
  perform private.mark_people(v_organization_ids, v_user_ids);
  return null;
end;
$$;
-- Definer because people change themselves and may not see marks.
comment on function private.mark_scenarios_of_users() is 'Trigger on public.users: whoever changed in what the rules read is to be evaluated.';
revoke all on function private.mark_scenarios_of_users() from public, anon, authenticated, service_role;

create function private.matching_subjects(p_rule private.scenario_rule, p_now timestamptz)
returns table (user_id uuid, subject text)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select m.user_id, m.subject
  from private.scenario_matches(p_rule.organization_id, null, null, null, array[p_rule], p_now, null, true) m
  where p_rule.id is not null;
end;
$$;
comment on function private.matching_subjects(private.scenario_rule, timestamptz) is
  'Everybody a rule matches at p_now, and in what, whatever gates come after. A null rule matches nobody.';
revoke all on function private.matching_subjects(private.scenario_rule, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.matching_subjects(private.scenario_rule, timestamptz) to service_role;

create function private.milestone_candidates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_rules private.scenario_rule[], p_now timestamptz)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select array_agg(c.user_id)
    from (
      select s.user_id
      from unnest(p_rules) r
      cross join lateral private.milestone_periods(r.period, r.max_age_days, p_now) p
      cross join lateral (select min(t) as threshold from unnest(r.thresholds) t) lowest
      join public.activity_statistics s on s.organization_id = p_organization_id
        and s.period_type = p.period::public.statistics_period and s.period_start is not distinct from p.period_start
        and case r.metric when 'sessions' then s.total_activities when 'contacts' then s.unique_contacts_reached
          else s.total_duration_minutes / 60 end >= lowest.threshold
      where r.type = 'milestone' and r.is_enabled
        and (p_from_user is null or s.user_id >= p_from_user) and (p_to_user is null or s.user_id < p_to_user)
      union
      select m.user_id
      from private.statistics_marks m
      where m.organization_id = p_organization_id
        and (p_from_user is null or m.user_id >= p_from_user) and (p_to_user is null or m.user_id < p_to_user)
    ) c);
end;
$$;
comment on function private.milestone_candidates(uuid, uuid, uuid, private.scenario_rule[], timestamptz) is
  'Everybody of a range who has reached a milestone of these rules, and those whose figures may be stale.';
revoke all on function private.milestone_candidates(uuid, uuid, uuid, private.scenario_rule[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.milestone_candidates(uuid, uuid, uuid, private.scenario_rule[], timestamptz) to service_role;

create function private.milestone_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_user_ids uuid[] := p_user_ids;
begin
  if not exists (select from unnest(p_rules) r where r.type = 'milestone') then
    return;
  end if;
  if p_user_ids is null then
    v_user_ids := case when p_matched_only and p_as_of is null
      then private.milestone_candidates(p_organization_id, p_from_user, p_to_user, p_rules, p_now)
      else private.people(p_organization_id, p_from_user, p_to_user) end;
  end if;
  if v_user_ids is null then
    return;
  end if;
  return query
  with target as materialized (
    select r.id as rule_id, r.is_enabled, r.metric, r.max_age_days, r.activation, r.effective_from, p.period, p.period_start, t.threshold,
      t.threshold * case r.metric when 'hours' then 60 else 1 end as needed,
      concat_ws(':', r.id, t.threshold, p.label) as subject
    from unnest(p_rules) r
    cross join lateral private.milestone_periods(r.period, r.max_age_days, p_now) p
    cross join unnest(r.thresholds) as t (threshold)
    where r.type = 'milestone'
  ), total as materialized (
    select p.period, p.period_start, t.*
    from (select distinct g.period, g.period_start from target g) p
    cross join lateral private.totals(p_organization_id, v_user_ids, p.period, p.period_start, p_as_of) t
  ), judged as materialized (
    select f.user_id, f.away_until, g.*, v.value,
      max(case when v.value >= g.needed then g.threshold end)
        over (partition by f.user_id, g.rule_id, g.period_start) as highest,
      case
        when not g.is_enabled then 'rule_disabled'
        when not f.is_active then 'person_inactive'
        when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
        when v.value < g.needed then 'not_matched'
      end as gate
    from private.facts(p_organization_id, null, null, v_user_ids, p_as_of) f
    cross join target g
    left join total t on t.user_id = f.user_id and t.period = g.period and t.period_start is not distinct from g.period_start
    cross join lateral (
      select coalesce(case g.metric when 'sessions' then t.sessions when 'hours' then t.minutes else t.contacts end, 0) as value) v
  )
  select j.user_id, 'milestone', j.rule_id, j.subject, j.gate, c.crossed_at,
    case
      when c.is_recorded then 'already_celebrated'
      when j.threshold < j.highest then 'superseded'
      -- Whoever is told days later because the rule is spread was not too late when it was switched on.
      when c.crossed_at < case when j.activation = 'spread' and c.crossed_at < j.effective_from then j.effective_from else p_now end
        - make_interval(hours => 24 * j.max_age_days) then 'crossing_too_old'
    end,
    case when j.gate is null and j.threshold < j.highest
      then replace(j.subject, ':' || j.threshold || ':', ':' || j.highest || ':') end,
    case j.gate when 'away' then j.away_until end,
    jsonb_strip_nulls(jsonb_build_object('metric', j.metric, 'period', j.period, 'period_start', j.period_start,
      'threshold', j.threshold, 'value', case j.metric when 'hours' then round(j.value / 60.0, 2) else j.value end,
      'away_until', case when j.gate = 'away' then j.away_until end))
  from judged j
  left join lateral (
    select a.subject is not null as is_recorded,
      coalesce(a.crossed_at, private.crossed_milestone_at(
        p_organization_id, j.user_id, j.metric, j.period, j.period_start, j.threshold, coalesce(p_as_of, 'infinity'))) as crossed_at
    from (values (true)) as one
    left join public.achievements a on a.organization_id = p_organization_id and a.user_id = j.user_id and a.subject = j.subject
      and (p_as_of is null or a.recorded_at < p_as_of)
    where j.gate is null
    offset 0
  ) c on true
  where j.gate is null or not p_matched_only;
end;
$$;
comment on function private.milestone_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'The milestone evaluator: for everybody of a range or list, each of these rules of the type, each of its thresholds and periods, whether it is reached, when it was crossed, and whether it is recorded already. Of several reached at once the highest is told. Arguments as private.inactivity_matches (rules.md §3).';
revoke all on function private.milestone_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.milestone_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;

create function private.milestone_periods(p_period text, p_max_age_days integer, p_now timestamptz)
returns table (period text, period_start timestamptz, label text)
language sql stable
set search_path = ''
as $$
  select 'all_time', null::timestamptz, 'all' where p_period = 'all_time'
  union all
  -- At New Year a crossing of the old year is still new.
  select distinct 'year', date_trunc('year', t.at, 'UTC'), extract(year from t.at at time zone 'UTC')::text
  from (values (p_now), (p_now - make_interval(hours => 24 * p_max_age_days))) as t (at)
  where p_period = 'year';
$$;
comment on function private.milestone_periods(text, integer, timestamptz) is
  'The periods in which a milestone can have been reached that is not too old at p_now: this year (UTC), in its first days also the last one; or all time.';
revoke all on function private.milestone_periods(text, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.milestone_periods(text, integer, timestamptz) to service_role;

create function private.opted_out_of(
  p_organization_id uuid, p_user_id uuid, p_scenario text, p_channel text, p_as_of timestamptz)
returns table (scenario text)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select p.scenario
  from (values ('all'), (p_scenario)) as p (scenario)
  where not coalesce(
    (select coalesce(h.was_enabled, true) from private.preference_history h
     where h.organization_id = p_organization_id and h.user_id = p_user_id and h.scenario = p.scenario and h.channel = p_channel
       and h.valid_to > p_as_of
     order by h.valid_to, h.id limit 1),
    (select np.is_enabled from public.notification_preferences np
     where np.organization_id = p_organization_id and np.user_id = p_user_id and np.scenario = p.scenario and np.channel = p_channel),
    true);
end;
$$;
comment on function private.opted_out_of(uuid, uuid, text, text, timestamptz) is
  'Which preferences of a person, all or this scenario, switched it off on a channel at p_as_of.';
revoke all on function private.opted_out_of(uuid, uuid, text, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.opted_out_of(uuid, uuid, text, text, timestamptz) to service_role;

create function private.people(p_organization_id uuid, p_from_user uuid, p_to_user uuid) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select array_agg(u.id)
    from public.users u
    where u.organization_id = p_organization_id
      and (p_from_user is null or u.id >= p_from_user) and (p_to_user is null or u.id < p_to_user));
end;
$$;
comment on function private.people(uuid, uuid, uuid) is 'The ids of everybody in a range (from inclusive, to exclusive, null: open); null: nobody.';
revoke all on function private.people(uuid, uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.people(uuid, uuid, uuid) to service_role;

create function public.preview_rule(p_organization_id uuid, p_rule jsonb, p_now timestamptz default now()) returns jsonb
language plpgsql stable
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_new private.scenario_rule := private.draft_rule(p_organization_id, p_rule);
  v_old private.scenario_rule;
  v_after uuid[];
  v_added bigint;
  v_removed bigint;
begin
  select r.* into v_old from unnest(private.rules_of(p_organization_id, null)) as r where r.id = v_new.id;
  -- People are counted, by what they match in: another threshold or lead concerns people whom the rule concerned before.
  with before as materialized (
    select m.user_id, m.subject from private.matching_subjects(v_old, p_now) m
  ), after as materialized (
    select m.user_id, m.subject from private.matching_subjects(v_new, p_now) m
  )
  select array(select distinct a.user_id from after a),
    (select count(distinct d.user_id) from (select * from after except select * from before) d),
    (select count(distinct d.user_id) from (select * from before except select * from after) d)
    into v_after, v_added, v_removed;
  return jsonb_build_object(
    'rule', to_jsonb(v_new), 'matching', cardinality(v_after), 'added', v_added, 'removed', v_removed,
    'needs_activation', v_new.is_enabled and (v_old.is_enabled is not true or v_added > 0),
    'activations', case when v_new.is_enabled then (
      select jsonb_object_agg(c.activation, (
        select count(*) from private.scenario_gates(p_organization_id, null, null, v_after,
          array[private.activate_rule(v_new, c.activation, case c.activation when 'spread' then 7 end, p_now)], p_now, null) g
        where g.gate in ('would_send', 'quiet_hours')))
      from unnest(case v_new.type when 'certification_expiry' then '{all}'::text[] else '{skip,all,spread}' end) as c (activation)) end);
end;
$$;
comment on function public.preview_rule(uuid, jsonb, timestamptz) is
  'What a new rule, or with "id" an edit, would change, without effects: {rule, matching, added, removed, needs_activation, activations: {skip|all|spread: how many would be told at once (spread: over 7 days)}}. added and removed are people who match in something they did not match in before, or no longer do; public.save_rule wants them back.';
revoke all on function public.preview_rule(uuid, jsonb, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.preview_rule(uuid, jsonb, timestamptz) to service_role;

create function private.question_time(p_organization_id uuid, p_at timestamptz) returns timestamptz
language plpgsql stable
set search_path = ''
as $$
declare
  v_since timestamptz;
begin
  select o.created_at into v_since from public.organizations o where o.id = p_organization_id;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_organization',
      detail = jsonb_build_object('organization_id', p_organization_id)::text;
  end if;
  if p_at > now() + interval '1 minute' or p_at < v_since then
    raise exception using errcode = 'PT400', message = 'time_out_of_range',
      detail = jsonb_build_object('at', p_at, 'earliest', v_since, 'latest', now())::text,
      hint = 'Facts are known from the organisation''s first day until now.';
  end if;
  return case when p_at < now() then p_at end;
end;
$$;
comment on function private.question_time(uuid, timestamptz) is
  'The time a question is about: null for now (p_at null or this moment), else p_at. PT400 time_out_of_range for the future and for before the organisation was, PT404 unknown_organization.';
revoke all on function private.question_time(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.question_time(uuid, timestamptz) to service_role;

create function private.raw_totals(
  p_organization_id uuid, p_user_id uuid, p_period text, p_period_start timestamptz, p_at timestamptz)
returns table (sessions integer, minutes integer, contacts integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_from timestamptz := coalesce(p_period_start, '-infinity');
  v_to timestamptz := case when p_period = 'year' then ((p_period_start at time zone 'UTC') + interval '1 year') at time zone 'UTC' else 'infinity' end;
begin
  return query
  select count(*)::integer, coalesce(sum(a.duration_minutes), 0)::integer,
    (select count(distinct ac.contact_id)::integer
     from public.activities b
     -- Probed, never joined the other way round: that would read the whole organisation's contacts for one person.
     cross join lateral (
       select c.contact_id from public.activity_contacts c
       where c.organization_id = p_organization_id and c.activity_id = b.id
       offset 0
     ) ac
     where b.organization_id = p_organization_id and b.user_id = p_user_id and b.status = 'completed'
       and b.occurred_at >= v_from and b.occurred_at < v_to and b.occurred_at <= p_at and b.recorded_at <= p_at)
  from public.activities a
  where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status = 'completed'
    and a.occurred_at >= v_from and a.occurred_at < v_to and a.occurred_at <= p_at and a.recorded_at <= p_at;
end;
$$;
comment on function private.raw_totals(uuid, uuid, text, timestamptz, timestamptz) is
  'A person''s sessions, minutes and different contacts of a period, from the activities that had taken place and been recorded at p_at.';
revoke all on function private.raw_totals(uuid, uuid, text, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.raw_totals(uuid, uuid, text, timestamptz, timestamptz) to service_role;

create function private.record_achievements(
  p_organization_id uuid, p_matches private.scenario_match[], p_outcomes private.claim_outcome[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
-- The lengths of the arrays decide the plan.
set plan_cache_mode = force_custom_plan
as $$
begin
  if not exists (select from unnest(p_matches) as m where m.scenario <> 'inactivity' and m.crossed_at is not null) then
    return;
  end if;
  -- In the order of the key, as everywhere: rivals wait for each other, and never in a circle.
  insert into public.achievements (
    organization_id, user_id, subject, rule_id, metric, period, period_start, threshold, crossed_at, outcome, recorded_at)
  select p_organization_id, m.user_id, m.subject, m.rule_id, m.context ->> 'metric', m.context ->> 'period',
    (m.context ->> 'period_start')::timestamptz, (m.context ->> 'threshold')::integer, m.crossed_at, r.outcome, p_now
  from unnest(p_matches) as m
  left join unnest(p_outcomes) as o on o.user_id = m.user_id and o.scenario = m.scenario and o.subject = m.subject
  cross join lateral (
    select case
      when o.outcome in ('sent', 'quiet_hours') then 'celebrated'
      when o.outcome = 'opted_out' then 'opted_out'
      when m.gate = 'crossing_too_old' then m.gate
      -- Never to be told, unlike one that is spread over days and only waits.
      when m.gate = 'before_effective' and m.eligible_at is null then m.gate
    end as outcome) r
  where m.scenario = 'milestone' and r.outcome is not null
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, subject) do nothing;

  -- What is told with another is recorded when that other one is.
  insert into public.achievements (
    organization_id, user_id, subject, rule_id, metric, period, period_start, threshold, crossed_at, outcome, recorded_at)
  select p_organization_id, m.user_id, m.subject, m.rule_id, m.context ->> 'metric', m.context ->> 'period',
    (m.context ->> 'period_start')::timestamptz, (m.context ->> 'threshold')::integer, m.crossed_at, m.gate, p_now
  from unnest(p_matches) as m
  join public.achievements a on a.organization_id = p_organization_id and a.user_id = m.user_id and a.subject = m.told_with
  where m.scenario = 'milestone' and m.gate = 'superseded'
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, subject) do nothing;
  insert into private.cooldowns (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)
  select p_organization_id, m.user_id, m.scenario, m.subject, p_now, null
  from unnest(p_matches) as m
  join unnest(p_outcomes) as o on o.user_id = m.user_id and o.scenario = m.scenario and o.subject = m.told_with
  where m.scenario = 'certification_expiry' and m.gate = 'superseded' and o.outcome in ('sent', 'quiet_hours')
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, scenario, subject) do nothing;
end;
$$;
comment on function private.record_achievements(uuid, private.scenario_match[], private.claim_outcome[], timestamptz) is
  'Records what is told once and never again: milestones with what became of them, and the leads and thresholds told together with another (rules.md §3). Capped ones are left for another day.';
revoke all on function private.record_achievements(uuid, private.scenario_match[], private.claim_outcome[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.record_achievements(uuid, private.scenario_match[], private.claim_outcome[], timestamptz) to service_role;

create function private.record_findings(
  p_organization_id uuid, p_matches private.scenario_match[], p_outcomes private.claim_outcome[], p_run_id bigint)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_found jsonb;
begin
  with found as (
    insert into private.sweep_findings (organization_id, user_id, run_id, scenario, subject, crossed_at)
    select p_organization_id, m.user_id, p_run_id, m.scenario, m.subject, m.crossed_at
    from unnest(p_outcomes) as o
    join unnest(p_matches) as m on m.user_id = o.user_id and m.scenario = o.scenario and m.subject = o.subject
    where o.outcome in ('sent', 'quiet_hours')
      and not exists (select from private.scenario_marks k where k.organization_id = p_organization_id and k.user_id = m.user_id)
    returning scenario
  )
  select jsonb_object_agg(g.scenario, jsonb_build_object('missed_by_ticks', g.n)) into v_found
  from (select f.scenario, count(*) as n from found f group by f.scenario) g;
  return coalesce(v_found, '{}');
end;
$$;
comment on function private.record_findings(uuid, private.scenario_match[], private.claim_outcome[], bigint) is
  'Whom a full evaluation told although a tick just before it (public.evaluate_chunk) had not marked them: the ticks miss them. Returns the counts of a run: {"scenario": {"missed_by_ticks": n}}.';
revoke all on function private.record_findings(uuid, private.scenario_match[], private.claim_outcome[], bigint) from public, anon, authenticated, service_role;
grant execute on function private.record_findings(uuid, private.scenario_match[], private.claim_outcome[], bigint) to service_role;

create function private.record_held(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[],
  p_outcomes private.claim_outcome[], p_rules private.scenario_rule[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  -- These have been looked at now, whatever comes of it.
  update private.held_decisions h
  set look_again_at = null
  where h.organization_id = p_organization_id and h.look_again_at <= p_now
    and (p_from_user is null or h.user_id >= p_from_user) and (p_to_user is null or h.user_id < p_to_user)
    and (p_user_ids is null or h.user_id = any (p_user_ids));
  delete from private.held_decisions h
  using unnest(p_outcomes) as o
  where h.organization_id = p_organization_id and h.user_id = o.user_id and h.subject = o.subject
    and o.outcome in ('sent', 'quiet_hours');
  insert into private.held_decisions as h (
    organization_id, user_id, subject, scenario, rule_id, rule_version, gate, crossed_at, decided_at, look_again_at)
  select p_organization_id, m.user_id, m.subject, m.scenario, m.rule_id, r.version, coalesce(m.gate, o.outcome), m.crossed_at, p_now,
    case when m.gate is not null then m.eligible_at else o.look_again_at end
  from unnest(p_matches) as m
  join unnest(p_rules) as r on r.id = m.rule_id
  left join unnest(p_outcomes) as o on o.user_id = m.user_id and o.scenario = m.scenario and o.subject = m.subject
  where coalesce(m.gate, o.outcome) in ('before_effective', 'crossing_too_old', 'enough_reminders', 'opted_out', 'capped')
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, subject) do update
    set rule_version = excluded.rule_version, gate = excluded.gate, crossed_at = excluded.crossed_at, decided_at = excluded.decided_at,
        look_again_at = excluded.look_again_at
    where (h.rule_version, h.gate, h.crossed_at, h.look_again_at)
      is distinct from (excluded.rule_version, excluded.gate, excluded.crossed_at, excluded.look_again_at);
end;
$$;
comment on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.claim_outcome[], private.scenario_rule[], timestamptz) is
  'Keeps who matched and was not told, by which gate, and when a gate that ends by itself is to be looked at again.';
revoke all on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.claim_outcome[], private.scenario_rule[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.claim_outcome[], private.scenario_rule[], timestamptz) to service_role;

create function private.release_at(p_now timestamptz, p_time_zone text, p_quiet_from time, p_quiet_to time) returns timestamptz
language plpgsql stable parallel safe
set search_path = ''
as $$
declare
  v_local timestamp := p_now at time zone p_time_zone;
  v_time time := v_local::time;
  v_ends_local timestamp;
  v_ends_at timestamptz;
begin
  if p_quiet_from is null
    or (p_quiet_from < p_quiet_to and not (v_time >= p_quiet_from and v_time < p_quiet_to))
    or (p_quiet_from > p_quiet_to and v_time >= p_quiet_to and v_time < p_quiet_from)
  then
    return p_now;
  end if;
  v_ends_local := v_local::date + p_quiet_to + case when v_time >= p_quiet_to then interval '1 day' else interval '0' end;
  v_ends_at := v_ends_local at time zone p_time_zone;
  -- Where the clock jumps over the end, it ends with the jump, which is at a full hour; where the clock shows the end twice,
  -- with the first of them that is not over.
  if v_ends_at at time zone p_time_zone > v_ends_local then
    v_ends_at := v_ends_at - (v_ends_local - date_trunc('hour', v_ends_local));
  elsif (v_ends_at - interval '1 hour') at time zone p_time_zone = v_ends_local and v_ends_at - interval '1 hour' > p_now then
    v_ends_at := v_ends_at - interval '1 hour';
  end if;
  return v_ends_at;
end;
$$;
comment on function private.release_at(timestamptz, text, time, time) is
  'p_now, or where it is quiet in a time zone (from inclusive, to exclusive, over midnight if from is later; null: never), the instant at which it no longer is.';
revoke all on function private.release_at(timestamptz, text, time, time) from public, anon, authenticated, service_role;
grant execute on function private.release_at(timestamptz, text, time, time) to service_role;

create function private.retract_unmatched(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_unmatched constant uuid[] := private.unmatched_notifications(p_organization_id, p_from_user, p_to_user, p_user_ids, p_matches, p_now);
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
    where o.organization_id = p_organization_id and o.notification_id = any (v_unmatched) and o.state in ('pending', 'deferred')
    returning o.notification_id
  ), retracted as (
    update public.notifications n
    set retracted_at = p_now
    from taken
    where n.organization_id = p_organization_id and n.id = taken.notification_id
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
comment on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) is
  'Takes back what was decided for these people, has not been sent, and no longer holds: p_matches are all they match at p_now. What has been read in the app stays there; what coordinators were told of it goes along.';
revoke all on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.retract_unmatched(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) to service_role;

create function public.retry_quarantine(p_organization_id uuid, p_user_id uuid default null, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_user_ids uuid[];
begin
  with released as (
    delete from private.quarantine q
    where q.organization_id = p_organization_id and (p_user_id is null or q.user_id = p_user_id)
    returning q.user_id
  )
  select array_agg(r.user_id) into v_user_ids from released r;
  if v_user_ids is null then
    raise exception using errcode = 'PT404', message = 'not_in_quarantine',
      detail = jsonb_build_object('organization_id', p_organization_id, 'user_id', p_user_id)::text,
      hint = 'list_quarantine says who is.';
  end if;
  return jsonb_build_object('people', cardinality(v_user_ids),
    'counts', private.decide_safely(p_organization_id, null, null, v_user_ids, p_now));
end;
$$;
comment on function public.retry_quarantine(uuid, uuid, timestamptz) is
  'Evaluates one person of the quarantine, or all of an organisation, again; who fails again is back in it. PT404 not_in_quarantine.';
revoke all on function public.retry_quarantine(uuid, uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.retry_quarantine(uuid, uuid, timestamptz) to service_role;

create function private.rules_of(p_organization_id uuid, p_as_of timestamptz) returns private.scenario_rule[]
language plpgsql stable
set search_path = ''
as $$
begin
  if p_as_of is null then
    return array(
      select jsonb_populate_record(null::private.scenario_rule, to_jsonb(r))
      from public.scenario_rules r where r.organization_id = p_organization_id order by r.id);
  end if;
  return array(
    select jsonb_populate_record(null::private.scenario_rule, v.rule)
    from public.scenario_rule_versions v
    where v.organization_id = p_organization_id and v.valid_from <= p_as_of and p_as_of < v.valid_to
    order by v.rule_id);
end;
$$;
comment on function private.rules_of(uuid, timestamptz) is 'The rules of an organisation, now (null) or as they stood at p_as_of; in the order of their ids.';
revoke all on function private.rules_of(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.rules_of(uuid, timestamptz) to service_role;

create function public.save_rule(
  p_organization_id uuid, p_rule jsonb, p_added integer, p_removed integer, p_activation text default null,
  p_spread_days integer default null, p_tolerance integer default 0, p_now timestamptz default now())
returns jsonb
language plpgsql security definer
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_preview jsonb;
  v_rule private.scenario_rule;
begin
  if p_rule ? 'id' then
    perform from public.scenario_rules r where r.organization_id = p_organization_id and r.id::text = p_rule ->> 'id' for no key update;
  end if;
  v_preview := public.preview_rule(p_organization_id, p_rule, p_now);
  if p_added is null or p_removed is null or p_tolerance is null or p_tolerance < 0
    or abs((v_preview ->> 'added')::integer - p_added) > p_tolerance or abs((v_preview ->> 'removed')::integer - p_removed) > p_tolerance
  then
    raise exception using errcode = 'PT409', message = 'counts_have_drifted',
      detail = jsonb_build_object('acknowledged', jsonb_build_object('added', p_added, 'removed', p_removed),
        'now', jsonb_build_object('added', v_preview -> 'added', 'removed', v_preview -> 'removed'))::text,
      hint = 'Look at preview_rule again, and acknowledge what it says now.';
  end if;
  v_rule := jsonb_populate_record(null::private.scenario_rule, v_preview -> 'rule');
  if (v_preview ->> 'needs_activation')::boolean or p_activation is not null then
    v_rule := private.activate_rule(v_rule, p_activation, p_spread_days, p_now);
  elsif v_rule.activation is null then
    -- Switched off for now; switching it on will ask.
    v_rule.activation := 'all';
    v_rule.effective_from := p_now;
  end if;
  if v_rule.version = 0 then
    insert into public.scenario_rules (
      organization_id, id, type, name, is_enabled, threshold_days, cooldown_days, priority, effective_from, activation,
      spread_days, max_reminders, metric, period, thresholds, max_age_days, lead_days, is_mandatory, informs_coordinators)
    values (
      v_rule.organization_id, v_rule.id, v_rule.type, v_rule.name, v_rule.is_enabled, v_rule.threshold_days, v_rule.cooldown_days,
      v_rule.priority, v_rule.effective_from, v_rule.activation, v_rule.spread_days, v_rule.max_reminders, v_rule.metric,
      v_rule.period, v_rule.thresholds, v_rule.max_age_days, v_rule.lead_days, v_rule.is_mandatory, v_rule.informs_coordinators);
  else
    update public.scenario_rules r
    set name = v_rule.name, is_enabled = v_rule.is_enabled, threshold_days = v_rule.threshold_days,
        cooldown_days = v_rule.cooldown_days, priority = v_rule.priority, effective_from = v_rule.effective_from,
        activation = v_rule.activation, spread_days = v_rule.spread_days, max_reminders = v_rule.max_reminders,
        metric = v_rule.metric, period = v_rule.period, thresholds = v_rule.thresholds, max_age_days = v_rule.max_age_days,
        lead_days = v_rule.lead_days, is_mandatory = v_rule.is_mandatory, informs_coordinators = v_rule.informs_coordinators
    where r.organization_id = p_organization_id and r.id = v_rule.id;
  end if;
  return (select to_jsonb(r) from public.scenario_rules r where r.organization_id = p_organization_id and r.id = v_rule.id);
end;
$$;
-- Definer because nobody may write rules but by way of this check: service_role, the only one who may call it, included.
comment on function public.save_rule(uuid, jsonb, integer, integer, text, integer, integer, timestamptz) is
  'Makes a rule, or with "id" a new version of it, after p_added and p_removed (people, from public.preview_rule) were acknowledged; p_tolerance allows for as many more or fewer. Where it starts to concern somebody, p_activation says what becomes of those who match already: skip, all, or spread over p_spread_days. Returns the rule. PT409 counts_have_drifted with the present numbers, PT400 activation_is_needed, and what private.draft_rule raises.';
revoke all on function public.save_rule(uuid, jsonb, integer, integer, text, integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.save_rule(uuid, jsonb, integer, integer, text, integer, integer, timestamptz) to service_role;

create function private.scenario_gates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz)
returns table (
  user_id uuid, scenario text, rule_id uuid, rule_version integer, subject text, gate text, crossed_at timestamptz,
  eligible_again_at timestamptz, release_at timestamptz, detail jsonb)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_matches private.scenario_match[] := array(
    select m from private.scenario_matches(p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, false) m);
  -- What an evaluation would take back makes room in a day before anybody is told. (What it would have taken back then it has.)
  v_leaving uuid[] := case when p_as_of is null then array(
    select n.id
    from unnest(private.unmatched_notifications(p_organization_id, p_from_user, p_to_user, p_user_ids, v_matches, p_now)) as l (id)
    join public.notifications n on n.organization_id = p_organization_id and n.id = l.id
    -- Not those of rules that are not asked about.
    where n.rule_id in (select r.id from unnest(p_rules) r)
      or not exists (select from public.scenario_rules s where s.organization_id = p_organization_id and s.id = n.rule_id)) else '{}' end;
begin
  return query
  select m.user_id, m.scenario, m.rule_id, r.version, m.subject,
    case when q.user_id is not null then 'quarantined' else coalesce(m.gate, g.gate) end, m.crossed_at,
    case
      when q.user_id is not null then null
      when m.gate is not null then m.eligible_at
      when g.gate = 'cooling_down' then coalesce(nullif(g.cooldown_until, 'infinity'), (m.context ->> 'expires_at')::timestamptz)
      when g.gate = 'capped' then g.look_again_at
    end,
    case when q.user_id is null and g.gate in ('would_send', 'quiet_hours') then g.release_at end,
    m.context || jsonb_strip_nulls(jsonb_build_object('told_with', m.told_with, 'opted_out_of', g.opted_out_of,
      'cooldown_until', case when g.gate = 'cooling_down' then nullif(g.cooldown_until, 'infinity') end))
  from unnest(v_matches) as m
  join unnest(p_rules) as r on r.id = m.rule_id
  left join private.delivery_gates(p_organization_id, private.claims_of(v_matches, p_rules), p_now, p_as_of, v_leaving) g
    on m.gate is null and g.user_id = m.user_id and g.scenario = m.scenario and g.subject = m.subject
  left join private.quarantine q on q.organization_id = p_organization_id and q.user_id = m.user_id and p_as_of is null;
end;
$$;
comment on function private.scenario_gates(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz) is
  'Every scenario, whole: for everybody of a range (from inclusive, to exclusive, null: open) or list and every subject of these rules the first gate that holds at p_now, or would_send, with the values it compared and when it ends, if that is known. Dry-run, explanation and the preview of a rule read this; live is the same functions with effects (private.decide).';
revoke all on function private.scenario_gates(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.scenario_gates(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz) to service_role;

create function private.scenario_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select m.user_id, m.scenario, m.rule_id, m.subject,
    -- The record answers better than the date of the rule.
    case
      when m.gate is not null then m.gate
      when m.later_gate = 'already_celebrated' then m.later_gate
      when e.eligible_at > p_now then 'before_effective'
      else m.later_gate
    end,
    m.crossed_at, m.later_gate, m.told_with,
    case when m.gate is null and m.later_gate is distinct from 'already_celebrated' and e.eligible_at > p_now
      then nullif(e.eligible_at, 'infinity') else m.eligible_at end,
    m.context
  from (
    -- A new scenario adds its evaluator here.
    select * from private.inactivity_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, p_matched_only)
    union all
    select * from private.milestone_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, p_matched_only)
    union all
    select * from private.certification_expiry_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, p_matched_only)
  ) m
  join unnest(p_rules) r on r.id = m.rule_id
  cross join lateral (
    select case
      when m.gate is not null or r.activation = 'all' or m.crossed_at >= r.effective_from then '-infinity'::timestamptz
      -- Everybody's hour within the days follows from who they are, so that it is the same whenever it is asked.
      when r.activation = 'spread' then r.effective_from + make_interval(
        hours => (abs(hashtextextended(m.user_id::text || m.rule_id::text, 0) % (24 * r.spread_days)))::integer)
      when m.scenario = 'inactivity' then m.crossed_at + make_interval(hours => 24 * r.cooldown_days)
        * ceil(extract(epoch from r.effective_from - m.crossed_at) / (86400 * r.cooldown_days))
      else 'infinity'
    end as eligible_at
  ) e;
end;
$$;
comment on function private.scenario_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'All evaluators together, and what a rule''s activation makes of crossings before it took effect. A row without gate is worth telling, if the person may be told (private.delivery_gates).';
revoke all on function private.scenario_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.scenario_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;

create function private.take_due(p_organization_id uuid, p_now timestamptz, p_changed_only boolean) returns uuid[]
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_clock record;
  v_rule private.scenario_rule;
  v_earliest timestamptz := p_now;
  v_is_taken boolean := false;
  v_due uuid[] := '{}';
begin
  for v_clock in
    -- Who finds a clock taken leaves it to the other tick.
    select c.evaluated_until, c.rule_id
    from private.rule_clocks c
    where c.organization_id = p_organization_id and c.evaluated_until < p_now
      and (c.evaluated_until = '-infinity' or not p_changed_only)
    order by c.rule_id
    for no key update of c skip locked
  loop
    -- The rule is read once its clock is held: an edit until then is seen, and a later one waits to reset the clock.
    select r.* into v_rule from unnest(private.rules_of(p_organization_id, null)) as r where r.id = v_clock.rule_id;
    v_due := v_due || private.due_of_rule(v_rule, v_clock.evaluated_until, p_now);
    v_earliest := least(v_earliest, nullif(v_clock.evaluated_until, '-infinity'));
    v_is_taken := true;
    update private.rule_clocks c set evaluated_until = p_now
    where c.organization_id = p_organization_id and c.rule_id = v_clock.rule_id;
  end loop;
  if not v_is_taken then
    return null;
  end if;
  -- Gates that end by themselves: a full day, a rule spread over days, an absence.
  with looked_at as (
    update private.held_decisions h set look_again_at = null
    where h.organization_id = p_organization_id and h.look_again_at <= p_now
    returning h.user_id
  )
  select array_agg(d.user_id) into v_due
  from (
    select unnest(v_due) as user_id
    union
    select l.user_id from looked_at l
    union
    select u.id from public.users u
    where u.organization_id = p_organization_id and u.away_until > v_earliest and u.away_until <= p_now
    union
    -- Whoever leaves is not to be told what still waits to be pushed.
    select u.id from public.users u
    where u.organization_id = p_organization_id and u.away_from > v_earliest and u.away_from <= p_now
  ) d;
  return v_due;
end;
$$;
comment on function private.take_due(uuid, timestamptz, boolean) is
  'Moves the clocks of an organisation''s rules to p_now, and returns who has become due meanwhile; null: nobody. In one transaction with their marks.';
revoke all on function private.take_due(uuid, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.take_due(uuid, timestamptz, boolean) to service_role;

create function private.tick_scenarios(p_now timestamptz, p_changed_only boolean default false) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_organization_id uuid;
  v_organizations integer := 0;
  v_people integer := 0;
  v_due uuid[];
begin
  for v_organization_id in
    select distinct c.organization_id
    from private.rule_clocks c
    where c.evaluated_until < p_now and (c.evaluated_until = '-infinity' or not p_changed_only)
    order by c.organization_id
  loop
    v_due := private.take_due(v_organization_id, p_now, p_changed_only);
    v_organizations := v_organizations + 1;
    if v_due is not null then
      perform private.mark_people(array_fill(v_organization_id, array[cardinality(v_due)]), v_due);
      v_people := v_people + cardinality(v_due);
    end if;
  end loop;
  return jsonb_build_object('organizations', v_organizations, 'people', v_people);
end;
$$;
comment on function private.tick_scenarios(timestamptz, boolean) is
  'The incremental tick: whoever has become due by p_now since the last tick gets a scenario mark, which rings the engine. Costs what is due, not who exists. p_changed_only: only for rules that are new or changed. Returns {"organizations", "people"}.';
revoke all on function private.tick_scenarios(timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.tick_scenarios(timestamptz, boolean) to service_role;

create function private.totals(
  p_organization_id uuid, p_user_ids uuid[], p_period text, p_period_start timestamptz, p_as_of timestamptz)
returns table (user_id uuid, sessions integer, minutes integer, contacts integer)
language plpgsql stable
set search_path = ''
as $$
begin
  if p_as_of is null then
    return query select t.* from private.totals_now(p_organization_id, p_user_ids, p_period, p_period_start) t;
  else
    return query select t.* from private.totals_as_of(p_organization_id, p_user_ids, p_period, p_period_start, p_as_of) t;
  end if;
end;
$$;
comment on function private.totals(uuid, uuid[], text, timestamptz, timestamptz) is
  'private.totals_now, or with p_as_of private.totals_as_of.';
revoke all on function private.totals(uuid, uuid[], text, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.totals(uuid, uuid[], text, timestamptz, timestamptz) to service_role;

create function private.totals_as_of(
  p_organization_id uuid, p_user_ids uuid[], p_period text, p_period_start timestamptz, p_at timestamptz)
returns table (user_id uuid, sessions integer, minutes integer, contacts integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select p.id, t.sessions, t.minutes, t.contacts
  from unnest(p_user_ids) as p (id)
  cross join lateral private.raw_totals(p_organization_id, p.id, p_period, p_period_start, p_at) t;
end;
$$;
comment on function private.totals_as_of(uuid, uuid[], text, timestamptz, timestamptz) is
  'private.totals_now as it would have answered at p_at, from the activities that had taken place and been recorded by then.';
revoke all on function private.totals_as_of(uuid, uuid[], text, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.totals_as_of(uuid, uuid[], text, timestamptz, timestamptz) to service_role;

create function private.totals_now(p_organization_id uuid, p_user_ids uuid[], p_period text, p_period_start timestamptz)
returns table (user_id uuid, sessions integer, minutes integer, contacts integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select p.id, t.sessions, t.minutes, t.contacts
  from unnest(p_user_ids) as p (id)
  cross join lateral (
    select s.total_activities as sessions, s.total_duration_minutes as minutes, s.unique_contacts_reached as contacts
    from public.activity_statistics s
    where (s.organization_id = p_organization_id) is true and s.user_id = p.id and s.period_type = p_period::public.statistics_period
      and s.period_start is not distinct from p_period_start
      and not exists (select from private.statistics_marks m where m.organization_id = p_organization_id and m.user_id = p.id)
    union all
    select r.sessions, r.minutes, r.contacts
    from private.raw_totals(p_organization_id, p.id, p_period, p_period_start, 'infinity') r
    where exists (select from private.statistics_marks m where m.organization_id = p_organization_id and m.user_id = p.id)
    offset 0
  ) t;
end;
$$;
comment on function private.totals_now(uuid, uuid[], text, timestamptz) is
  'Sessions, minutes and different contacts of people in a year (p_period_start: its first instant, UTC) or all time (null), right at this moment whatever still waits to be recomputed. Who has none may be missing. Same columns as private.totals_as_of.';
revoke all on function private.totals_now(uuid, uuid[], text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.totals_now(uuid, uuid[], text, timestamptz) to service_role;

create function private.unmatched_notifications(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[], p_now timestamptz)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return array(
    select n.id
    from private.outbox o
    join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
    where o.organization_id = p_organization_id and o.state in ('pending', 'deferred')
      and (p_from_user is null or o.user_id >= p_from_user) and (p_to_user is null or o.user_id < p_to_user)
      and (p_user_ids is null or o.user_id = any (p_user_ids))
      -- Of who is in quarantine nobody knows what matches.
      and not exists (select from private.quarantine q where q.organization_id = o.organization_id and q.user_id = o.user_id)
      -- Without a rule, somebody outside decided. What was decided later than p_now is not this evaluation's to judge, nor is a
      -- milestone of a year that is no longer looked at.
      and n.rule_id is not null and n.triggered_at <= p_now
      and coalesce((n.context ->> 'period_start')::timestamptz >= date_trunc('year', p_now, 'UTC'), true)
    except
    select n.id
    from unnest(p_matches) as m
    join public.notifications n on n.organization_id = p_organization_id and n.user_id = m.user_id
      and n.scenario = m.scenario and n.subject = m.subject
    where m.gate is null or m.gate not in ('rule_disabled', 'person_inactive', 'away', 'not_matched')
  );
end;
$$;
comment on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) is
  'What was decided for these people, has not been sent, and no longer holds: p_matches are all they match at p_now. An evaluation takes it back, and a dry-run knows that it will.';
revoke all on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) to service_role;

create function private.run_scenario_tick() returns void
language plpgsql
set search_path = ''
as $$
declare
  v_result jsonb := private.tick_scenarios(now());
begin
  update private.schedules s set last_succeeded_at = clock_timestamp(), last_result = v_result where s.name = 'scenario-tick';
end;
$$;
comment on function private.run_scenario_tick() is
  'Cron: the incremental tick, with its result in private.schedules. Marks it makes ring the scenario-trigger-engine; with nobody due, nothing is called.';
revoke all on function private.run_scenario_tick() from public, anon, authenticated, service_role;

create trigger notification_preferences_keep_history after insert or update or delete on public.notification_preferences
  for each row execute function private.keep_preference_history();
create trigger notification_preferences_retract after insert or update on public.notification_preferences
  for each row when (not new.is_enabled) execute function private.retract_opted_out();

create trigger certificates_mark_scenarios_inserted after insert on public.certificates
  referencing new table as new_rows for each statement execute function private.mark_scenarios();
create trigger certificates_mark_scenarios_updated after update on public.certificates
  referencing old table as old_rows new table as new_rows for each statement execute function private.mark_scenarios();
create trigger certificates_mark_scenarios_deleted after delete on public.certificates
  referencing old table as old_rows for each statement execute function private.mark_scenarios();
create trigger notification_preferences_mark_scenarios_inserted after insert on public.notification_preferences
  referencing new table as new_rows for each statement execute function private.mark_scenarios();
create trigger notification_preferences_mark_scenarios_updated after update on public.notification_preferences
  referencing old table as old_rows new table as new_rows for each statement execute function private.mark_scenarios();
create trigger notification_preferences_mark_scenarios_deleted after delete on public.notification_preferences
  referencing old table as old_rows for each statement execute function private.mark_scenarios();
create trigger users_mark_scenarios_inserted after insert on public.users
  referencing new table as new_rows for each statement execute function private.mark_scenarios_of_users();
create trigger users_mark_scenarios_updated after update on public.users
  referencing old table as old_rows new table as new_rows for each statement execute function private.mark_scenarios_of_users();

create trigger users_keep_history after update on public.users
  for each row when ((old.role, old.is_active, old.joined_at, old.reactivated_at, old.away_from, old.away_until, old.time_zone)
    is distinct from (new.role, new.is_active, new.joined_at, new.reactivated_at, new.away_from, new.away_until, new.time_zone))
  execute function private.keep_user_history();
create trigger certificates_keep_history after update or delete on public.certificates
  for each row execute function private.keep_certificate_history();
create trigger scenario_rules_count_versions before update on public.scenario_rules
  for each row execute function private.count_rule_version();
create trigger scenario_rules_keep_versions after insert or update or delete on public.scenario_rules
  for each row execute function private.keep_rule_version();
create constraint trigger rule_clocks_ring_bell after insert or update on private.rule_clocks
  deferrable initially deferred
  for each row when (new.evaluated_until = '-infinity')
  execute function private.ring_bell_at_commit('scenario-trigger-engine', 'public', 'scenario_rules');

-- What there is already.
insert into public.scenario_rule_versions (organization_id, rule_id, version, rule)
select r.organization_id, r.id, r.version, to_jsonb(r) from public.scenario_rules r;
insert into private.rule_clocks (organization_id, rule_id) select r.organization_id, r.id from public.scenario_rules r;

update private.schedules set expected_interval = interval '1 day',
  description = 'Evaluates every rule for everybody, through the scenario-trigger-engine, and reports what the ticks missed.'
where name = 'scenario-evaluation';
insert into private.schedules (name, description, expected_interval) values
  ('scenario-tick', 'Marks whoever has become due since the last tick, which rings the scenario-trigger-engine.', interval '1 minute');
-- The commits stand here because a routine with its own search_path may not have one.
select cron.schedule('attend-scenario-tick', '* * * * *', $job$
do $do$
begin
  perform private.note_schedule_started('scenario-tick');
  commit;
  perform private.run_scenario_tick();
end
$do$
$job$);
