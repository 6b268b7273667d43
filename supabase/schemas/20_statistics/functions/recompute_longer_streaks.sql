create function private.recompute_longer_streaks(
  p_organization_id uuid, p_users uuid[], p_touched_users uuid[], p_touched_days date[], p_now timestamptz)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_today timestamptz := date_trunc('day', p_now at time zone 'UTC') at time zone 'UTC';
begin
  return query
  with span as (
    select t.user_id, min(t.day)::timestamp at time zone 'UTC' as first_day, max(t.day)::timestamp at time zone 'UTC' as last_day
    from unnest(p_touched_users, p_touched_days) as t (user_id, day)
    group by t.user_id
  ), touched as materialized (
    select u.id as user_id, l.last_activity_date, r.id, r.period_end, r.streak_days
    from unnest(p_users) as u (id)
    cross join lateral (
      select l.ctid as id, l.last_activity_date, l.streak_days from public.activity_statistics l
      where (l.organization_id = p_organization_id) is true and l.user_id = u.id and l.period_type = 'all_time' offset 0) l
    left join span on span.user_id = u.id
    cross join lateral (
      select l.id, null::timestamptz as period_end, l.streak_days
      union all
      select s.ctid as id, s.period_end, s.streak_days
      from public.activity_statistics s
      where (s.organization_id = p_organization_id) is true and s.user_id = u.id and s.period_type = any ('{week,month,quarter,year}')
        and s.period_start > span.first_day - interval '366 days' and s.period_start <= span.last_day and s.period_end > span.first_day
      offset 0) r
  ), streak as (
    -- A row's streak is that of its last day; while it is open, that of the last active day if that is today or yesterday.
    select t.user_id, t.id, t.streak_days as was, coalesce((
      select d.streak_days from public.activity_statistics d
      where (d.organization_id = p_organization_id) is true and d.user_id = t.user_id and d.period_type = 'day'
        and d.period_start = case
          when t.period_end <= v_today then t.period_end - interval '24 hours'
          when t.last_activity_date >= v_today - interval '24 hours' then
            date_trunc('day', t.last_activity_date at time zone 'UTC') at time zone 'UTC'
        end), 0) as streak_days
    from touched t
  ), written as (
    update public.activity_statistics s
    set streak_days = k.streak_days, computed_at = now(), updated_at = now()
    from (select k.* from streak k where k.was is distinct from k.streak_days offset 0) k
    -- By row address, as in private.recompute_day_streaks.
    where s.ctid = k.id
    returning s.user_id
  )
  select w.user_id, count(*) from written w group by w.user_id;
end;
$$;
comment on function private.recompute_longer_streaks(uuid, uuid[], uuid[], date[], timestamptz) is
  'Streaks of the rows of weeks to years that overlap the touched days, and of all_time, read off the day rows, as of p_now. Returns how many rows of whom it changed.';
revoke all on function private.recompute_longer_streaks(uuid, uuid[], uuid[], date[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.recompute_longer_streaks(uuid, uuid[], uuid[], date[], timestamptz) to service_role;
