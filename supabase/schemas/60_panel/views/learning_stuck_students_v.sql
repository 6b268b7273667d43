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
