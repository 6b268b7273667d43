create table public.families (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null constraint family_name_is_not_blank check (btrim(name) <> ''),
  assigned_servant_id uuid,
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, assigned_servant_id) references public.users (organization_id, id) on delete set null (assigned_servant_id)
);
comment on table public.families is 'A household, and the servant who is its shepherd.';
create index families_assigned_servant_id on public.families (organization_id, assigned_servant_id) where assigned_servant_id is not null;

create table public.people (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  family_id uuid,
  full_name text not null constraint person_name_is_not_blank check (btrim(full_name) <> ''),
  status public.person_status not null default 'active',
  consecutive_absences integer not null default 0 constraint absences_are_not_negative check (consecutive_absences >= 0),
  at_risk_flag boolean not null default false,
  last_attendance_at timestamptz,
  last_present_on date,
  absent_since date,
  last_absent_on date,
  created_at timestamptz not null default now(),
  is_long_absent boolean not null generated always as (consecutive_absences >= 6) stored,
  primary key (organization_id, id),
  foreign key (organization_id, family_id) references public.families (organization_id, id) on delete set null (family_id),
  constraint absences_say_since_when check ((consecutive_absences > 0) = (absent_since is not null)
    and (absent_since is null) = (last_absent_on is null))
)
-- Every service updates nearly everybody, and nothing that an index holds: with room on the page the indexes stay as they are.
with (fillfactor = 80);
comment on table public.people is 'A member of the congregation. (A person of public.users works for it.) What attendance says of them is kept by trg_update_attendance_stats.';
comment on column public.people.consecutive_absences is 'Absent records after the last day on which they were present or late.';
comment on column public.people.at_risk_flag is 'Whether that is as many as the setting absence_alert_threshold says (3 unless set).';
comment on column public.people.last_attendance_at is 'When they checked in, or local midnight of the day, the last time they came.';
comment on column public.people.is_long_absent is 'Six consecutive absences or more: what makes a case urgent.';
comment on column public.people.absent_since is 'Day of the first of the consecutive absences; last_absent_on: of the last.';
create index people_family_id on public.people (organization_id, family_id) where family_id is not null;
-- What the night asks of everybody, answered by the index alone. The number of absences is not in it: every absence would be an update of all indexes.
create index people_at_risk on public.people (organization_id, id) include (is_long_absent) where at_risk_flag and status = 'active';

create table public.services (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  service_date date not null constraint service_date_is_a_date check (isfinite(service_date)),
  kind text not null constraint service_kind_is_not_blank check (btrim(kind) <> ''),
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  constraint one_service_a_day_and_kind unique (organization_id, service_date, kind),
  -- What the records refer to, so that a record cannot bear another day than its service.
  constraint service_has_one_date unique (organization_id, id, service_date)
);
comment on table public.services is 'What took place. One that turns out not to have is deleted, and its records with it: it is nobody''s absence.';

create table public.attendance_records (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  person_id uuid not null,
  service_id uuid not null,
  service_date date not null,
  status public.attendance_status not null,
  checked_in_at timestamptz
    constraint check_in_is_not_in_the_future check (checked_in_at <= now() + interval '1 minute'),
  recorded_at timestamptz not null default now(),
  primary key (organization_id, id),
  constraint one_record_a_person_and_service unique (organization_id, person_id, service_id),
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade,
  constraint record_bears_the_date_of_its_service foreign key (organization_id, service_id, service_date)
    references public.services (organization_id, id, service_date) on update cascade on delete cascade,
  constraint only_who_came_checked_in check (checked_in_at is null or status in ('present', 'late'))
);
comment on table public.attendance_records is 'Who came to a service, and who did not. Without a record there is no absence.';
comment on column public.attendance_records.service_date is 'The day of the service, which the foreign key holds it to; it follows a service that is moved.';
create index attendance_records_by_day on public.attendance_records (organization_id, person_id, service_date);
-- The condition always holds; it keeps the index away from whoever knows the organisation alone (see activities_user_id).
create index attendance_records_service_id on public.attendance_records (organization_id, service_id, service_date) where service_id is not null;

create table public.groups (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null constraint group_name_is_not_blank check (btrim(name) <> ''),
  primary key (organization_id, id)
);
comment on table public.groups is 'A group that meets: a choir, a circle.';

create table public.group_memberships (
  organization_id uuid not null,
  group_id uuid not null,
  person_id uuid not null,
  joined_on date not null default current_date,
  left_on date,
  primary key (organization_id, person_id, group_id, joined_on),
  foreign key (organization_id, group_id) references public.groups (organization_id, id) on delete cascade,
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade,
  constraint members_leave_after_they_joined check (left_on >= joined_on)
);
comment on table public.group_memberships is 'Who belongs to a group, from when until when (exclusive).';
create index group_memberships_group_id on public.group_memberships (organization_id, group_id);
create index group_memberships_person_id on public.group_memberships (organization_id, person_id);

