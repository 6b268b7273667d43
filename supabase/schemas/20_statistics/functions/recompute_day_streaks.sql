create function private.recompute_day_streaks(p_organization_id uuid, p_dirty_users uuid[], p_dirty_days date[])
returns table (user_id uuid, day date)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  -- Nothing before the first dirty day can have changed, and what stands on the day before it is right: it is counted on
  -- from there. Probes are laterals that nothing may flatten: of a young table the planner knows nothing, and would
  -- rather read every day of the organisation; "is true" takes the organisation out of every index's reach, so that only
  -- those led by the person are left.
  return query
  with since as (
    select d.user_id, min(d.day) - 1 as day from unnest(p_dirty_users, p_dirty_days) as d (user_id, day) group by d.user_id
  ), active as (
    select s.user_id, r.id, r.day, r.streak_days, s.day as before_day,
      r.day - (row_number() over (partition by s.user_id order by r.day))::integer as island
    from since s
    cross join lateral (
      select r.ctid as id, (r.period_start at time zone 'UTC')::date as day, r.streak_days
      from public.activity_statistics r
      where (r.organization_id = p_organization_id) is true and r.user_id = s.user_id and r.period_type = 'day'
        and r.period_start >= s.day::timestamp at time zone 'UTC'
      offset 0) r
  ), streak as (
    select a.user_id, a.id, a.day, a.before_day, a.streak_days as was,
      a.day - first_value(a.day) over w
        + case when first_value(a.day) over w = a.before_day then first_value(a.streak_days) over w else 1 end as streak_days
    from active a
    window w as (partition by a.user_id, a.island order by a.day)
  )
  update public.activity_statistics s
  set streak_days = k.streak_days, computed_at = now(), updated_at = now()
  from (select k.* from streak k where k.day > k.before_day and k.was is distinct from k.streak_days offset 0) k
  -- By row address: when autovacuum comes in the midst of a chunk, the key looks no better than the organisation's index.
  where s.ctid = k.id
  returning s.user_id, k.day;
end;
$$;
comment on function private.recompute_day_streaks(uuid, uuid[], date[]) is
  'Streaks of the day rows from each person''s first dirty day on, counted on from the day before it. Returns whose rows of which days it changed.';
revoke all on function private.recompute_day_streaks(uuid, uuid[], date[]) from public, anon, authenticated, service_role;
grant execute on function private.recompute_day_streaks(uuid, uuid[], date[]) to service_role;
