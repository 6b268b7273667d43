create function private.recompute_buckets(
  p_organization_id uuid, p_users uuid[], p_dirty_users uuid[], p_dirty_days date[], p_touch boolean)
returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_written integer;
  v_removed integer;
begin
  with bucket as materialized (
    select distinct d.user_id, t.period_type, private.period_start(t.period_type, d.day) as period_start
    from unnest(p_dirty_users, p_dirty_days) as d (user_id, day)
    cross join unnest(enum_range('day'::public.statistics_period, 'year')) as t (period_type)
    union all
    select u.id, 'all_time', null from unnest(p_users) as u (id)
  ), computed as materialized (
    select b.user_id, b.period_type, b.period_start, private.period_end(b.period_type, b.period_start) as period_end, f.*
    from bucket b
    cross join lateral private.activity_figures(
      p_organization_id, b.user_id, b.period_start, private.period_end(b.period_type, b.period_start)) f
  ), removed as (
    delete from public.activity_statistics s
    using computed c
    where s.organization_id = p_organization_id and s.user_id = c.user_id and s.period_type = c.period_type
      and s.period_start = c.period_start and c.total_activities = 0
    returning 1
  ), written as (
    insert into public.activity_statistics as s (
      organization_id, user_id, period_type, period_start, period_end, total_activities, total_duration_minutes,
      unique_contacts_reached, activity_type_breakdown, home_visit_count, phone_call_count, group_activity_count,
      proxy_activity_count, last_activity_date, bufdir_eligible_count, computed_at)
    select p_organization_id, c.user_id, c.period_type, c.period_start, c.period_end, c.total_activities, c.total_duration_minutes,
      c.unique_contacts_reached, c.activity_type_breakdown, c.home_visit_count, c.phone_call_count, c.group_activity_count,
      c.proxy_activity_count, c.last_activity_date, c.bufdir_eligible_count, clock_timestamp()
    from computed c
    where c.total_activities > 0 or c.period_type = 'all_time'
    on conflict on constraint one_row_per_user_period do update set
      total_activities = excluded.total_activities, total_duration_minutes = excluded.total_duration_minutes,
      unique_contacts_reached = excluded.unique_contacts_reached, activity_type_breakdown = excluded.activity_type_breakdown,
      home_visit_count = excluded.home_visit_count, phone_call_count = excluded.phone_call_count,
      group_activity_count = excluded.group_activity_count, proxy_activity_count = excluded.proxy_activity_count,
      last_activity_date = excluded.last_activity_date, bufdir_eligible_count = excluded.bufdir_eligible_count,
      computed_at = excluded.computed_at, updated_at = excluded.computed_at
    where p_touch
      or (s.total_activities, s.total_duration_minutes, s.unique_contacts_reached, s.activity_type_breakdown, s.home_visit_count,
          s.phone_call_count, s.group_activity_count, s.proxy_activity_count, s.last_activity_date, s.bufdir_eligible_count)
        is distinct from
         (excluded.total_activities, excluded.total_duration_minutes, excluded.unique_contacts_reached,
          excluded.activity_type_breakdown, excluded.home_visit_count, excluded.phone_call_count, excluded.group_activity_count,
          excluded.proxy_activity_count, excluded.last_activity_date, excluded.bufdir_eligible_count)
    returning 1
  )
  select (select count(*) from written), (select count(*) from removed) into v_written, v_removed;
  return v_written + v_removed;
end;
$$;
comment on function private.recompute_buckets(uuid, uuid[], uuid[], date[], boolean) is
  'Every bucket that contains one of the dirty days, and everybody''s all_time, anew from the activities; emptied ones go. Streaks are not its business. For private.recompute_statistics, which holds the locks.';
revoke all on function private.recompute_buckets(uuid, uuid[], uuid[], date[], boolean) from public, anon, authenticated, service_role;
grant execute on function private.recompute_buckets(uuid, uuid[], uuid[], date[], boolean) to service_role;
