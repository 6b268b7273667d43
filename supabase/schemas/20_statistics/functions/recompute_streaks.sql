create function private.recompute_streaks(
  p_organization_id uuid, p_users uuid[], p_dirty_users uuid[], p_dirty_days date[], p_now timestamptz)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_changed_users uuid[];
  v_changed_days date[];
begin
  select coalesce(array_agg(d.user_id), '{}'), coalesce(array_agg(d.day), '{}') into v_changed_users, v_changed_days
  from private.recompute_day_streaks(p_organization_id, p_dirty_users, p_dirty_days) d;
  return query select c.user_id, count(*) from unnest(v_changed_users) as c (user_id) group by c.user_id;
  return query select l.user_id, l.rows_changed
  from private.recompute_longer_streaks(
    p_organization_id, p_users, p_dirty_users || v_changed_users, p_dirty_days || v_changed_days, p_now) l;
end;
$$;
comment on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz) is
  'Streaks of the dirty days, of the days that follow them, and of the longer periods that overlap what changed, as of p_now. Needs the day rows right. For private.recompute_statistics, which holds the locks.';
revoke all on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz) to service_role;
