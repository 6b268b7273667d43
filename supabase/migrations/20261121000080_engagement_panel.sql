-- The engagement panel: students, check-ins, learning progress, and the views that managers read in `mgmt`.
set check_function_bodies = off;
-- The engagement panel (rules.md §5): what managers look at every morning.

create schema if not exists mgmt;
comment on schema mgmt is 'Attend: the engagement panel. Views for managers, read with their own token through the API; nothing else stands here.';
revoke all on schema mgmt from public, anon, authenticated, service_role;
grant usage on schema mgmt to authenticated;

create type private.panel_settings as (
  organization_id uuid,
  time_zone text,
  session_target integer,
  stuck_after interval,
  weekly_lessons integer,
  pass_score integer
);
comment on type private.panel_settings is 'Whose panel it is, and by which settings.';
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
    else btrim(p_key) <> ''
  end;
$$;
comment on function private.is_setting_valid(text, jsonb) is
  'Whether a setting may be stored: each known key names its range, other keys only need a name. absence_alert_threshold: a whole number from 1 to 9999 (rules.md §4). recase_after_days: a whole number from 1 to 999. engagement_weights: numbers from 0 to 1000000 by attendance, groups, volunteering, classes, donations, not all of them 0; engagement_targets: the same from 0.01. notification_daily_cap: a whole number from 1 to 100. quiet_hours: {"from": "21:00", "to": "08:00"}, local times that differ. panel_time_zone: the name of a time zone. panel_session_target, learning_stuck_days, learning_weekly_lessons: whole numbers from 1 to 999; learning_pass_score: from 0 to 100.';
