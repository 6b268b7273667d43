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
