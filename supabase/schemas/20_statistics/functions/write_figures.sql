create function private.write_figures(
  p_organization_id uuid, p_whole_users uuid[], p_user_ids uuid[], p_days date[], p_now timestamptz, p_touch boolean)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
-- Of its own: whoever calls this is planned anew each time, and with them the foreign key would be, for each row that is written.
set plan_cache_mode = auto
set work_mem = '32MB'
as $$
declare
  v_few_users uuid[];
  v_few_days date[];
  v_many_users uuid[];
  v_many_days date[];
begin
  -- Some thirty days of one person cost the same either way.
  select array_agg(m.user_id) filter (where m.days <= 30), array_agg(m.day) filter (where m.days <= 30),
      array_agg(m.user_id) filter (where m.days > 30), array_agg(m.day) filter (where m.days > 30)
    into v_few_users, v_few_days, v_many_users, v_many_days
  from (
    select m.user_id, m.day, count(*) over (partition by m.user_id) as days from unnest(p_user_ids, p_days) as m (user_id, day)) m;
  return query
  with computed as materialized (
    select f.* from private.figures_of_people(p_organization_id, p_whole_users, null, null, p_now) f where p_whole_users is not null
    union all
    select f.*
    from private.figures_of_people(
      p_organization_id, (select array_agg(distinct u.id) from unnest(v_many_users) as u (id)), v_many_users, v_many_days, p_now) f
    where v_many_users is not null
    union all
    select f.* from private.figures_of_days(p_organization_id, v_few_users, v_few_days, p_now) f where v_few_users is not null
  ), removed as (
    delete from public.activity_statistics s
    using computed c
    -- "is true" leaves only the indexes led by the person: the organisation's would be read whole while the table is young.
    where (s.organization_id = p_organization_id) is true and s.user_id = c.user_id and s.period_type = c.period_type
      and s.period_start = c.period_start and c.total_activities = 0
    returning s.user_id
  ), forgotten as (
    delete from public.activity_statistics s
    where p_whole_users is not null and (s.organization_id = p_organization_id) is true and s.user_id = any (p_whole_users)
      and s.period_type <> 'all_time' and not exists (
        select from computed c
        where c.user_id = s.user_id and c.period_type = s.period_type and c.period_start = s.period_start)
    returning s.user_id
  ), written as (
    insert into public.activity_statistics as s (
      organization_id, user_id, period_type, period_start, period_end, total_activities, total_duration_minutes,
      unique_contacts_reached, activity_type_breakdown, home_visit_count, phone_call_count, group_activity_count,
      proxy_activity_count, last_activity_date, streak_days, bufdir_eligible_count, computed_at, updated_at)
    select p_organization_id, c.user_id, c.period_type, c.period_start, c.period_end, c.total_activities, c.total_duration_minutes,
      c.unique_contacts_reached, c.activity_type_breakdown, c.home_visit_count, c.phone_call_count, c.group_activity_count,
      c.proxy_activity_count, c.last_activity_date, c.streak_days, c.bufdir_eligible_count, now(), now()
    from computed c
    where c.total_activities > 0 or c.period_type = 'all_time'
    on conflict on constraint one_row_per_user_period do update set
      total_activities = excluded.total_activities, total_duration_minutes = excluded.total_duration_minutes,
      unique_contacts_reached = excluded.unique_contacts_reached, activity_type_breakdown = excluded.activity_type_breakdown,
      home_visit_count = excluded.home_visit_count, phone_call_count = excluded.phone_call_count,
      group_activity_count = excluded.group_activity_count, proxy_activity_count = excluded.proxy_activity_count,
      last_activity_date = excluded.last_activity_date, streak_days = excluded.streak_days,
      bufdir_eligible_count = excluded.bufdir_eligible_count, computed_at = excluded.computed_at, updated_at = excluded.computed_at
    where p_touch
      or (s.total_activities, s.total_duration_minutes, s.unique_contacts_reached, s.activity_type_breakdown, s.home_visit_count,
          s.phone_call_count, s.group_activity_count, s.proxy_activity_count, s.last_activity_date, s.streak_days,
          s.bufdir_eligible_count)
        is distinct from
         (excluded.total_activities, excluded.total_duration_minutes, excluded.unique_contacts_reached,
          excluded.activity_type_breakdown, excluded.home_visit_count, excluded.phone_call_count, excluded.group_activity_count,
          excluded.proxy_activity_count, excluded.last_activity_date, excluded.streak_days, excluded.bufdir_eligible_count)
    returning s.user_id
  )
  select x.user_id, count(*)
  from (
    select w.user_id from written w union all select r.user_id from removed r union all select f.user_id from forgotten f) x
  group by x.user_id;
end;
$$;
comment on function private.write_figures(uuid, uuid[], uuid[], date[], timestamptz, boolean) is
  'Writes what private.figures_of_people says: of p_whole_users everything, of p_user_ids the days p_days (null: nobody). Emptied rows go. With p_touch false, rows already right keep their computed_at. Returns how many rows of whom it wrote or removed. For private.recompute_statistics, which holds the locks.';
revoke all on function private.write_figures(uuid, uuid[], uuid[], date[], timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.write_figures(uuid, uuid[], uuid[], date[], timestamptz, boolean) to service_role;
