create function private.recompute_streaks(
  p_organization_id uuid, p_users uuid[], p_dirty_users uuid[], p_dirty_days date[], p_now timestamptz)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_touched_users uuid[];
  v_touched_days date[];
begin
  -- A day more or less changes the streak of every day that follows it without a gap. Day rows are the list of active days.
  with recursive touched as (
    select d.user_id, d.day from unnest(p_dirty_users, p_dirty_days) as d (user_id, day)
    union
    select t.user_id, t.day + 1
    from touched t
    join public.activity_statistics s on s.organization_id = p_organization_id and s.user_id = t.user_id
      and s.period_type = 'day' and s.period_start = (t.day + 1)::timestamp at time zone 'UTC'
  )
  select array_agg(t.user_id), array_agg(t.day) into v_touched_users, v_touched_days from touched t;

  return query select d.user_id, d.rows_changed
  from private.recompute_day_streaks(p_organization_id, v_touched_users, v_touched_days) d;
  return query select l.user_id, l.rows_changed
  from private.recompute_longer_streaks(p_organization_id, p_users, v_touched_users, v_touched_days, p_now) l;
end;
$$;
comment on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz) is
  'Streaks of the dirty days, of the days that follow them without a gap, and of the longer periods that overlap these, as of p_now. Needs the day rows right. For private.recompute_statistics, which holds the locks.';
revoke all on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz) to service_role;
