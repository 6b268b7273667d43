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
