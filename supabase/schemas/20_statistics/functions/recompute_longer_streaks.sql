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
  ), overlapping as (
    select s.user_id, s.id, s.period_end
    from span
    join public.activity_statistics s on s.organization_id = p_organization_id and s.user_id = span.user_id
      and s.period_type = any ('{week,month,quarter,year}')
      and s.period_start > span.first_day - interval '366 days' and s.period_start <= span.last_day and s.period_end > span.first_day
    union all
    select s.user_id, s.id, null
    from public.activity_statistics s
    where s.organization_id = p_organization_id and s.user_id = any (p_users) and s.period_type = 'all_time'
  ), streak as (
    -- A row's streak is that of its last day; while it is open, that of the last active day if that is today or yesterday.
    select o.id, coalesce((
        select d.streak_days from public.activity_statistics d
        where d.organization_id = p_organization_id and d.user_id = o.user_id and d.period_type = 'day'
          and d.period_start = case
            when o.period_end <= v_today then o.period_end - interval '24 hours'
            when o.last_activity_date >= v_today - interval '24 hours' then
              date_trunc('day', o.last_activity_date at time zone 'UTC') at time zone 'UTC'
          end), 0) as streak_days
    from (
      select l.user_id, r.id, r.period_end, l.last_activity_date
      from unnest(p_users) as u (id)
      cross join lateral (
        select s.user_id, s.last_activity_date from public.activity_statistics s
        where s.organization_id = p_organization_id and s.user_id = u.id and s.period_type = 'all_time'
        offset 0) l
      join overlapping r on r.user_id = l.user_id
    ) o
  ), written as (
    update public.activity_statistics s
    set streak_days = k.streak_days, computed_at = now(), updated_at = now()
    from streak k
    where s.organization_id = p_organization_id and s.id = k.id and s.streak_days is distinct from k.streak_days
    returning s.user_id
  )
  select w.user_id, count(*) from written w group by w.user_id;
end;
$$;
comment on function private.recompute_longer_streaks(uuid, uuid[], uuid[], date[], timestamptz) is
  'Streaks of the rows of weeks to years that overlap the touched days, and of all_time, read off the day rows, as of p_now. Returns how many rows of whom it changed.';
revoke all on function private.recompute_longer_streaks(uuid, uuid[], uuid[], date[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.recompute_longer_streaks(uuid, uuid[], uuid[], date[], timestamptz) to service_role;