revoke all on function private.is_setting_valid(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.is_setting_valid(text, jsonb) to authenticated, service_role;
create function private.change_checkins(
  p_organization_ids uuid[], p_student_ids integer[], p_numbers integer[],
  p_first_at timestamptz[], p_last_at timestamptz[], p_first_gone timestamptz[], p_last_gone timestamptz[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  -- Locked before anything is looked for, so that the next statement sees what others wrote of these students; in the order of
  -- the key, so that two who write of the same students wait for each other instead of both waiting.
  perform from public.students s
  where (s.organization_id, s.student_id) in (
    select t.organization_id, t.student_id from unnest(p_organization_ids, p_student_ids) as t (organization_id, student_id))
  order by s.organization_id, s.student_id
  for no key update;

  -- Numbers are added and never counted anew: several triggers of one statement (on conflict do update, a delete in a with
  -- clause) each bring their own part, in any order. Looking a first or last one up again may be done twice.
  update public.students s
  set checkins = s.checkins + c.number,
      first_checkin_at = case
        when s.checkins + c.number = 0 then null
        when c.first_gone <= s.first_checkin_at then (
          select min(a.checkin_time) from public.student_attendance a
          where a.organization_id = s.organization_id and a.student_id = s.student_id)
        else least(s.first_checkin_at, c.first_at) end,
      last_checkin_at = case
        when s.checkins + c.number = 0 then null
        when c.last_gone >= s.last_checkin_at then (
          select max(a.checkin_time) from public.student_attendance a
          where a.organization_id = s.organization_id and a.student_id = s.student_id)
        else greatest(s.last_checkin_at, c.last_at) end,
      (left_at, returned_at) = (
        select case o.how when 'anew' then r.left_at when 'returned' then s.last_checkin_at else s.left_at end,
          case o.how when 'anew' then r.returned_at when 'returned' then c.first_at else s.returned_at end
        from (
          select case
            -- A day's worth of the newest: nothing lies between them, and only the first can have been waited for.
            when c.first_gone is null and c.first_at >= coalesce(s.last_checkin_at, c.first_at) and c.last_at < c.first_at + interval '336 hours'
              then case when c.first_at >= s.last_checkin_at + interval '336 hours' then 'returned' else 'as before' end
            else 'anew' end as how
        ) o
        -- (offset: else it would be looked for first, and the condition be asked afterwards)
        left join lateral (
          select f.left_at, f.returned_at from private.latest_return(s.organization_id, s.student_id) f where o.how = 'anew' offset 0) r on true
      )
  from unnest(p_organization_ids, p_student_ids, p_numbers, p_first_at, p_last_at, p_first_gone, p_last_gone)
    as c (organization_id, student_id, number, first_at, last_at, first_gone, last_gone)
  where s.organization_id = c.organization_id and s.student_id = c.student_id;
end;
$$;
comment on function private.change_checkins(uuid[], integer[], integer[], timestamptz[], timestamptz[], timestamptz[], timestamptz[]) is
  'Brings what is kept of students up to date, one element a student: how many check-ins more (or fewer), the first and last of those that came, and of those that went. The last two may be null: none went.';
revoke all on function private.change_checkins(uuid[], integer[], integer[], timestamptz[], timestamptz[], timestamptz[], timestamptz[])
  from public, anon, authenticated, service_role;
create function private.correct_checkins() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    perform private.change_checkins(array_agg(c.organization_id), array_agg(c.student_id), array_agg(c.number), null, null,
      array_agg(c.first_gone), array_agg(c.last_gone))
    from (
      select o.organization_id, o.student_id, -count(*)::integer as number, min(o.checkin_time) as first_gone,
        max(o.checkin_time) as last_gone
      from old_rows o
      group by o.organization_id, o.student_id
    ) c;
  else
    perform private.change_checkins(array_agg(c.organization_id), array_agg(c.student_id), array_agg(c.number),
      array_agg(c.first_at), array_agg(c.last_at), array_agg(c.first_gone), array_agg(c.last_gone))
    from (
      select b.organization_id, b.student_id, sum(b.number)::integer as number, min(b.came_at) as first_at, max(b.came_at) as last_at,
        min(b.went_at) as first_gone, max(b.went_at) as last_gone
      from (
        select o.organization_id, o.student_id, -1 as number, null::timestamptz as came_at, o.checkin_time as went_at from old_rows o
        union all
        select n.organization_id, n.student_id, 1, n.checkin_time, null from new_rows n
      ) b
      group by b.organization_id, b.student_id
      -- As many as before between the same ends (minutes were entered): nothing that is kept has changed.
      having sum(b.number) <> 0 or min(b.came_at) is distinct from min(b.went_at) or max(b.came_at) is distinct from max(b.went_at)
    ) c;
  end if;
  return null;
end;
$$;
-- Definer because whoever corrects check-ins may not write what they say of students.
comment on function private.correct_checkins() is
  'Trigger: takes deleted check-ins out of what is kept of their students, and follows those that were changed or moved to another student.';
revoke all on function private.correct_checkins() from public, anon, authenticated, service_role;
create function private.count_checkins() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_one record;
begin
  select n.organization_id, n.student_id, n.checkin_time, exists (select from new_rows offset 1) as has_more into v_one
  from new_rows n limit 1;
  -- Most check-ins come alone, at the door, and are the newest. It says the same as the general way, which takes several times
  -- as long to begin.
  if v_one.has_more is false then
    update public.students s
    set checkins = s.checkins + 1, first_checkin_at = coalesce(s.first_checkin_at, v_one.checkin_time), last_checkin_at = v_one.checkin_time,
        left_at = case when v_one.checkin_time >= s.last_checkin_at + interval '336 hours' then s.last_checkin_at else s.left_at end,
        returned_at = case when v_one.checkin_time >= s.last_checkin_at + interval '336 hours' then v_one.checkin_time else s.returned_at end
    where s.organization_id = v_one.organization_id and s.student_id = v_one.student_id
      and (v_one.checkin_time >= s.last_checkin_at or s.last_checkin_at is null);
    if found then
      return null;
    end if;
  end if;
  if v_one.organization_id is not null then
    perform private.change_checkins(array_agg(c.organization_id), array_agg(c.student_id), array_agg(c.number),
      array_agg(c.first_at), array_agg(c.last_at), null, null)
    from (
      select n.organization_id, n.student_id, count(*)::integer as number, min(n.checkin_time) as first_at, max(n.checkin_time) as last_at
      from new_rows n
      group by n.organization_id, n.student_id
    ) c;
  end if;
  return null;
end;
$$;
-- Definer because whoever writes check-ins may not write what they say of students.
comment on function private.count_checkins() is
  'Trigger: adds new check-ins, whatever their order and number, to what is kept of their students.';
revoke all on function private.count_checkins() from public, anon, authenticated, service_role;
create function private.forget_checkins() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  update public.students s set checkins = 0, first_checkin_at = null, last_checkin_at = null, left_at = null, returned_at = null
  where s.checkins > 0;
  return null;
end;
$$;
-- Definer because whoever truncates check-ins need not be who may write students.
comment on function private.forget_checkins() is 'Trigger on truncate of public.student_attendance: nobody has been here.';
revoke all on function private.forget_checkins() from public, anon, authenticated, service_role;
create function private.latest_return(p_organization_id uuid, p_student_id integer)
returns table (left_at timestamptz, returned_at timestamptz)
language sql stable
set search_path = ''
as $$
  -- Backwards along the index, and no further than the return.
  select v.before_at, v.checkin_time
  from (
    select a.checkin_time, lead(a.checkin_time) over (order by a.checkin_time desc) as before_at
    from public.student_attendance a
    where a.organization_id = p_organization_id and a.student_id = p_student_id
  ) v
  where v.checkin_time >= v.before_at + interval '336 hours'
  order by v.checkin_time desc
  limit 1;
$$;
comment on function private.latest_return(uuid, integer) is
  'A student''s latest check-in that came 14 days (of 24 hours) or more after the one before, and that one. No row: they were never away so long.';
revoke all on function private.latest_return(uuid, integer) from public, anon, authenticated, service_role;
create function private.panel_settings() returns private.panel_settings
language plpgsql stable parallel safe
set search_path = ''
as $$
declare
  v_settings private.panel_settings;
begin
  v_settings.organization_id := private.organization_as('{manager}');
  if v_settings.organization_id is null then
    raise exception using errcode = '42501', message = 'only_managers_read_the_panel',
      hint = 'Sign in as an active manager of the organisation. Neither the publishable nor the secret key alone will do.';
  end if;
  select coalesce(max(s.value #>> '{}') filter (where s.key = 'panel_time_zone'), 'America/Guayaquil'),
      coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'panel_session_target'), 30),
      make_interval(hours => 24 * coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'learning_stuck_days'), 14)),
      coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'learning_weekly_lessons'), 1),
      coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'learning_pass_score'), 60)
    into v_settings.time_zone, v_settings.session_target, v_settings.stuck_after, v_settings.weekly_lessons, v_settings.pass_score
  from public.org_settings_kv s
  where s.organization_id = v_settings.organization_id
    and s.key in ('panel_time_zone', 'panel_session_target', 'learning_stuck_days', 'learning_weekly_lessons', 'learning_pass_score');
  return v_settings;
