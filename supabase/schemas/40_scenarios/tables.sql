create table public.scenario_rules (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  type text not null constraint rule_type_is_known check (type = any (private.rule_types())),
  name text not null constraint rule_name_is_not_blank check (btrim(name) <> ''),
  is_enabled boolean not null,
  threshold_days integer not null default 21 constraint threshold_days_is_between_1_and_3650 check (threshold_days between 1 and 3650),
  cooldown_days integer not null default 14 constraint cooldown_days_is_between_1_and_3650 check (cooldown_days between 1 and 3650),
  created_at timestamptz not null default now(),
  version integer not null default 1,
  priority integer not null default 100 constraint priority_is_between_0_and_1000 check (priority between 0 and 1000),
  effective_from timestamptz not null default '-infinity',
  activation text not null default 'all' constraint activation_is_known check (activation in ('skip', 'all', 'spread')),
  spread_days integer constraint spread_days_is_between_1_and_365 check (spread_days between 1 and 365),
  max_reminders integer not null default 3 constraint max_reminders_is_between_1_and_100 check (max_reminders between 1 and 100),
  metric text not null default 'sessions' constraint metric_is_known check (metric in ('sessions', 'hours', 'contacts')),
  period text not null default 'year' constraint period_is_known check (period in ('year', 'all_time')),
  thresholds integer[] not null default '{50}' constraint thresholds_are_1_to_20_positive_numbers
    check (private.are_thresholds(thresholds, 1000000)),
  max_age_days integer not null default 7 constraint max_age_days_is_between_1_and_366 check (max_age_days between 1 and 366),
  lead_days integer[] not null default '{30}' constraint lead_days_are_1_to_20_numbers_up_to_365
    check (private.are_thresholds(lead_days, 365)),
  is_mandatory boolean not null default false,
  informs_coordinators boolean not null default false,
  primary key (organization_id, id),
  constraint rule_name_is_unique_per_type unique (organization_id, type, name),
  constraint spread_days_go_with_spread check ((activation = 'spread') = (spread_days is not null)),
  constraint certificates_are_never_skipped check (type <> 'certification_expiry' or activation = 'all')
);
comment on table public.scenario_rules is 'What an organisation wants noticed. Several rules of a type are allowed; without an enabled rule nobody is told anything.';
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

-- Where the incremental ticks stand.
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
create index certificate_history_ended on private.certificate_history (valid_to);

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
create index user_history_ended on private.user_history (valid_to);

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
create index user_coordinators_coordinator_id on public.user_coordinators (organization_id, coordinator_id)
  -- Always true; keeps it away from who looks up a person's coordinators (see activities_user_id).
  where coordinator_id is not null;

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
create index held_decisions_decided_at on private.held_decisions (decided_at) where look_again_at is null;

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
create index sweep_findings_found_at on private.sweep_findings (found_at);

create table private.scenario_marks (
  organization_id uuid not null,
  id bigint generated always as identity,
  user_id uuid not null,
  rings boolean not null,
  marked_at timestamptz not null default now(),
  primary key (organization_id, id)
)
-- A queue lives from being vacuumed often: dead rows are all that makes claiming slow.
with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
comment on table private.scenario_marks is
  'Append-only: people whose facts changed, written in the transaction that changed them. Whoever drains deletes the mark in the transaction that evaluates the person.';
comment on column private.scenario_marks.rings is 'The first mark of its transaction: at commit it rings the bell.';

alter table public.scenario_rules enable row level security;
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
alter table private.scenario_marks enable row level security;

create policy "staff read their organisation's rules" on public.scenario_rules for select to authenticated
  using (organization_id = (select private.organization_as('{coordinator,manager,admin}')));

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

create trigger statistics_marks_mark_scenarios after insert on private.statistics_marks
  referencing new table as new_rows for each statement execute function private.mark_scenarios();
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

-- Column by column: two rows compared are stored as what reads differently once it was dumped and restored, and an
-- examination of a restored database would find another trigger.
create trigger users_keep_history after update on public.users
  for each row
    when (old.role is distinct from new.role or old.is_active is distinct from new.is_active or old.joined_at is distinct from new.joined_at
      or old.reactivated_at is distinct from new.reactivated_at or old.away_from is distinct from new.away_from
      or old.away_until is distinct from new.away_until or old.time_zone is distinct from new.time_zone)
  execute function private.keep_user_history();
create trigger certificates_keep_history after update or delete on public.certificates
  for each row execute function private.keep_certificate_history();
create trigger scenario_rules_count_versions before update on public.scenario_rules
  for each row execute function private.count_rule_version();
create trigger scenario_rules_keep_versions after insert or update or delete on public.scenario_rules
  for each row execute function private.keep_rule_version();

-- The bells are triggers of their own: dropping them loses seconds, never work. The condition is judged as each mark is
-- written, so a million marks queue one deferred call.
create constraint trigger scenario_marks_ring_bell after insert on private.scenario_marks
  deferrable initially deferred
  for each row when (new.rings)
  execute function private.ring_bell_at_commit('scenario-trigger-engine', 'public', 'activities');
create constraint trigger rule_clocks_ring_bell after insert or update on private.rule_clocks
  deferrable initially deferred
  for each row when (new.evaluated_until = '-infinity')
  execute function private.ring_bell_at_commit('scenario-trigger-engine', 'public', 'scenario_rules');

insert into private.bells (function_name) values ('scenario-trigger-engine');
