create function private.recompute_day_streaks(p_organization_id uuid, p_touched_users uuid[], p_touched_days date[])
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  -- Every look-up is a probe of its own (offset 0): joins would be planned by estimates, and scan the organisation's rows for
  -- as long as the table is young.
  with active as (
    select s.id, t.user_id, t.day, t.day - (row_number() over (partition by t.user_id order by t.day))::integer as island
    from unnest(p_touched_users, p_touched_days) as t (user_id, day)
    cross join lateral (
      select d.id from public.activity_statistics d
      where d.organization_id = p_organization_id and d.user_id = t.user_id and d.period_type = 'day'
        and d.period_start = t.day::timestamp at time zone 'UTC'
      offset 0) s
  ), island as materialized (
    -- The day before an island was not touched, so what stands there is right.
    select i.user_id, i.island, i.first_day, coalesce((
        select b.streak_days from public.activity_statistics b
        where b.organization_id = p_organization_id and b.user_id = i.user_id and b.period_type = 'day'
          and b.period_start = (i.first_day - 1)::timestamp at time zone 'UTC'), 0) as days_before
    from (select a.user_id, a.island, min(a.day) as first_day from active a group by a.user_id, a.island) i
  ), streak as (
    select a.id, a.day - i.first_day + 1 + i.days_before as streak_days
    from active a
    join island i on i.user_id = a.user_id and i.island = a.island
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
comment on function private.recompute_day_streaks(uuid, uuid[], date[]) is
  'Streaks of the day rows among the touched days, counted on from the day before each run of them. Returns how many rows of whom it changed.';
revoke all on function private.recompute_day_streaks(uuid, uuid[], date[]) from public, anon, authenticated, service_role;
grant execute on function private.recompute_day_streaks(uuid, uuid[], date[]) to service_role;