end;
$$;
comment on function private.panel_settings() is
  'The organisation of the manager who is signed in, and its settings for the panel. 42501 only_managers_read_the_panel for everybody else.';
revoke all on function private.panel_settings() from public, anon, authenticated, service_role;
grant execute on function private.panel_settings() to authenticated;
create function private.recount_checkins(p_organization_id uuid default null) returns bigint
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
set statement_timeout = '30min'
as $$
declare
  v_students bigint;
begin
  perform from public.students s
  where p_organization_id is null or s.organization_id = p_organization_id
  order by s.organization_id, s.student_id
  for no key update;
  update public.students s
  set checkins = c.number, first_checkin_at = c.first_at, last_checkin_at = c.last_at, left_at = c.left_at, returned_at = c.returned_at
  from (
    select t.organization_id, t.student_id, count(v.checkin_time)::integer as number, min(v.checkin_time) as first_at,
      max(v.checkin_time) as last_at, max(v.checkin_time) filter (where v.is_return) as returned_at,
      max(v.before_at) filter (where v.is_return) as left_at
    from public.students t
    left join (
      select a.organization_id, a.student_id, a.checkin_time, lag(a.checkin_time) over w as before_at,
        a.checkin_time >= lag(a.checkin_time) over w + interval '336 hours' as is_return
      from public.student_attendance a
      where p_organization_id is null or a.organization_id = p_organization_id
      window w as (partition by a.organization_id, a.student_id order by a.checkin_time)
    ) v on v.organization_id = t.organization_id and v.student_id = t.student_id
    where p_organization_id is null or t.organization_id = p_organization_id
    group by t.organization_id, t.student_id
  ) c
  where s.organization_id = c.organization_id and s.student_id = c.student_id
    and (s.checkins, s.first_checkin_at, s.last_checkin_at, s.left_at, s.returned_at)
      is distinct from (c.number, c.first_at, c.last_at, c.left_at, c.returned_at);
  get diagnostics v_students = row_count;
  return v_students;
