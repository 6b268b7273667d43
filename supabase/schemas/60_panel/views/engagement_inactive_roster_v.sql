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
