-- What the panel's page needs: managers' notes, and views that bring a first look in one answer each.
set check_function_bodies = off;

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

alter table public.student_notes enable row level security;

create policy "managers read notes" on public.student_notes for select to authenticated
  using (organization_id = (select private.organization_as('{manager}')));
create policy "managers add notes of their own" on public.student_notes for insert to authenticated
  with check (organization_id = (select private.organization_as('{manager}')) and author_id = (select private.current_user_id()));
create policy "managers remove notes of their own" on public.student_notes for delete to authenticated
  using (organization_id = (select private.organization_as('{manager}')) and author_id = (select private.current_user_id()));

revoke all on public.student_notes from public, anon, authenticated, service_role;
grant select, delete on public.student_notes to authenticated;
-- Neither whose it is nor when it was written.
grant insert (id, student_id, kind, body) on public.student_notes to authenticated;
grant select on public.student_notes to service_role;

create view mgmt.panel_reader with (security_invoker = true) as
select o.name as organization_name, u.full_name as reader_name, r.time_zone, r.session_target, now() as read_at
from private.panel_settings() r
join public.organizations o on o.id = r.organization_id
join public.users u on u.organization_id = r.organization_id and u.id = (select private.current_user_id());
comment on view mgmt.panel_reader is
  'The panel''s page: who reads it, of which organisation, in which time zone, and how many visits count fully for the score. One row.';
revoke all on mgmt.panel_reader from public, anon, authenticated, service_role;
grant select on mgmt.panel_reader to authenticated;

create view mgmt.panel_figures with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p),
today as materialized (select private.local_midnight(private.local_date(now(), r.time_zone), r.time_zone) as began_at from reader r),
-- Of each level first: all students would be sorted by it for both at once.
levels as (
  select s.level, count(*) as students,
    count(*) filter (where s.seen_at >= (select t.began_at from today t)) as came_today,
    count(*) filter (where s.seen_at > now() - interval '168 hours') as came_7d,
    -- As the roster's buckets, each without the next; the last is dormant_30d and long_term_inactive_180d.
    count(*) filter (where s.seen_at <= now() - interval '168 hours' and s.seen_at > now() - interval '336 hours') as away_7d,
    count(*) filter (where s.seen_at <= now() - interval '336 hours' and s.seen_at > now() - interval '720 hours') as away_14d,
    count(*) filter (where s.seen_at <= now() - interval '720 hours') as away_30d,
    count(*) filter (where s.seen_at is null) as never_came,
    -- The score as mgmt.engagement_student_activity_v has it, asked of whom it can be true.
    count(*) filter (where case when s.sessions_30d >= 5 then 60480000 * s.counted_sessions::bigint
      >= 60 * s.session_target * (604800 + extract(epoch from now() - s.seen_at)) end) as highly_engaged,
    count(*) filter (where case when s.sessions_30d >= 5 then 60480000 * s.counted_sessions::bigint
      >= 85 * s.session_target * (604800 + extract(epoch from now() - s.seen_at)) end) as ambassadors,
    sum(s.sessions_30d) as sessions_30d
  from private.active_students s
  group by s.level
)
select l.level, grouping(l.level) = 1 as is_every_level, coalesce(sum(l.students), 0)::integer as students,
  coalesce(sum(l.came_today), 0)::integer as came_today, coalesce(sum(l.came_7d), 0)::integer as came_7d,
  coalesce(sum(l.away_7d), 0)::integer as away_7d, coalesce(sum(l.away_14d), 0)::integer as away_14d,
  coalesce(sum(l.away_30d), 0)::integer as away_30d, coalesce(sum(l.never_came), 0)::integer as never_came,
  coalesce(sum(l.highly_engaged), 0)::integer as highly_engaged, coalesce(sum(l.ambassadors), 0)::integer as ambassadors,
  coalesce(sum(l.sessions_30d), 0)::bigint as sessions_30d
from levels l
group by grouping sets ((), (l.level))
-- The whole school first, so that no cap on rows can take it away.
order by is_every_level desc, students desc, level;
comment on view mgmt.panel_figures is
  'The panel''s page: key figures of the active students, of every level together (the first row) and of each; level is null also for those who have none. away_7d, away_14d and away_30d exclude each other.';
revoke all on mgmt.panel_figures from public, anon, authenticated, service_role;
grant select on mgmt.panel_figures to authenticated;

create view mgmt.panel_returns with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select s.student_id, s.full_name, s.level, floor(extract(epoch from s.returned_at - s.left_at) / 86400)::integer as days_inactive_before_return,
  (s.returned_at at time zone (select r.time_zone from reader r))::date as return_date