end;
$$;
comment on function private.recount_checkins(uuid) is
  'Counts the check-ins of an organisation (null: of all) anew and says how many students had something else kept of them. Needed only where rows were written past the triggers.';
revoke all on function private.recount_checkins(uuid) from public, anon, authenticated, service_role;
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

alter table public.students enable row level security;
alter table public.student_attendance enable row level security;
alter table public.learning_progress enable row level security;

create policy "managers read students" on public.students for select to authenticated
  using (organization_id = (select private.organization_as('{manager}')));
create policy "managers read check-ins" on public.student_attendance for select to authenticated
  using (organization_id = (select private.organization_as('{manager}')));
create policy "managers read learning progress" on public.learning_progress for select to authenticated
  using (organization_id = (select private.organization_as('{manager}')));

revoke all on public.students, public.student_attendance, public.learning_progress from public, anon, authenticated, service_role;
revoke all on sequence public.student_attendance_id_seq from public, anon, authenticated, service_role;
grant select on public.students, public.student_attendance, public.learning_progress to authenticated;
grant select, delete on public.students to service_role;
-- Not what the triggers keep.
grant insert (organization_id, student_id, full_name, level, is_active), update (organization_id, student_id, full_name, level, is_active)
  on public.students to service_role;
grant select, insert, update, delete on public.student_attendance, public.learning_progress to service_role;

create trigger student_attendance_count after insert on public.student_attendance
  referencing new table as new_rows for each statement execute function private.count_checkins();
create trigger student_attendance_correct_changed after update on public.student_attendance
  referencing old table as old_rows new table as new_rows for each statement execute function private.correct_checkins();
create trigger student_attendance_correct_deleted after delete on public.student_attendance
  referencing old table as old_rows for each statement execute function private.correct_checkins();
create trigger student_attendance_forget after truncate on public.student_attendance
  for each statement execute function private.forget_checkins();
create view private.active_students with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select r.organization_id, s.student_id, s.full_name, s.level, s.first_checkin_at, s.last_checkin_at, s.checkins,
  -- A door's clock may be some seconds ahead of ours.
  case when s.last_checkin_at > now() then now() else s.last_checkin_at end as seen_at,
  coalesce(v.sessions, 0) as sessions_30d, r.session_target
from reader r
cross join (select t.* from public.students t where t.organization_id = (select r.organization_id from reader r)) s
-- Full, because only a left join may become a nested loop, which it does where most organisations are tiny and this one is not.
-- So the condition on s must not be one that no missing row could meet, or the planner makes it a left join after all.
full join (
  select a.student_id, count(*)::integer as sessions
  from public.student_attendance a
  where a.organization_id = (select r.organization_id from reader r) and a.checkin_time >= now() - interval '720 hours'
  group by a.student_id
) v on v.student_id = s.student_id
where coalesce(s.is_active, false);
comment on view private.active_students is
  'The active students of the manager who is signed in, with their visits of the last 30 days of 24 hours. What the panel''s views on activity are made of.';
