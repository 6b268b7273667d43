create view mgmt.engagement_dau_90d_v with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p),
-- Where each day begins is worked out ninety times, and not the day of each visit.
days as materialized (
  select t.day, private.local_midnight(t.day, r.time_zone) as begins_at
  from reader r
  cross join lateral (select private.local_date(now(), r.time_zone) - 89 + n.number as day from generate_series(0, 90) as n (number)) t
),
spans as (
  select d.day, d.begins_at, lead(d.begins_at) over (order by d.day) as ends_at from days d
)
select d.day as d, v.active_students, v.total_minutes
from spans d
cross join lateral (
  select count(distinct a.student_id)::integer as active_students, coalesce(sum(a.minutes), 0) as total_minutes
  from public.student_attendance a
  where a.organization_id = (select r.organization_id from reader r) and a.checkin_time >= d.begins_at and a.checkin_time < d.ends_at
) v
where d.ends_at is not null
order by d.day;
comment on view mgmt.engagement_dau_90d_v is
  'Engagement panel: for each of the last 90 local days, today included, how many students came, and the minutes of all their visits. Always ninety rows. Module 16 sums it up by weekday.';
revoke all on mgmt.engagement_dau_90d_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_dau_90d_v to authenticated;