from public.students s
where s.organization_id = (select r.organization_id from reader r) and s.returned_at >= now() - interval '336 hours'
order by s.returned_at desc, s.student_id;
comment on view mgmt.panel_returns is
  'The panel''s page: mgmt.engagement_recent_reactivated_14d_v, whose columns are given, with the level by which the page filters.';
revoke all on mgmt.panel_returns from public, anon, authenticated, service_role;
grant select on mgmt.panel_returns to authenticated;

create view mgmt.panel_notes with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select n.student_id, n.id, n.kind, n.body, n.created_at, u.full_name as author_name,
  coalesce(n.author_id = (select private.current_user_id()), false) as is_own
from public.student_notes n
left join public.users u on u.organization_id = n.organization_id and u.id = n.author_id
where n.organization_id = (select r.organization_id from reader r)
order by n.created_at desc, n.id;
comment on view mgmt.panel_notes is
  'The panel''s page: notes of students with their authors'' names, the newest first; author_name is null where the author is erased.';
revoke all on mgmt.panel_notes from public, anon, authenticated, service_role;
grant select on mgmt.panel_notes to authenticated;

create view mgmt.panel_followups with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select n.student_id, count(*)::integer as notes, max(n.created_at) as noted_at,
  max(n.created_at) filter (where n.kind = 'contacted') as contacted_at
from public.student_notes n
where n.organization_id = (select r.organization_id from reader r)
group by n.student_id;
comment on view mgmt.panel_followups is
  'The panel''s page: of each student with notes how many there are, when the latest was written, and when somebody last spoke with them.';
revoke all on mgmt.panel_followups from public, anon, authenticated, service_role;
grant select on mgmt.panel_followups to authenticated;

create or replace function private.export_student(p_organization_id uuid, p_student_id integer) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_drop constant text[] := '{organization_id,student_id}';
  v_name constant text := (
    select s.full_name from public.students s where s.organization_id = p_organization_id and s.student_id = p_student_id);
begin
  return jsonb_build_object(
    'students', (
      select jsonb_agg(to_jsonb(t) - 'organization_id')
      from public.students t where t.organization_id = p_organization_id and t.student_id = p_student_id),
    'student_attendance', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.checkin_time, t.id)
      from public.student_attendance t where t.organization_id = p_organization_id and t.student_id = p_student_id),
    'learning_progress', (
      select jsonb_agg(to_jsonb(t) - v_drop)
      from public.learning_progress t where t.organization_id = p_organization_id and t.student_id = p_student_id),
    -- Written about them, and so theirs; by whom, and of whom else, is not.
    'student_notes', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop - 'author_id' order by t.created_at, t.id))
      from public.student_notes t where t.organization_id = p_organization_id and t.student_id = p_student_id));
end;
$$;
comment on function private.export_student(uuid, integer) is
  'Everything held of a person of public.students, as {"section": [rows] or null}.';
revoke all on function private.export_student(uuid, integer) from public, anon, authenticated, service_role;