revoke all on private.active_students from public, anon, authenticated, service_role;
grant select on private.active_students to authenticated;
create view private.concerned_learners with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select c.*
from (
  select s.student_id, s.full_name, s.level, s.last_checkin_at, l.progress_at, l.lessons_completed, l.lessons_total, l.average_score,
    l.progress_at <= now() - r.stuck_after as stuck_flag,
    l.lessons_completed < least(l.lessons_total, r.weekly_lessons * floor(extract(epoch from now() - l.started_at) / 604800)) as slow_flag,
    coalesce(l.average_score < r.pass_score, false) as low_flag
  from reader r
  cross join (select t.* from public.students t where t.organization_id = (select r.organization_id from reader r)) s
  -- Full, and its condition as it is, so that it is never a nested loop (private.active_students).
  full join (
    select p.*, coalesce(p.last_progress_at, p.started_at) as progress_at
    from public.learning_progress p
    where p.organization_id = (select r.organization_id from reader r) and p.lessons_completed < p.lessons_total
  ) l on l.student_id = s.student_id
  where coalesce(s.is_active, false)
) c
where c.stuck_flag or c.slow_flag or c.low_flag;
comment on view private.concerned_learners is
  'Active students of the manager who is signed in, who have lessons left and get on badly: no progress for learning_stuck_days, fewer lessons than learning_weekly_lessons for each whole week since the start, or a score below learning_pass_score.';
revoke all on private.concerned_learners from public, anon, authenticated, service_role;
grant select on private.concerned_learners to authenticated;
create view mgmt.engagement_dau_90d_v with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p),
-- Where each day begins is worked out ninety times, and not the day of each visit.
days as materialized (
  select t.day, private.local_midnight(t.day, r.time_zone) as begins_at
  from reader r
  cross join lateral (select private.local_date(now(), r.time_zone) - 89 + n.number as day from generate_series(0, 90) as n (number)) t
),
spans as (
  select d.day, d.begins_at, lead(d.begins_at) over (order by d.day) as ends_at from days d
)
select d.day as d, v.active_students, v.total_minutes
from spans d
cross join lateral (
  select count(distinct a.student_id)::integer as active_students, coalesce(sum(a.minutes), 0) as total_minutes
  from public.student_attendance a
  where a.organization_id = (select r.organization_id from reader r) and a.checkin_time >= d.begins_at and a.checkin_time < d.ends_at
) v
where d.ends_at is not null
order by d.day;
comment on view mgmt.engagement_dau_90d_v is
  'Engagement panel: for each of the last 90 local days, today included, how many students came, and the minutes of all their visits. Always ninety rows. Module 16 sums it up by weekday.';
revoke all on mgmt.engagement_dau_90d_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_dau_90d_v to authenticated;
create view mgmt.engagement_daypart_retention_v with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p),
-- One group a student and not one a student and daypart: a third of the hash table.
students as (
  select count(*) filter (where v.local_time >= '08:00' and v.local_time < '12:00') as mornings,
    count(*) filter (where v.local_time >= '12:00' and v.local_time < '17:00') as afternoons,
    count(*) filter (where v.local_time >= '17:00' and v.local_time < '20:00') as evenings
  from (
    select a.student_id, (a.checkin_time at time zone (select r.time_zone from reader r))::time as local_time
    from public.student_attendance a
    where a.organization_id = (select r.organization_id from reader r) and a.checkin_time >= now() - interval '720 hours'
    -- So that the conversion, which is dearer than all the rest, is done once a visit.
    offset 0
  ) v
  group by v.student_id
),
counted as (
  select count(*) filter (where s.mornings > 0) as mornings, count(*) filter (where s.mornings > 1) as mornings_again,
    count(*) filter (where s.afternoons > 0) as afternoons, count(*) filter (where s.afternoons > 1) as afternoons_again,
    count(*) filter (where s.evenings > 0) as evenings, count(*) filter (where s.evenings > 1) as evenings_again
  from students s
)
select d.daypart, d.again::numeric / nullif(d.students, 0) as return_rate
from counted c
cross join lateral (values
  (1, 'morning_08_12', c.mornings, c.mornings_again), (2, 'afternoon_12_17', c.afternoons, c.afternoons_again),
  (3, 'evening_17_20', c.evenings, c.evenings_again)) as d (position, daypart, students, again)
