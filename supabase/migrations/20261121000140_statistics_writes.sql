-- Statistics are written without a plan for each row, and contacts read in shares of 200,000 activities.
set check_function_bodies = off;

create or replace function private.contacts_of_people(p_organization_id uuid, p_users uuid[])
returns table (user_id uuid, activity_ids uuid[], days date[], contact_ids uuid[])
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set work_mem = '32MB'
as $$
declare
  v_share uuid[];
begin
  -- In shares of so many activities: the more, the more of them find their contacts on one page of the index; but memory must
  -- not follow from how many people have how long a history.
  for v_share in
    select array_agg(c.id)
    from (
      select u.id, n.activities, sum(n.activities) over (order by u.id) as until
      from unnest(p_users) as u (id)
      cross join lateral (
        select count(*) as activities from public.activities a
        where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed') n) c
    group by div(c.until - c.activities, 200000)
  loop
    return query
    -- Read twice, for the array and for whose they are: kept, they would be most of the memory, and no faster.
    -- No full join is planned as a loop within a loop, also not where statistics know nothing of a history just imported.
    select m.user_id, array_agg(m.activity_id), array_agg(m.day), array_agg(m.contact_id)
    from (
      select a.user_id, a.day, c.activity_id, c.contact_id
      from (
        select u.id as user_id, l.id, l.day
        from unnest(v_share) as u (id)
        cross join lateral (
          select a.id, (a.occurred_at at time zone 'UTC')::date as day
          from public.activities a
          where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed'
          offset 0) l) a
      full join (
        select ac.activity_id, ac.contact_id
        from public.activity_contacts ac
        where ac.organization_id = p_organization_id and ac.activity_id = any (array(
          select l.id
          from unnest(v_share) as u (id)
          cross join lateral (
            select a.id
            from public.activities a
            where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed'
            offset 0) l))
        offset 0) c on c.activity_id = a.id
      offset 0) m
    where m.contact_id is not null
    group by m.user_id;
  end loop;
end;
$$;
comment on function private.contacts_of_people(uuid, uuid[]) is
  'Who was met in the completed activities of these people: three arrays of equal length, one element a meeting. Whoever met nobody is left out.';
revoke all on function private.contacts_of_people(uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.contacts_of_people(uuid, uuid[]) to service_role;

create or replace function private.write_figures(
  p_organization_id uuid, p_whole_users uuid[], p_users uuid[], p_user_ids uuid[], p_days date[], p_now timestamptz, p_touch boolean)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
-- Of its own: whoever calls this is planned anew each time, and with them the foreign key would be, for each row that is written.
set plan_cache_mode = auto
set work_mem = '32MB'
as $$
begin
  return query
  with computed as materialized (
    select f.* from private.figures_of_people(p_organization_id, p_whole_users, null, null, p_now) f where p_whole_users is not null
    union all
    select f.* from private.figures_of_people(p_organization_id, p_users, p_user_ids, p_days, p_now) f where p_users is not null
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
comment on function private.write_figures(uuid, uuid[], uuid[], uuid[], date[], timestamptz, boolean) is
  'Writes what private.figures_of_people says: of p_whole_users everything, of p_users their days (null: nobody). Emptied rows go. With p_touch false, rows already right keep their computed_at. Returns how many rows of whom it wrote or removed. For private.recompute_statistics, which holds the locks.';
revoke all on function private.write_figures(uuid, uuid[], uuid[], uuid[], date[], timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.write_figures(uuid, uuid[], uuid[], uuid[], date[], timestamptz, boolean) to service_role;
