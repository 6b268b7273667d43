create view mgmt.learning_at_risk_learners_v with (security_invoker = true) as
select c.student_id, c.full_name, c.level, c.stuck_flag, c.slow_flag, c.average_score, c.lessons_completed, c.lessons_total,
  extract(epoch from now() - c.progress_at) / 86400 as days_since_last_progress
from private.concerned_learners c
order by c.progress_at, c.student_id;
comment on view mgmt.learning_at_risk_learners_v is
  'What the engagement panel needs of the learning panel: active students who get on badly (private.concerned_learners). Neither stuck nor slow: their score is low.';
revoke all on mgmt.learning_at_risk_learners_v from public, anon, authenticated, service_role;
grant select on mgmt.learning_at_risk_learners_v to authenticated;
