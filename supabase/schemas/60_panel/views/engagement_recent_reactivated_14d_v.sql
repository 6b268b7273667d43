create view mgmt.engagement_recent_reactivated_14d_v with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p),
visits as (
  -- The first visit of the last 14 days, and the last of the 14 before. A visit not yet past may be 14 days after one of the window.
  select a.student_id,
    min(a.checkin_time) filter (where a.checkin_time >= now() - interval '336 hours') as first_at,
    max(a.checkin_time) filter (where a.checkin_time < now() - interval '336 hours') as before_at,
    min(a.checkin_time) filter (where a.checkin_time >= now()) as newest_at,
    max(a.checkin_time) filter (where a.checkin_time >= now() - interval '336 hours' and a.checkin_time < now()) as before_newest_at
  from public.student_attendance a
  where a.organization_id = (select r.organization_id from reader r) and a.checkin_time >= now() - interval '672 hours'
  group by a.student_id
),
returns as (
  select v.student_id, v.newest_at as returned_at, v.before_newest_at as left_at
  from visits v
  where v.newest_at >= v.before_newest_at + interval '336 hours'
  union all
  -- Only who was not seen for at least 14 days, or more, is looked up in their history.
  select v.student_id, v.first_at, coalesce(v.before_at, (
      select max(a.checkin_time) from public.student_attendance a
      where a.organization_id = (select r.organization_id from reader r) and a.student_id = v.student_id and a.checkin_time < v.first_at))
  from visits v
  where v.first_at is not null and (v.before_at is null or v.before_at <= v.first_at - interval '336 hours')
    and (v.newest_at >= v.before_newest_at + interval '336 hours') is not true
)
select b.student_id,
  -- One probe a row, and never a join of two lists (private.active_students).
  (select s.full_name from public.students s
   where s.organization_id = (select r.organization_id from reader r) and s.student_id = b.student_id) as full_name,
  floor(extract(epoch from b.returned_at - b.left_at) / 86400)::integer as days_inactive_before_return,
  (b.returned_at at time zone (select r.time_zone from reader r))::date as return_date
from returns b
where b.left_at is not null
order by b.returned_at desc, b.student_id;
comment on view mgmt.engagement_recent_reactivated_14d_v is
  'Engagement panel, module 13: who came back in the last 14 days after 14 days or more away, however long ago they were last seen. One row a student, the latest return first.';
revoke all on mgmt.engagement_recent_reactivated_14d_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_recent_reactivated_14d_v to authenticated;