create table public.volunteering (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  person_id uuid not null,
  volunteered_on date not null,
  task text not null constraint volunteering_task_is_not_blank check (btrim(task) <> ''),
  primary key (organization_id, id),
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade
);
comment on table public.volunteering is 'Each time somebody lent a hand.';
create index volunteering_person_id on public.volunteering (organization_id, person_id);

create table public.classes (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null constraint class_name_is_not_blank check (btrim(name) <> ''),
  primary key (organization_id, id)
);
comment on table public.classes is 'A class that is taught: Sunday school, a course.';

create table public.class_participations (
  organization_id uuid not null,
  class_id uuid not null,
  person_id uuid not null,
  participated_on date not null,
  primary key (organization_id, person_id, class_id, participated_on),
  foreign key (organization_id, class_id) references public.classes (organization_id, id) on delete cascade,
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade
);
comment on table public.class_participations is 'Who took part in a class on a day.';
create index class_participations_class_id on public.class_participations (organization_id, class_id);
create index class_participations_person_id on public.class_participations (organization_id, person_id);

create table public.donations (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  person_id uuid not null,
  donated_on date not null,
  amount numeric(14, 2) not null constraint donation_is_positive check (amount > 0),
  primary key (organization_id, id),
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade
);
comment on table public.donations is 'What somebody gave, in the one currency the organisation counts in. Only who may see money reads it.';
create index donations_person_id on public.donations (organization_id, person_id);

create table public.pastoral_cases (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  person_id uuid not null,
  type text not null default 'auto_absence' constraint case_type_is_known check (type = 'auto_absence'),
  status public.case_status not null default 'open',
  priority public.case_priority not null default 'normal',
  assigned_servant_id uuid,
  notes text not null default '',
  absences integer not null,
  absent_since date not null,
  last_absent_on date not null,
  opened_at timestamptz not null,
  escalated_at timestamptz,
  returned_on date,
  reopened_at timestamptz,
  closed_at timestamptz,
  withdrawn_at timestamptz,
  withdrawn_reason text,
  untold text constraint untold_is_known check (untold in ('opened', 'reopened', 'escalated', 'assigned')),
  primary key (organization_id, id),
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade,
  foreign key (organization_id, assigned_servant_id) references public.users (organization_id, id) on delete set null (assigned_servant_id),
  constraint closed_cases_say_when check ((status = 'closed') = (closed_at is not null)),
  constraint returned_cases_say_when check (status <> 'returned' or returned_on is not null),
  constraint withdrawn_cases_say_when_and_why check ((status = 'withdrawn') = (withdrawn_at is not null)
    and (withdrawn_at is null) = (withdrawn_reason is null)),
  constraint case_is_last_absent_after_the_first check (last_absent_on >= absent_since)
);
comment on table public.pastoral_cases is 'Somebody stays away, and a servant is to ask after them.';
comment on column public.pastoral_cases.absences is 'When it was opened, or opened again; so are absent_since and last_absent_on.';
comment on column public.pastoral_cases.escalated_at is 'When the sixth absence made it urgent. A case that began urgent was never escalated.';
comment on column public.pastoral_cases.untold is 'What the servant is still to be told of it.';
create unique index pastoral_cases_one_open on public.pastoral_cases (organization_id, person_id) where status in ('open', 'in_progress');
-- The condition always holds; it keeps the index away from the checks of foreign keys (see activities_user_id).
create index pastoral_cases_person_id on public.pastoral_cases (organization_id, person_id, opened_at) where person_id is not null;
create index pastoral_cases_assigned_servant_id on public.pastoral_cases (organization_id, assigned_servant_id) where assigned_servant_id is not null;
create index pastoral_cases_live on public.pastoral_cases (organization_id, person_id) include (status, priority, assigned_servant_id)
  where status in ('open', 'in_progress', 'returned');
create index pastoral_cases_untold on public.pastoral_cases (organization_id, person_id) where untold is not null;

create table public.pastoral_contacts (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  case_id uuid not null,
  kind text not null constraint contact_kind_is_known check (kind in ('home_visit', 'phone_call')),
  contacted_by uuid,
  contacted_at timestamptz not null constraint contact_is_not_in_the_future check (contacted_at <= now() + interval '1 minute'),
  outcome text not null constraint contact_outcome_is_known check (outcome in ('reached', 'not_reached', 'asked_to_be_left_alone')),
  notes text not null default '',
  logged_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, case_id) references public.pastoral_cases (organization_id, id) on delete cascade,
  foreign key (organization_id, contacted_by) references public.users (organization_id, id) on delete set null (contacted_by)
);
comment on table public.pastoral_contacts is 'Home visits and phone calls of a case: who, when, and what came of it.';
comment on column public.pastoral_contacts.contacted_by is 'Null: whoever it was is erased.';
create index pastoral_contacts_case_id on public.pastoral_contacts (organization_id, case_id);
create index pastoral_contacts_contacted_by on public.pastoral_contacts (organization_id, contacted_by) where contacted_by is not null;

