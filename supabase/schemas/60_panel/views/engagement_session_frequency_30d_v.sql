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
