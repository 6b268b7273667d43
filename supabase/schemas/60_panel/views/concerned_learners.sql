create view private.concerned_learners with (security_invoker = true) as
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
