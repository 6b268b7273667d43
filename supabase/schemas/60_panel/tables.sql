create table public.students (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  student_id integer not null,
  full_name text not null constraint student_name_is_not_blank check (btrim(full_name) <> ''),
  level text constraint student_level_is_not_blank check (btrim(level) <> ''),
  is_active boolean not null default true,
  first_checkin_at timestamptz,
  last_checkin_at timestamptz,
  left_at timestamptz,
  returned_at timestamptz,
  checkins integer not null default 0 constraint checkins_are_not_negative check (checkins >= 0),
  primary key (organization_id, student_id),
  constraint checkins_say_when check ((checkins = 0) = (first_checkin_at is null) and (checkins = 0) = (last_checkin_at is null)
    and first_checkin_at <= last_checkin_at),
  constraint return_is_after_fourteen_days check ((left_at is null) = (returned_at is null) and returned_at - left_at >= interval '336 hours')
)
-- Every check-in updates its student, and nothing that an index holds: with room on the page the index stays as it is.
with (fillfactor = 80);
comment on table public.students is 'Who learns here. The school''s own system writes it with the secret key; managers read it.';
comment on column public.students.student_id is 'The school''s own number.';
comment on column public.students.checkins is 'How many rows of public.student_attendance there are; first_checkin_at and last_checkin_at: the first and the last of them. Kept by triggers, for the panel.';
comment on column public.students.returned_at is 'The latest check-in that came 14 days (of 24 hours) or more after the one before, which is left_at.';

create table public.student_attendance (
  organization_id uuid not null,
  student_id integer not null,
  checkin_time timestamptz not null default now()
    constraint checkin_is_not_in_the_future check (checkin_time <= now() + interval '1 minute')
    constraint checkin_is_not_before_1970 check (checkin_time >= '1970-01-01 00:00+00'),
  id bigint generated always as identity,
  minutes integer constraint minutes_are_of_one_day check (minutes between 0 and 1440),
  -- The order in which a student's visits are looked for; the number only tells two of one instant apart.
  primary key (organization_id, student_id, checkin_time, id),
  foreign key (organization_id, student_id) references public.students (organization_id, student_id) on delete cascade
)
-- The panel reads the newest rows by index alone, which needs them vacuumed long before a fifth of the table is new.
with (autovacuum_vacuum_insert_scale_factor = 0.0, autovacuum_vacuum_insert_threshold = 20000);
comment on table public.student_attendance is 'Check-ins. One row is one visit, which the panel also calls a session.';
comment on column public.student_attendance.minutes is 'How long they stayed; null while nobody knows.';
create index student_attendance_checkin_time on public.student_attendance (organization_id, checkin_time) include (student_id, minutes);

create table public.learning_progress (
  organization_id uuid not null,
  student_id integer not null,
  lessons_completed integer not null default 0 constraint lessons_are_not_negative check (lessons_completed >= 0),
  lessons_total integer not null constraint lessons_are_some check (lessons_total > 0),
  average_score numeric(5, 2) constraint score_is_between_0_and_100 check (average_score between 0 and 100),
  started_at timestamptz not null default now() constraint start_is_finite check (isfinite(started_at)),
  last_progress_at timestamptz constraint progress_is_finite check (isfinite(last_progress_at)),
  primary key (organization_id, student_id),
  foreign key (organization_id, student_id) references public.students (organization_id, student_id) on delete cascade,
  constraint no_more_lessons_than_there_are check (lessons_completed <= lessons_total),
  constraint progress_is_after_the_start check (last_progress_at >= started_at)
);
comment on table public.learning_progress is 'How far a student is in what they learn: the least that the panel needs of a learning system.';
comment on column public.learning_progress.last_progress_at is 'When the last lesson was completed; null: none yet.';

create table public.student_notes (
  organization_id uuid not null default private.current_organization_id(),
  -- Given by the page, so that a note that is sent again after a lost answer meets itself.
  id uuid not null default gen_random_uuid(),
  student_id integer not null,
  kind text not null default 'note' constraint note_kind_is_known check (kind in ('note', 'contacted')),
  body text not null default '' constraint note_is_of_two_thousand_characters check (length(body) <= 2000),
  author_id uuid default private.current_user_id(),
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, student_id) references public.students (organization_id, student_id) on delete cascade,
  foreign key (organization_id, author_id) references public.users (organization_id, id) on delete set null (author_id),
  constraint note_says_something check (kind <> 'note' or body ~ '\S')
);
comment on table public.student_notes is 'What managers wrote of students on the panel''s page, and that somebody spoke with them. Never changed: a correction is another note.';
comment on column public.student_notes.kind is 'contacted: somebody spoke with the student; what was said may be empty.';
comment on column public.student_notes.author_id is 'Whoever was signed in; nobody may say otherwise. Null: they are erased.';
-- (Why a condition that is always true: activities_user_id.)
create index student_notes_student_id on public.student_notes (organization_id, student_id, created_at) where student_id is not null;
create index student_notes_author_id on public.student_notes (organization_id, author_id) where author_id is not null;

alter table public.students enable row level security;
alter table public.student_attendance enable row level security;
alter table public.learning_progress enable row level security;
alter table public.student_notes enable row level security;

create policy "managers read students" on public.students for select to authenticated
  using (organization_id = (select private.organization_as('{manager}')));
create policy "managers read check-ins" on public.student_attendance for select to authenticated
  using (organization_id = (select private.organization_as('{manager}')));
create policy "managers read learning progress" on public.learning_progress for select to authenticated
  using (organization_id = (select private.organization_as('{manager}')));
create policy "managers read notes" on public.student_notes for select to authenticated
  using (organization_id = (select private.organization_as('{manager}')));
create policy "managers add notes of their own" on public.student_notes for insert to authenticated
  with check (organization_id = (select private.organization_as('{manager}')) and author_id = (select private.current_user_id()));
create policy "managers remove notes of their own" on public.student_notes for delete to authenticated
  using (organization_id = (select private.organization_as('{manager}')) and author_id = (select private.current_user_id()));

revoke all on public.students, public.student_attendance, public.learning_progress from public, anon, authenticated, service_role;
revoke all on sequence public.student_attendance_id_seq from public, anon, authenticated, service_role;
grant select on public.students, public.student_attendance, public.learning_progress to authenticated;
grant select, delete on public.students to service_role;
-- Not what the triggers keep.
grant insert (organization_id, student_id, full_name, level, is_active), update (organization_id, student_id, full_name, level, is_active)
  on public.students to service_role;
grant select, insert, update, delete on public.student_attendance, public.learning_progress to service_role;

revoke all on public.student_notes from public, anon, authenticated, service_role;
grant select, delete on public.student_notes to authenticated;
-- Neither whose it is nor when it was written.
grant insert (id, student_id, kind, body) on public.student_notes to authenticated;
grant select on public.student_notes to service_role;

create trigger student_attendance_count after insert on public.student_attendance
  referencing new table as new_rows for each statement execute function private.count_checkins();
create trigger student_attendance_correct_changed after update on public.student_attendance
  referencing old table as old_rows new table as new_rows for each statement execute function private.correct_checkins();
create trigger student_attendance_correct_deleted after delete on public.student_attendance
  referencing old table as old_rows for each statement execute function private.correct_checkins();
create trigger student_attendance_forget after truncate on public.student_attendance
  for each statement execute function private.forget_checkins();
