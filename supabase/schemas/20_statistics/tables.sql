create table public.activity_statistics (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  period_type public.statistics_period not null,
  period_start timestamptz,
  period_end timestamptz,
  total_activities integer not null default 0,
  total_duration_minutes integer not null default 0,
  unique_contacts_reached integer not null default 0,
  activity_type_breakdown jsonb default '{}',
  home_visit_count integer not null default 0,
  phone_call_count integer not null default 0,
  group_activity_count integer not null default 0,
  proxy_activity_count integer not null default 0,
  last_activity_date timestamptz,
  streak_days integer default 0,
  bufdir_eligible_count integer not null default 0,
  computed_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (organization_id, id),
  constraint one_row_per_user_period unique nulls not distinct (organization_id, user_id, period_type, period_start),
  constraint user_belongs_to_organization
    foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  constraint period_start_before_end check (period_start < period_end),
  -- private.is_period, written out: a call for each row would cost more than the row. Bounds in the wrong order are the
  -- constraint above's to name.
  constraint period_bounds_fit_period_type check (coalesce(period_start >= period_end, false) or coalesce(case
    when period_type = 'all_time' then period_start is null and period_end is null
    else period_start = date_trunc(period_type::text, period_start at time zone 'UTC') at time zone 'UTC'
      and period_end = ((period_start at time zone 'UTC') + case period_type
        when 'day' then interval '1 day' when 'week' then interval '7 days' when 'month' then interval '1 month'
        when 'quarter' then interval '3 months' else interval '1 year' end) at time zone 'UTC'
    end, false)),
  constraint counts_non_negative check (
    least(total_activities, total_duration_minutes, unique_contacts_reached, home_visit_count, phone_call_count,
      group_activity_count, proxy_activity_count, streak_days, bufdir_eligible_count) >= 0),
  constraint computed_at_not_future check (computed_at <= now() + interval '1 minute'),
  constraint activity_type_breakdown_is_an_object check (jsonb_typeof(activity_type_breakdown) = 'object')
);
comment on table public.activity_statistics is
  'Completed activities of a person in a period. A row exists where there is at least one, and always for all_time.';
comment on column public.activity_statistics.total_duration_minutes is 'Minutes.';
comment on column public.activity_statistics.streak_days is
  'Consecutive UTC days with a completed activity, ending on the last day of the period; in a period still open it may end today or yesterday. May begin before the period.';
comment on column public.activity_statistics.group_activity_count is 'Activities of every type of category group.';
comment on column public.activity_statistics.proxy_activity_count is 'Those of total_activities that a coordinator registered.';
comment on column public.activity_statistics.computed_at is 'When this row was last recomputed, by the database''s clock.';
create index idx_activity_statistics_user_period on public.activity_statistics (user_id, period_type, period_start);
create index idx_activity_statistics_user_id on public.activity_statistics (user_id);
create index idx_activity_statistics_org_period on public.activity_statistics (organization_id, period_type, period_start);
create index idx_activity_statistics_computed_at on public.activity_statistics (computed_at);
-- What the scenario engine reads of everybody, without touching the table.
create index activity_statistics_last_activity on public.activity_statistics (organization_id, user_id)
  include (last_activity_date) where period_type = 'all_time';
-- Whose last activity lies in a range, and who has none. (Two, so that neither serves who looks one person up.)
create index activity_statistics_quiet on public.activity_statistics (organization_id, last_activity_date) include (user_id)
  where period_type = 'all_time' and last_activity_date is not null;
create index activity_statistics_never_active on public.activity_statistics (organization_id, user_id)
  where period_type = 'all_time' and last_activity_date is null;
-- Whose streak decays at midnight.
create index activity_statistics_live_streaks on public.activity_statistics (last_activity_date)
  where period_type = 'all_time' and streak_days > 0;

create table public.bufdir_rules (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  effective_from date not null,
  min_duration_minutes integer not null constraint min_duration_is_between_zero_and_a_day check (min_duration_minutes between 0 and 1440),
  requires_contact boolean not null,
  requires_approval boolean not null,
  primary key (organization_id, effective_from)
);
comment on table public.bufdir_rules is
  'What qualifies for Bufdir grant reporting. A rule holds for activities from its date (UTC) until the next rule''s; before the first, nothing qualifies.';

create table private.statistics_marks (
  organization_id uuid not null,
  user_id uuid not null,
  id bigint generated always as identity,
  day date,
  rings boolean not null,
  marked_at timestamptz not null default now(),
  primary key (organization_id, user_id, id)
)
with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
comment on table private.statistics_marks is
  'Append-only: people and UTC days whose statistics are no longer right, written in the transaction that changed them.';
comment on column private.statistics_marks.day is 'Null: every day of the person.';