create or replace function private.export_work(p_organization_id uuid, p_user_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  -- What they did is theirs, for whom they did it is not: rows without those whom they are about.
  return jsonb_build_object(
    'activities_registered_for_others', (
      select jsonb_agg(jsonb_build_object('activity_type_id', t.activity_type_id, 'recorded_at', t.recorded_at) order by t.recorded_at)
      from public.activities t
      where t.organization_id = p_organization_id and t.proxy_registered_by = p_user_id and t.user_id <> p_user_id),
    'people_invited', (
      select jsonb_agg(jsonb_build_object('created_at', t.created_at) order by t.created_at)
      from public.invitations t where t.organization_id = p_organization_id and t.invited_by = p_user_id),
    'coordinated_by', (
      select jsonb_agg(jsonb_build_object('coordinator', 'a colleague'))
      from public.user_coordinators t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'coordinates', (
      select jsonb_agg(jsonb_build_object('person', 'a colleague'))
      from public.user_coordinators t where t.organization_id = p_organization_id and t.coordinator_id = p_user_id),
    'team_reports_frozen', (
      select jsonb_agg(jsonb_build_object('title', t.title, 'frozen_at', t.frozen_at) order by t.frozen_at)
      from public.team_reports t where t.organization_id = p_organization_id and t.frozen_by = p_user_id),
    'households_served', (
      select jsonb_agg(jsonb_build_object('household', 'a household'))
      from public.families t where t.organization_id = p_organization_id and t.assigned_servant_id = p_user_id),
    'pastoral_cases_assigned', (
      select jsonb_agg(jsonb_build_object('opened_at', t.opened_at, 'status', t.status) order by t.opened_at)
      from public.pastoral_cases t where t.organization_id = p_organization_id and t.assigned_servant_id = p_user_id),
    'pastoral_contacts_made', (
      select jsonb_agg(jsonb_build_object('kind', t.kind, 'contacted_at', t.contacted_at, 'logged_at', t.logged_at) order by t.contacted_at)
      from public.pastoral_contacts t where t.organization_id = p_organization_id and t.contacted_by = p_user_id),
    'pastoral_cases_changed', (
      select jsonb_agg(jsonb_build_object('happened_at', t.happened_at) order by t.happened_at)
      from public.pastoral_case_events t where t.organization_id = p_organization_id and t.actor_id = p_user_id),
    'student_notes_written', (
      select jsonb_agg(jsonb_build_object('kind', t.kind, 'created_at', t.created_at) order by t.created_at)
      from public.student_notes t where t.organization_id = p_organization_id and t.author_id = p_user_id));
end;
$$;
comment on function private.export_work(uuid, uuid) is
  'What a person of public.users did for others, without those others: part of private.export_user.';
revoke all on function private.export_work(uuid, uuid) from public, anon, authenticated, service_role;

create or replace function private.forget_names(p_organization_id uuid, p_names text[]) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_mask constant text := '[erased]';
  v_pattern constant text := private.name_pattern(array(
    select n.name from unnest(p_names) as n (name)
    -- A single word that is part of somebody else's name as well would take theirs away from them.
    where btrim(n.name) ~ '[\s@]' or not exists (
      select from public.users u where u.organization_id = p_organization_id and u.full_name ~* private.name_pattern(array[n.name])
      union all
      select from public.people p where p.organization_id = p_organization_id and p.full_name ~* private.name_pattern(array[n.name])
      union all
      select from public.contacts c where c.organization_id = p_organization_id and c.display_name ~* private.name_pattern(array[n.name])
      union all
      select from public.students s where s.organization_id = p_organization_id and s.full_name ~* private.name_pattern(array[n.name]))));
  v_counts jsonb;
begin
  if v_pattern is null then
    return '{}';
  end if;
  with cases as (
    update public.pastoral_cases t set notes = regexp_replace(t.notes, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.notes ~* v_pattern returning 1
  ), contacts as (
    update public.pastoral_contacts t set notes = regexp_replace(t.notes, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.notes ~* v_pattern returning 1
  ), notes as (
    -- A mask is longer than a short name, and a note is of two thousand characters.
    update public.student_notes t set body = left(regexp_replace(t.body, v_pattern, v_mask, 'gi'), 2000)
    where t.organization_id = p_organization_id and t.body ~* v_pattern returning 1
  ), reports as (
    update public.team_reports t set title = regexp_replace(t.title, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.title ~* v_pattern returning 1
  ), told as (
    update public.notifications t set context = private.mask_names(t.context, v_pattern, v_mask)
    where t.organization_id = p_organization_id and t.context::text ~* v_pattern returning 1
  ), tasks as (
    update public.volunteering t set task = regexp_replace(t.task, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.task ~* v_pattern returning 1
  ), templates as (
    update public.notification_templates t
    set title = regexp_replace(t.title, v_pattern, v_mask, 'gi'), body = regexp_replace(t.body, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and (t.title ~* v_pattern or t.body ~* v_pattern) returning 1
  ), families as (
    update public.families t set name = regexp_replace(t.name, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.name ~* v_pattern returning 1
  ), groups as (
    update public.groups t set name = regexp_replace(t.name, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.name ~* v_pattern returning 1
  ), classes as (
    update public.classes t set name = regexp_replace(t.name, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.name ~* v_pattern returning 1
  )
  select jsonb_build_object('pastoral_cases', (select count(*) from cases), 'pastoral_contacts', (select count(*) from contacts),
    'student_notes', (select count(*) from notes), 'team_reports', (select count(*) from reports), 'notifications', (select count(*) from told), 'volunteering', (select count(*) from tasks),
    'notification_templates', (select count(*) from templates),
    'families', (select count(*) from families), 'groups', (select count(*) from groups), 'classes', (select count(*) from classes))
    into v_counts;
  -- After the cases, whose trail has just kept what their notes said before.
  with events as (
    update public.pastoral_case_events t set changes = private.mask_names(t.changes, v_pattern, v_mask)
    where t.organization_id = p_organization_id and t.changes::text ~* v_pattern returning 1
  )
  select v_counts || jsonb_build_object('pastoral_case_events', count(*)) into v_counts from events;
  return (select coalesce(jsonb_object_agg(c.key, c.value), '{}') from jsonb_each(v_counts) c where c.value <> '0');
end;
$$;
comment on function private.forget_names(uuid, text[]) is
  'Replaces these names and addresses with "[erased]" wherever free text of the organisation has them, and counts the rows by table. What somebody calls a person otherwise is not found.';
revoke all on function private.forget_names(uuid, text[]) from public, anon, authenticated, service_role;
