create view mgmt.engagement_daypart_retention_v with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p),
-- One group a student and not one a student and daypart: a third of the hash table.
students as (
  select count(*) filter (where v.local_time >= '08:00' and v.local_time < '12:00') as mornings,
    count(*) filter (where v.local_time >= '12:00' and v.local_time < '17:00') as afternoons,
    count(*) filter (where v.local_time >= '17:00' and v.local_time < '20:00') as evenings
  from (
    select a.student_id, (a.checkin_time at time zone (select r.time_zone from reader r))::time as local_time
    from public.student_attendance a
    where a.organization_id = (select r.organization_id from reader r) and a.checkin_time >= now() - interval '720 hours'
    -- So that the conversion, which is dearer than all the rest, is done once a visit.
    offset 0
  ) v
  group by v.student_id
),
counted as (
  select count(*) filter (where s.mornings > 0) as mornings, count(*) filter (where s.mornings > 1) as mornings_again,
    count(*) filter (where s.afternoons > 0) as afternoons, count(*) filter (where s.afternoons > 1) as afternoons_again,
    count(*) filter (where s.evenings > 0) as evenings, count(*) filter (where s.evenings > 1) as evenings_again
  from students s
)
select d.daypart, d.again::numeric / nullif(d.students, 0) as return_rate
from counted c
cross join lateral (values
  (1, 'morning_08_12', c.mornings, c.mornings_again), (2, 'afternoon_12_17', c.afternoons, c.afternoons_again),
  (3, 'evening_17_20', c.evenings, c.evenings_again)) as d (position, daypart, students, again)
order by d.position;
comment on view mgmt.engagement_daypart_retention_v is
  'Engagement panel, module 17: of the students who came in a part of the day during the last 30 days, the share that came in it at least twice. Always three rows; null where nobody came.';
revoke all on mgmt.engagement_daypart_retention_v from public, anon, authenticated, service_role;
grant select on mgmt.engagement_daypart_retention_v to authenticated;
