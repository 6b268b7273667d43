create view private.active_students with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select s.organization_id, s.student_id, s.full_name, s.level, s.first_checkin_at, s.last_checkin_at, s.checkins,
  -- A door's clock may be some seconds ahead of ours.
  case when s.last_checkin_at > now() then now() else s.last_checkin_at end as seen_at,
  coalesce(v.sessions, 0) as sessions_30d, least(coalesce(v.sessions, 0), (select r.session_target from reader r)) as counted_sessions,
  (select r.session_target from reader r) as session_target
from (select t.* from public.students t where t.organization_id = (select r.organization_id from reader r)) s
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
  'The active students of the manager who is signed in, with their visits of the last 30 days of 24 hours, and how many of these the score counts. What the panel''s views on activity are made of.';
revoke all on private.active_students from public, anon, authenticated, service_role;
grant select on private.active_students to authenticated;
