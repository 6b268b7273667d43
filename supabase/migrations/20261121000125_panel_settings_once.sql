-- The panel's views ask for the reader's settings once and not once a row, and the order of scores is that of a column.
set check_function_bodies = off;

drop view mgmt.engagement_student_activity_v, mgmt.engagement_session_frequency_30d_v, private.active_students;

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

create or replace view private.concerned_learners with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select c.*
from (
  select s.student_id, s.full_name, s.level, s.last_checkin_at, l.progress_at, l.lessons_completed, l.lessons_total, l.average_score,
    l.progress_at <= now() - (select r.stuck_after from reader r) as stuck_flag,
    l.lessons_completed < least(l.lessons_total,
      (select r.weekly_lessons from reader r) * floor(extract(epoch from now() - l.started_at) / 604800)) as slow_flag,
    coalesce(l.average_score < (select r.pass_score from reader r), false) as low_flag
  from (select t.* from public.students t where t.organization_id = (select r.organization_id from reader r)) s
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
    when s.sessions_30d > 0 then (60480000 * s.counted_sessions::bigint)
      / (s.session_target * (604800 + extract(epoch from now() - s.seen_at)))
    when s.checkins > 0 then 0
  end as consistency_score
-- Sorted before the arithmetic, which a page of fifty then does fifty times; said again where it counts, at no cost.
from (
  select t.* from private.active_students t
  order by t.seen_at nulls last, t.counted_sessions desc, t.student_id
) s
-- As days_since_last_checkin desc nulls last, consistency_score desc: of who came at the same instant, more sessions score more.
order by s.seen_at nulls last, s.counted_sessions desc, s.student_id;
comment on view mgmt.engagement_student_activity_v is
  'Engagement panel, modules 12 and 14: every active student with the visits of the last 30 days, the mean days between visits of all time, and how consistently they come (0 to 100; panel_session_target visits count fully).';
revoke all on mgmt.engagement_student_activity_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_student_activity_v to authenticated;