order by d.position;
comment on view mgmt.engagement_daypart_retention_v is
  'Engagement panel, module 17: of the students who came in a part of the day during the last 30 days, the share that came in it at least twice. Always three rows; null where nobody came.';
revoke all on mgmt.engagement_daypart_retention_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_daypart_retention_v to authenticated;
create view mgmt.engagement_dual_risk_students_v with (security_invoker = true) as
select c.student_id, c.full_name, c.level,
  case
    when c.last_checkin_at <= now() - interval '4320 hours' then '180+ días'
    when c.last_checkin_at <= now() - interval '720 hours' then '30+ días'
    else '14+ días'
  end as engagement_issue,
  case when c.stuck_flag then 'Stalled' when c.slow_flag then 'Slow' else 'At risk' end as learning_issue,
  extract(epoch from now() - c.last_checkin_at) / 86400 as days_since_last_checkin
from private.concerned_learners c
-- As the roster's buckets inactive_14d, dormant_30d and long_term_inactive_180d.
where c.last_checkin_at <= now() - interval '336 hours'
order by c.last_checkin_at, c.student_id;
comment on view mgmt.engagement_dual_risk_students_v is
  'Engagement panel, module 19: active students who have been away for 14 days or more and are on the learning panel''s list, too (mgmt.learning_at_risk_learners_v). The longest absent first.';
revoke all on mgmt.engagement_dual_risk_students_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_dual_risk_students_v to authenticated;
create view mgmt.engagement_inactive_roster_v with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select s.student_id, s.full_name, s.level, s.last_checkin_at as last_checkin_time,
  case when s.last_checkin_at > now() then 0 else extract(epoch from now() - s.last_checkin_at) / 86400 end as days_since_last_checkin,
  -- Days are of 24 hours, whatever the clocks do: '30 days' would mean another instant in another session's time zone.
  case
    when s.last_checkin_at <= now() - interval '4320 hours' then 'long_term_inactive_180d'
    when s.last_checkin_at <= now() - interval '720 hours' then 'dormant_30d'
    when s.last_checkin_at <= now() - interval '336 hours' then 'inactive_14d'
    when s.last_checkin_at <= now() - interval '168 hours' then 'inactive_7d'
    else 'active_recent'
  end as inactivity_bucket
from public.students s
where s.organization_id = (select r.organization_id from reader r)
-- The longest absent first, as days_since_last_checkin desc nulls last.
order by case when s.last_checkin_at > now() then now() else s.last_checkin_at end nulls last, s.student_id;
comment on view mgmt.engagement_inactive_roster_v is
  'Engagement panel, module 11: every student, active or not, and how long they have been away. Whoever never came is active_recent.';
revoke all on mgmt.engagement_inactive_roster_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_inactive_roster_v to authenticated;
create view mgmt.engagement_recent_reactivated_14d_v with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select s.student_id, s.full_name, floor(extract(epoch from s.returned_at - s.left_at) / 86400)::integer as days_inactive_before_return,
  (s.returned_at at time zone (select r.time_zone from reader r))::date as return_date
from public.students s
where s.organization_id = (select r.organization_id from reader r) and s.returned_at >= now() - interval '336 hours'
order by s.returned_at desc, s.student_id;
comment on view mgmt.engagement_recent_reactivated_14d_v is
  'Engagement panel, module 13: who came back in the last 14 days after 14 days or more away, however long ago they were last seen. One row a student, the latest return first.';