create table public.statistics_warnings (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  rule text not null,
  details jsonb not null,
  recorded_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table public.statistics_warnings is 'Rows that were written although a rule of severity "warning" speaks against them.';
create index statistics_warnings_user_id on public.statistics_warnings (organization_id, user_id);
create index statistics_warnings_recorded_at on public.statistics_warnings (recorded_at);

create table private.statistics_drift (
  organization_id uuid not null,
  id bigint generated always as identity,
  user_id uuid not null,
  run_id bigint not null,
  rows_changed integer not null,
  found_at timestamptz not null default now(),
  primary key (organization_id, id)
);
comment on table private.statistics_drift is 'What a reconcile found wrong, and repaired: people whose rows differed from their activities.';
create index statistics_drift_found_at on private.statistics_drift (found_at);

create table public.team_reports (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  period_type public.statistics_period not null,
  period_start timestamptz,
  period_end timestamptz,
  title text not null constraint report_title_is_not_blank check (btrim(title) <> ''),
  figures jsonb not null,
  frozen_by uuid,
  frozen_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, frozen_by) references public.users (organization_id, id) on delete set null (frozen_by),
  constraint period_bounds_fit_period_type check (private.is_period(period_type, period_start, period_end))
);
comment on table public.team_reports is 'Team statistics as they stood when they were reported to the funder. Never changed.';
create index team_reports_frozen_by on public.team_reports (organization_id, frozen_by);

alter table public.activity_statistics enable row level security;
alter table public.bufdir_rules enable row level security;
alter table private.statistics_marks enable row level security;
alter table public.statistics_warnings enable row level security;
alter table private.statistics_drift enable row level security;
alter table public.team_reports enable row level security;

create policy "people read their own statistics, staff their organisation's" on public.activity_statistics for select to authenticated
  using (
    organization_id = (select private.organization_as('{coordinator,manager,admin}'))
    or (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()))
  );
create policy "people read their organisation's Bufdir rules" on public.bufdir_rules for select to authenticated
  using (organization_id = (select private.current_organization_id()));
create policy "admins add Bufdir rules" on public.bufdir_rules for insert to authenticated
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins change Bufdir rules" on public.bufdir_rules for update to authenticated
  using (organization_id = (select private.organization_as('{admin}')))
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins remove Bufdir rules" on public.bufdir_rules for delete to authenticated
  using (organization_id = (select private.organization_as('{admin}')));
create policy "staff read their organisation's statistics warnings" on public.statistics_warnings for select to authenticated
  using (organization_id = (select private.organization_as('{coordinator,manager,admin}')));
create policy "staff read their organisation's reports" on public.team_reports for select to authenticated
  using (organization_id = (select private.organization_as('{coordinator,manager,admin}')));

revoke all on public.activity_statistics, public.bufdir_rules, public.statistics_warnings, public.team_reports
  from public, anon, authenticated, service_role;
revoke all on private.statistics_marks, private.statistics_drift from public, anon, authenticated, service_role;
grant select on public.activity_statistics, public.statistics_warnings, public.team_reports to authenticated;
grant select, insert, update, delete on public.bufdir_rules to authenticated;
grant select, insert, update, delete on public.activity_statistics, public.bufdir_rules to service_role;
grant select, insert on public.statistics_warnings to service_role;
grant select on public.team_reports to service_role;
grant select, insert, update, delete on private.statistics_marks to service_role;
grant select, insert on private.statistics_drift to service_role;

create trigger users_start_statistics after insert on public.users
  referencing new table as new_rows for each statement execute function private.start_statistics();

create trigger activities_mark_statistics_inserted after insert on public.activities
  referencing new table as new_rows for each statement execute function private.mark_statistics_of_activities();
create trigger activities_mark_statistics_updated after update on public.activities
  referencing old table as old_rows new table as new_rows
  for each statement execute function private.mark_statistics_of_activities();
create trigger activities_mark_statistics_deleted after delete on public.activities
  referencing old table as old_rows for each statement execute function private.mark_statistics_of_activities();
create trigger activities_mark_statistics_truncated after truncate on public.activities
  for each statement execute function private.mark_statistics_of_everybody();
create trigger activity_contacts_mark_statistics_inserted after insert on public.activity_contacts
  referencing new table as new_rows for each statement execute function private.mark_statistics_of_contacts();
create trigger activity_contacts_mark_statistics_updated after update on public.activity_contacts
  referencing old table as old_rows new table as new_rows
  for each statement execute function private.mark_statistics_of_contacts();
create trigger activity_contacts_mark_statistics_deleted after delete on public.activity_contacts
  referencing old table as old_rows for each statement execute function private.mark_statistics_of_contacts();
create trigger activity_contacts_mark_statistics_truncated after truncate on public.activity_contacts
  for each statement execute function private.mark_statistics_of_everybody();
create constraint trigger bufdir_rules_mark_statistics after insert or update or delete on public.bufdir_rules
  deferrable initially deferred
  for each row execute function private.mark_statistics_of_bufdir_rule();
create constraint trigger activity_types_mark_statistics after update of category on public.activity_types
  deferrable initially deferred
  for each row when (old.category is distinct from new.category)
  execute function private.mark_statistics_of_activity_type();

-- The drain writes keys that foreign keys vouch for; only rows from elsewhere are looked at.
create trigger activity_statistics_warn_inserted after insert on public.activity_statistics
  referencing new table as new_rows for each statement
  when (current_setting('attend.statistics_writer', true) is distinct from 'drain')
  execute function private.warn_of_unknown_types();
create trigger activity_statistics_warn_updated after update on public.activity_statistics
  referencing new table as new_rows for each statement
  when (current_setting('attend.statistics_writer', true) is distinct from 'drain')
  execute function private.warn_of_unknown_types();

create constraint trigger statistics_marks_ring_bell after insert on private.statistics_marks
  deferrable initially deferred
  for each row when (new.rings)
  execute function private.ring_bell_at_commit('statistics-recompute', 'public', 'activities');

insert into private.bells (function_name) values ('statistics-recompute');
