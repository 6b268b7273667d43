create view mgmt.panel_figures with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p),
today as materialized (select private.local_midnight(private.local_date(now(), r.time_zone), r.time_zone) as began_at from reader r),
-- Of each level first: all students would be sorted by it for both at once.
levels as (
  select s.level, count(*) as students,
    count(*) filter (where s.seen_at >= (select t.began_at from today t)) as came_today,
    count(*) filter (where s.seen_at > now() - interval '168 hours') as came_7d,
    -- As the roster's buckets, each without the next; the last is dormant_30d and long_term_inactive_180d.
    count(*) filter (where s.seen_at <= now() - interval '168 hours' and s.seen_at > now() - interval '336 hours') as away_7d,
    count(*) filter (where s.seen_at <= now() - interval '336 hours' and s.seen_at > now() - interval '720 hours') as away_14d,
    count(*) filter (where s.seen_at <= now() - interval '720 hours') as away_30d,
    count(*) filter (where s.seen_at is null) as never_came,
    -- The score as mgmt.engagement_student_activity_v has it, asked of whom it can be true.
    count(*) filter (where case when s.sessions_30d >= 5 then 60480000 * s.counted_sessions::bigint
      >= 60 * s.session_target * (604800 + extract(epoch from now() - s.seen_at)) end) as highly_engaged,
    count(*) filter (where case when s.sessions_30d >= 5 then 60480000 * s.counted_sessions::bigint
      >= 85 * s.session_target * (604800 + extract(epoch from now() - s.seen_at)) end) as ambassadors,
    sum(s.sessions_30d) as sessions_30d
  from private.active_students s
  group by s.level
)
select l.level, grouping(l.level) = 1 as is_every_level, coalesce(sum(l.students), 0)::integer as students,
  coalesce(sum(l.came_today), 0)::integer as came_today, coalesce(sum(l.came_7d), 0)::integer as came_7d,
  coalesce(sum(l.away_7d), 0)::integer as away_7d, coalesce(sum(l.away_14d), 0)::integer as away_14d,
  coalesce(sum(l.away_30d), 0)::integer as away_30d, coalesce(sum(l.never_came), 0)::integer as never_came,
  coalesce(sum(l.highly_engaged), 0)::integer as highly_engaged, coalesce(sum(l.ambassadors), 0)::integer as ambassadors,
  coalesce(sum(l.sessions_30d), 0)::bigint as sessions_30d
from levels l
group by grouping sets ((), (l.level))
-- The whole school first, so that no cap on rows can take it away.
order by is_every_level desc, students desc, level;
comment on view mgmt.panel_figures is
  'The panel''s page: key figures of the active students, of every level together (the first row) and of each; level is null also for those who have none. away_7d, away_14d and away_30d exclude each other.';
revoke all on mgmt.panel_figures from public, anon, authenticated, service_role;
grant select on mgmt.panel_figures to authenticated;