revoke all on mgmt.engagement_recent_reactivated_14d_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_recent_reactivated_14d_v to authenticated;
create view mgmt.engagement_session_frequency_30d_v with (security_invoker = true) as
with students as (
  select s.sessions_30d, count(*) as number from private.active_students s group by s.sessions_30d
)
select b.bin_label, coalesce(sum(s.number), 0)::integer as student_count
from (values ('0', 0, 0), ('1', 1, 1), ('2', 2, 2), ('3', 3, 3), ('4', 4, 4), ('5', 5, 5), ('6-7', 6, 7), ('8-10', 8, 10),
  ('11+', 11, 2147483647)) as b (bin_label, fewest, most)
left join students s on s.sessions_30d between b.fewest and b.most
group by b.bin_label, b.fewest
order by b.fewest;
comment on view mgmt.engagement_session_frequency_30d_v is
  'Engagement panel, module 15: how many active students came how often in the last 30 days. Always nine rows, whose sum is the number of active students.';
revoke all on mgmt.engagement_session_frequency_30d_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_session_frequency_30d_v to authenticated;
create view mgmt.engagement_student_activity_v with (security_invoker = true) as
select s.student_id, s.full_name, s.level, s.sessions_30d,
  case when s.checkins > 1 then
    extract(epoch from s.last_checkin_at - s.first_checkin_at) / (86400 * (s.checkins - 1)) end as avg_days_between_visits,
  extract(epoch from now() - s.seen_at) / 86400 as days_since_last_checkin,
  -- 100 * (sessions / target) * (1 / (1 + days / 7)), with one division instead of four: 60480000 is 100 * 7 * 86400.
  case
    when s.sessions_30d > 0 then (60480000 * least(s.sessions_30d, s.session_target)::bigint)
      / (s.session_target * (604800 + extract(epoch from now() - s.seen_at)))
    when s.checkins > 0 then 0
  end as consistency_score
from (
  select t.* from private.active_students t
  order by t.seen_at nulls last, least(t.sessions_30d, t.session_target) desc, t.student_id
) s
-- As days_since_last_checkin desc nulls last, consistency_score desc: of who came at the same instant, more sessions score more.
order by s.seen_at nulls last, least(s.sessions_30d, s.session_target) desc, s.student_id;
comment on view mgmt.engagement_student_activity_v is
  'Engagement panel, modules 12 and 14: every active student with the visits of the last 30 days, the mean days between visits of all time, and how consistently they come (0 to 100; panel_session_target visits count fully).';
revoke all on mgmt.engagement_student_activity_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_student_activity_v to authenticated;
create view mgmt.learning_at_risk_learners_v with (security_invoker = true) as
select c.student_id, c.full_name, c.level, c.stuck_flag, c.slow_flag, c.average_score, c.lessons_completed, c.lessons_total,
  extract(epoch from now() - c.progress_at) / 86400 as days_since_last_progress
from private.concerned_learners c
order by c.progress_at, c.student_id;
comment on view mgmt.learning_at_risk_learners_v is
  'What the engagement panel needs of the learning panel: active students who get on badly (private.concerned_learners). Neither stuck nor slow: their score is low.';
revoke all on mgmt.learning_at_risk_learners_v from public, anon, authenticated, service_role;
grant select on mgmt.learning_at_risk_learners_v to authenticated;
create view mgmt.learning_stuck_students_v with (security_invoker = true) as
select c.student_id, c.full_name, c.level, c.lessons_completed, c.lessons_total,
  extract(epoch from now() - c.progress_at) / 86400 as days_since_last_progress
from private.concerned_learners c
where c.stuck_flag
order by c.progress_at, c.student_id;
comment on view mgmt.learning_stuck_students_v is
  'Of mgmt.learning_at_risk_learners_v those without progress for learning_stuck_days, the longest first.';
revoke all on mgmt.learning_stuck_students_v from public, anon, authenticated, service_role;
grant select on mgmt.learning_stuck_students_v to authenticated;
