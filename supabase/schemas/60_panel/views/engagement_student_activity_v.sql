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
