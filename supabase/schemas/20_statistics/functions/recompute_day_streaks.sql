create function private.recompute_day_streaks(p_organization_id uuid, p_touched_users uuid[], p_touched_days date[])
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  with active as (
    select s.user_id, s.id, t.day, t.day - (row_number() over (partition by s.user_id order by t.day))::integer as island
    from unnest(p_touched_users, p_touched_days) as t (user_id, day)
    join public.activity_statistics s on s.organization_id = p_organization_id and s.user_id = t.user_id
      and s.period_type = 'day' and s.period_start = t.day::timestamp at time zone 'UTC'
  ), island as (
    select a.user_id, a.island, min(a.day) as first_day from active a group by a.user_id, a.island
  ), streak as (
    -- The day before an island was not touched, so what stands there is right.
    select a.id, a.day - i.first_day + 1 + coalesce(before.streak_days, 0) as streak_days
    from active a
    join island i on i.user_id = a.user_id and i.island = a.island
    left join public.activity_statistics before on before.organization_id = p_organization_id and before.user_id = a.user_id
      and before.period_type = 'day' and before.period_start = (i.first_day - 1)::timestamp at time zone 'UTC'
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