create table public.pastoral_case_events (
  organization_id uuid not null,
  id bigint generated always as identity,
  case_id uuid not null,
  happened_at timestamptz not null default now(),
  actor_id uuid,
  changes jsonb not null,
  primary key (organization_id, id),
  foreign key (organization_id, case_id) references public.pastoral_cases (organization_id, id) on delete cascade,
  foreign key (organization_id, actor_id) references public.users (organization_id, id) on delete set null (actor_id)
);
comment on table public.pastoral_case_events is 'The audit trail: every change of every case, written by a trigger and by nothing else.';
comment on column public.pastoral_case_events.actor_id is 'Null: no person did it, or one who is erased.';
comment on column public.pastoral_case_events.changes is '{"column": [before, after]}; before is null where the case was made.';
create index pastoral_case_events_case_id on public.pastoral_case_events (organization_id, case_id, id);
create index pastoral_case_events_actor_id on public.pastoral_case_events (organization_id, actor_id) where actor_id is not null;

create table private.care_marks (
  organization_id uuid not null,
  id bigint generated always as identity,
  person_id uuid not null,
  rings boolean not null,
  marked_at timestamptz not null default now(),
  primary key (organization_id, id)
)
-- A queue lives from being vacuumed often: dead rows are all that makes claiming slow.
with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
comment on table private.care_marks is
  'Append-only: people whose case may have to change, written in the transaction that changed them. Whoever drains deletes the mark in the transaction that looks at the person.';
comment on column private.care_marks.rings is 'The first mark of its transaction: at commit it rings the bell.';

create table private.case_runs (
  id bigint generated always as identity primary key,
  as_of timestamptz not null,
  cursor_organization_id uuid,
  organizations integer not null default 0,
  counts jsonb not null default '{}',
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz
);
comment on table private.case_runs is 'The ledger of the nightly generator: one row a run over all organisations.';
comment on column private.case_runs.cursor_organization_id is 'The last organisation that is done.';
create unique index case_runs_one_open on private.case_runs ((finished_at is null)) where finished_at is null;

alter table public.families enable row level security;
alter table public.people enable row level security;
alter table public.services enable row level security;
alter table public.attendance_records enable row level security;
alter table public.groups enable row level security;
alter table public.group_memberships enable row level security;
alter table public.volunteering enable row level security;
alter table public.classes enable row level security;
alter table public.class_participations enable row level security;
alter table public.donations enable row level security;
alter table public.pastoral_cases enable row level security;
alter table public.pastoral_contacts enable row level security;
alter table public.pastoral_case_events enable row level security;
alter table private.care_marks enable row level security;
alter table private.case_runs enable row level security;

create policy "staff read families" on public.families for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "coordinators and admins add families" on public.families for insert to authenticated
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins change families" on public.families for update to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins remove families" on public.families for delete to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "staff read people" on public.people for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "coordinators and admins add people" on public.people for insert to authenticated
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins change people" on public.people for update to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins remove people" on public.people for delete to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "staff read services" on public.services for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "servants, coordinators and admins add services" on public.services for insert to authenticated
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins change services" on public.services for update to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins remove services" on public.services for delete to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "staff read attendance" on public.attendance_records for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "servants, coordinators and admins add attendance" on public.attendance_records for insert to authenticated
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins change attendance" on public.attendance_records for update to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins remove attendance" on public.attendance_records for delete to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "staff read groups" on public.groups for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "coordinators and admins add groups" on public.groups for insert to authenticated
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins change groups" on public.groups for update to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins remove groups" on public.groups for delete to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "staff read memberships" on public.group_memberships for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "servants, coordinators and admins add memberships" on public.group_memberships for insert to authenticated
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins change memberships" on public.group_memberships for update to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins remove memberships" on public.group_memberships for delete to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "staff read volunteering" on public.volunteering for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "servants, coordinators and admins add volunteering" on public.volunteering for insert to authenticated
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins change volunteering" on public.volunteering for update to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins remove volunteering" on public.volunteering for delete to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "staff read classes" on public.classes for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "coordinators and admins add classes" on public.classes for insert to authenticated
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins change classes" on public.classes for update to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins remove classes" on public.classes for delete to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "staff read participations" on public.class_participations for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "servants, coordinators and admins add participations" on public.class_participations for insert to authenticated
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins change participations" on public.class_participations for update to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins remove participations" on public.class_participations for delete to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "who may see money reads donations" on public.donations for select to authenticated
  using (organization_id = (select private.organization_as('{manager,admin}')));
