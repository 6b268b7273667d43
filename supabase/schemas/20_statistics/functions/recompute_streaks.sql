create function private.recompute_streaks(
  p_organization_id uuid, p_users uuid[], p_dirty_users uuid[], p_dirty_days date[], p_now timestamptz, p_touch boolean)
returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_today date := (p_now at time zone 'UTC')::date;
  v_days integer;
  v_buckets integer;
begin
  -- A day more or less changes the streak of every day that follows it without a gap. Day rows are the list of active days.
  with recursive touched as (
    select d.user_id, d.day from unnest(p_dirty_users, p_dirty_days) as d (user_id, day)
    union
    select t.user_id, t.day + 1
    from touched t
    join public.activity_statistics s on s.organization_id = p_organization_id and s.user_id = t.user_id
      and s.period_type = 'day' and s.period_start = (t.day + 1)::timestamp at time zone 'UTC'
  ), active as (
    select s.user_id, s.id, t.day, t.day - (row_number() over (partition by s.user_id order by t.day))::integer as island
    from touched t
    join public.activity_statistics s on s.organization_id = p_organization_id and s.user_id = t.user_id
      and s.period_type = 'day' and s.period_start = t.day::timestamp at time zone 'UTC'
  ), island as (
    select a.user_id, a.island, min(a.day) as first_day from active a group by a.user_id, a.island
  ), streak as (
    select a.id, a.day - i.first_day + 1 + coalesce(before.streak_days, 0) as streak_days
    from active a
    join island i on i.user_id = a.user_id and i.island = a.island
    left join public.activity_statistics before on before.organization_id = p_organization_id and before.user_id = a.user_id
      and before.period_type = 'day' and before.period_start = (i.first_day - 1)::timestamp at time zone 'UTC'
  )
  update public.activity_statistics s
  set streak_days = k.streak_days, computed_at = clock_timestamp(), updated_at = clock_timestamp()
  from streak k
  where s.organization_id = p_organization_id and s.id = k.id and s.streak_days is distinct from k.streak_days;
  get diagnostics v_days = row_count;

  -- Every other row's streak is that of its last day; while it is open, that of today or else yesterday.
  with last_day as (
    select s.user_id, s.id, case
        when s.period_end <= v_today::timestamp at time zone 'UTC' then s.period_end - interval '1 day'
        when l.last_activity_date >= (v_today - 1)::timestamp at time zone 'UTC' then
          date_trunc('day', l.last_activity_date at time zone 'UTC') at time zone 'UTC'
      end as ends_on
    from public.activity_statistics s
    join public.activity_statistics l on l.organization_id = s.organization_id and l.user_id = s.user_id and l.period_type = 'all_time'
    where s.organization_id = p_organization_id and s.user_id = any (p_users) and s.period_type <> 'day'
  )
  update public.activity_statistics s
  set streak_days = k.streak_days, computed_at = clock_timestamp(), updated_at = clock_timestamp()
  from (
    select d.id, coalesce(ended.streak_days, 0) as streak_days
    from last_day d
    left join public.activity_statistics ended on ended.organization_id = p_organization_id and ended.user_id = d.user_id
      and ended.period_type = 'day' and ended.period_start = d.ends_on
  ) k
  where s.organization_id = p_organization_id and s.id = k.id and s.streak_days is distinct from k.streak_days;
  get diagnostics v_buckets = row_count;
  return v_days + v_buckets;
end;
$$;
comment on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz, boolean) is
  'Streaks of the dirty days and of the days that follow them without a gap, then of every longer period of these people, as of p_now. Needs the day rows right. For private.recompute_statistics, which holds the locks.';
revoke all on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz, boolean) to service_role;