create policy "admins add donations" on public.donations for insert to authenticated
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins change donations" on public.donations for update to authenticated
  using (organization_id = (select private.organization_as('{admin}')))
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins remove donations" on public.donations for delete to authenticated
  using (organization_id = (select private.organization_as('{admin}')));

-- Whoever is asked after by a servant need not be known to every other.
create policy "servants read their cases, managers and admins all" on public.pastoral_cases for select to authenticated
  using (
    organization_id = (select private.organization_as('{manager,admin}'))
    or (organization_id = (select private.organization_as('{servant,coordinator}'))
      and assigned_servant_id = (select private.current_user_id()))
  );
create policy "whoever reads the case reads its contacts" on public.pastoral_contacts for select to authenticated
  using (exists (
    select from public.pastoral_cases c
    where c.organization_id = pastoral_contacts.organization_id and c.id = pastoral_contacts.case_id));
create policy "whoever reads the case reads its trail" on public.pastoral_case_events for select to authenticated
  using (exists (
    select from public.pastoral_cases c
    where c.organization_id = pastoral_case_events.organization_id and c.id = pastoral_case_events.case_id));

revoke all on public.families, public.people, public.services, public.attendance_records, public.groups, public.group_memberships,
  public.volunteering, public.classes, public.class_participations, public.donations, public.pastoral_cases, public.pastoral_contacts,
  public.pastoral_case_events
  from public, anon, authenticated, service_role;
revoke all on sequence public.pastoral_case_events_id_seq from public, anon, authenticated, service_role;
revoke all on private.care_marks, private.case_runs from public, anon, authenticated, service_role;
grant select, insert, update, delete
  on public.families, public.services, public.groups, public.group_memberships, public.volunteering, public.classes,
  public.class_participations, public.donations
  to authenticated, service_role;
-- What attendance says of people is the triggers' to write, and nobody else's, the service included.
grant select, delete on public.people, public.attendance_records to authenticated, service_role;
-- (Keys, too, because an upsert through the API sets every column it is sent.)
grant insert (organization_id, id, family_id, full_name, status), update (organization_id, id, family_id, full_name, status)
  on public.people to authenticated, service_role;
grant insert (organization_id, id, person_id, service_id, service_date, status, checked_in_at),
  update (organization_id, id, person_id, service_id, service_date, status, checked_in_at) on public.attendance_records
  to authenticated, service_role;
-- Cases are worked by public.work_case, public.reassign_case and public.log_contact.
grant select on public.pastoral_cases, public.pastoral_contacts, public.pastoral_case_events to authenticated;
grant select, insert, update on public.pastoral_cases to service_role;
grant select on public.pastoral_contacts, public.pastoral_case_events to service_role;
grant select, insert, update, delete on private.care_marks to service_role;
grant select, insert, update on private.case_runs to service_role;

create trigger services_check_date before insert or update of service_date, organization_id on public.services
  for each row execute function private.check_service_date();

create trigger trg_update_attendance_stats after insert on public.attendance_records
  referencing new table as new_rows for each statement execute function private.update_person_attendance_stats();
create trigger trg_update_attendance_stats_updated after update on public.attendance_records
  referencing old table as old_rows new table as new_rows for each statement execute function private.correct_person_attendance_stats();
create trigger trg_update_attendance_stats_deleted after delete on public.attendance_records
  referencing old table as old_rows for each statement execute function private.correct_person_attendance_stats();
create trigger trg_update_attendance_stats_truncated after truncate on public.attendance_records
  for each statement execute function private.forget_attendance();

create trigger org_settings_kv_reflag_absences after insert or update or delete on public.org_settings_kv
  for each row execute function private.reflag_absences();

create trigger organizations_move_midnights after update of time_zone on public.organizations
  for each row when (old.time_zone is distinct from new.time_zone) execute function private.move_midnights();

create trigger pastoral_cases_keep_trail_inserted after insert on public.pastoral_cases
  referencing new table as new_rows for each statement execute function private.keep_case_trail();
create trigger pastoral_cases_keep_trail_updated after update on public.pastoral_cases
  for each row execute function private.keep_case_trail();

-- Judged as each row is written: of a hundred thousand who came, only those whose case may have to change call it.
create trigger people_mark_care after update on public.people
  for each row when (old.at_risk_flag is distinct from new.at_risk_flag or old.status is distinct from new.status
    or (new.at_risk_flag and old.consecutive_absences < 6 and new.consecutive_absences >= 6))
  execute function private.mark_care();

-- The bell is a trigger of its own: dropping it loses seconds, never work.
create constraint trigger care_marks_ring_bell after insert on private.care_marks
  deferrable initially deferred
  for each row when (new.rings)
  execute function private.ring_bell_at_commit('pastoral-cases', 'public', 'people');

insert into private.bells (function_name) values ('pastoral-cases');
