-- Statistics from one reading of each person's activities: every row is written once, streak included.
set check_function_bodies = off;

drop function private.recompute_buckets(uuid, uuid[], uuid[], date[], boolean);
drop function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz);
drop function private.recompute_day_streaks(uuid, uuid[], date[]);
drop function private.recompute_longer_streaks(uuid, uuid[], uuid[], date[], timestamptz);
drop function private.dirty_days(uuid, uuid[], uuid[], date[]);

create function private.figures_of_people(p_organization_id uuid, p_users uuid[], p_user_ids uuid[], p_days date[], p_now timestamptz)
returns table (
  user_id uuid, period_type public.statistics_period, period_start timestamptz, period_end timestamptz,
  total_activities integer, total_duration_minutes integer, unique_contacts_reached integer, activity_type_breakdown jsonb,
  home_visit_count integer, phone_call_count integer, group_activity_count integer, proxy_activity_count integer,
  last_activity_date timestamptz, streak_days integer, bufdir_eligible_count integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
-- A history of a hundred thousand activities does not go through files.
set work_mem = '32MB'
as $$
declare
  v_today date := (p_now at time zone 'UTC')::date;
  v_all boolean := p_days is null;
  -- Few buckets are filled by comparing days with their bounds; for many, each day's are looked up.
  v_by_calendar boolean := p_days is null or cardinality(p_days) > 8 * cardinality(p_users);
  v_eve date;
  v_last date;
  v_weeks date[];
  v_months date[];
  v_quarters date[];
  v_years date[];
begin
  if v_by_calendar then
    -- Day by day after the eve of the first: an array is read in a tenth of the time of date_trunc.
    select min((f.occurred_at at time zone 'UTC')::date) - 1, max((l.occurred_at at time zone 'UTC')::date) into v_eve, v_last
    from unnest(p_users) as u (id)
    cross join lateral (
      select a.occurred_at from public.activities a
      where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed'
      order by a.occurred_at limit 1) f
    cross join lateral (
      select a.occurred_at from public.activities a
      where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed'
      order by a.occurred_at desc limit 1) l;
    select array_agg(date_trunc('week', d.day)::date order by d.day), array_agg(date_trunc('month', d.day)::date order by d.day),
        array_agg(date_trunc('quarter', d.day)::date order by d.day), array_agg(date_trunc('year', d.day)::date order by d.day)
      into v_weeks, v_months, v_quarters, v_years
    from generate_series(v_eve + interval '1 day', v_last::timestamp, interval '1 day') as d (day);
  end if;

  -- Person by person, so that each person's activities are read once and what is made of them stays small.
  return query
  with bufdir_rule as materialized (
    select r.*, lead(r.effective_from, 1, 'infinity') over (order by r.effective_from) as until
    from public.bufdir_rules r
    where r.organization_id = p_organization_id
  ), person as (
    select u.id, null::date[] as days from unnest(p_users) as u (id) where v_all
    union all
    select u.id, m.days
    from unnest(p_users) as u (id)
    left join (
      select m.user_id, array_agg(distinct m.day) as days from unnest(p_user_ids, p_days) as m (user_id, day) group by m.user_id
    ) m on m.user_id = u.id
    where not v_all
  )
  select p.id, x.period_type, nullif(x.first_day, '-infinity')::timestamp at time zone 'UTC',
    nullif(x.next_day, 'infinity')::timestamp at time zone 'UTC', coalesce(x.activities, 0)::integer, coalesce(x.minutes, 0)::integer,
    coalesce(x.contacts, 0)::integer, coalesce(x.breakdown, '{}'), coalesce(x.home_visits, 0)::integer,
    coalesce(x.phone_calls, 0)::integer, coalesce(x.groups, 0)::integer, coalesce(x.proxies, 0)::integer, x.last_at,
    coalesce(x.streak, 0), coalesce(x.eligible, 0)::integer
  from person p
  cross join lateral (
    with activity as materialized (
      select a.occurred_at, (a.occurred_at at time zone 'UTC')::date as day, a.activity_type_id, a.duration_minutes, a.approval,
        a.proxy_registered_by, array(
          select ac.contact_id from public.activity_contacts ac
          where ac.organization_id = p_organization_id and ac.activity_id = a.id) as contacts
      from public.activities a
      where a.organization_id = p_organization_id and a.user_id = p.id and a.status = 'completed'
      offset 0
    ), by_day as materialized (
      select a.day, a.day - v_eve as n, a.activity_type_id, count(*)::integer as activities,
        sum(a.duration_minutes)::integer as minutes, max(a.occurred_at) as last_at, count(a.proxy_registered_by)::integer as proxies,
        (count(*) filter (where a.duration_minutes >= r.min_duration_minutes
          and (not r.requires_approval or a.approval = 'approved')
          and (not r.requires_contact or a.contacts <> '{}')))::integer as eligible
      from activity a
      left join bufdir_rule r on a.day >= r.effective_from and a.day < r.until
      group by a.day, a.activity_type_id
    ), contact as materialized (
      select a.day, a.day - v_eve as n, unnest(a.contacts) as id from activity a where a.contacts <> '{}'
    ), active as materialized (
      select d.day, d.day - (row_number() over (order by d.day))::integer as run from (select distinct b.day from by_day b) d
    ), streak as materialized (
      select a.day, (row_number() over (partition by a.run order by a.day))::integer as days from active a
    ), latest as materialized (
      select max(a.day) as day from active a having max(a.day) >= v_today - 1
    ), dirty as (
      select d.day from unnest(p.days) as d (day)
      union
      -- A day that gained its first activity or lost its last changes the streaks of the days that follow without a gap.
      select f.day
      from (
        select n.run, min(n.day) as since
        from unnest(p.days) as d (day)
        join active n on n.day = d.day + 1
        where exists (select from active a where a.day = d.day) <> exists (
          select from public.activity_statistics s
          where (s.organization_id = p_organization_id) is true and s.user_id = p.id and s.period_type = 'day'
            and s.period_start = d.day::timestamp at time zone 'UTC')
        group by n.run) t
      join active f on f.run = t.run and f.day >= t.since
    ), bucket as materialized (
      select distinct b.period_type, b.first_day, (b.first_day + b.length)::date as next_day
      from dirty d
      cross join lateral (values
        ('day'::public.statistics_period, d.day, interval '1 day'), ('week', date_trunc('week', d.day::timestamp)::date, interval '7 days'),
        ('month', date_trunc('month', d.day::timestamp)::date, interval '1 month'),
        ('quarter', date_trunc('quarter', d.day::timestamp)::date, interval '3 months'),
        ('year', date_trunc('year', d.day::timestamp)::date, interval '1 year')) as b (period_type, first_day, length)
      union all
      select 'all_time', '-infinity', 'infinity'
    ), by_type as (
      select m.period_type, m.first_day, m.activity_type_id, sum(m.activities)::integer as activities, sum(m.minutes) as minutes,
        max(m.last_at) as last_at, sum(m.proxies) as proxies, sum(m.eligible) as eligible
      from (
        select c.period_type, c.first_day, b.*
        from by_day b
        cross join lateral (values
          ('day'::public.statistics_period, b.day), ('week', v_weeks[b.n]), ('month', v_months[b.n]), ('quarter', v_quarters[b.n]),
          ('year', v_years[b.n]), ('all_time', '-infinity')) as c (period_type, first_day)
        where v_by_calendar and (v_all or (c.period_type, c.first_day) in (select k.period_type, k.first_day from bucket k))
        union all
        select k.period_type, k.first_day, b.*
        from bucket k
        join by_day b on b.day >= k.first_day and b.day < k.next_day
        where not v_by_calendar) m
      group by m.period_type, m.first_day, m.activity_type_id
    ), figure as materialized (
      select t.period_type, t.first_day, sum(t.activities) as activities, sum(t.minutes) as minutes,
        jsonb_object_agg(t.activity_type_id, t.activities) as breakdown,
        sum(t.activities) filter (where t.activity_type_id = 'home-visit') as home_visits,
        sum(t.activities) filter (where t.activity_type_id = 'phone-call') as phone_calls,
        sum(t.activities) filter (where at.category = 'group') as groups,
        sum(t.proxies) as proxies, max(t.last_at) as last_at, sum(t.eligible) as eligible
      from by_type t
      left join public.activity_types at on at.organization_id = p_organization_id and at.id = t.activity_type_id
      group by t.period_type, t.first_day
    ), met as (
      select m.period_type, m.first_day, count(*) as contacts
      from (
        select distinct c.period_type, c.first_day, o.id
        from contact o
        cross join lateral (values
          ('day'::public.statistics_period, o.day), ('week', v_weeks[o.n]), ('month', v_months[o.n]), ('quarter', v_quarters[o.n]),
          ('year', v_years[o.n]), ('all_time', '-infinity')) as c (period_type, first_day)
        where v_by_calendar and (v_all or (c.period_type, c.first_day) in (select k.period_type, k.first_day from bucket k))
        union all
        select distinct k.period_type, k.first_day, o.id
        from bucket k
        join contact o on o.day >= k.first_day and o.day < k.next_day
        where not v_by_calendar) m
      group by m.period_type, m.first_day
    ), wanted as (
      select k.period_type, k.first_day, k.next_day from bucket k where not v_all
      union all
      select f.period_type, f.first_day, case f.period_type
        when 'day' then f.first_day + 1
        when 'week' then f.first_day + 7
        else (f.first_day + case f.period_type when 'month' then interval '1 month' when 'quarter' then interval '3 months'
          when 'year' then interval '1 year' end)::date
      end
      from figure f where v_all and f.period_type <> 'all_time'
      union all
      select 'all_time', '-infinity', 'infinity' where v_all
    )
    -- A row's streak is that of its last day; while it is open, that of the last active day if that is today or yesterday.
    select w.period_type, w.first_day, w.next_day, f.activities, f.minutes, f.breakdown, f.home_visits, f.phone_calls, f.groups,
      f.proxies, f.last_at, f.eligible, m.contacts, s.days as streak
    from wanted w
    left join figure f on f.period_type = w.period_type and f.first_day = w.first_day
    left join met m on m.period_type = w.period_type and m.first_day = w.first_day
    left join streak s on s.day = case when w.next_day <= v_today then w.next_day - 1 else (select l.day from latest l) end
    -- In the order of the index that vouches for one row a period: a fifth of what writing them costs.
    order by w.period_type, w.first_day
  ) x;
end;
$$;
comment on function private.figures_of_people(uuid, uuid[], uuid[], date[], timestamptz) is
  'Everything the statistics say, from the activities as they stand, as of p_now: of the people p_users every row there should be, or, given days (two arrays of equal length, p_user_ids and p_days), the buckets that contain one of them or whose streak follows from them, emptied ones with zero activities, and all_time.';
revoke all on function private.figures_of_people(uuid, uuid[], uuid[], date[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.figures_of_people(uuid, uuid[], uuid[], date[], timestamptz) to service_role;

create function private.write_figures(
  p_organization_id uuid, p_whole_users uuid[], p_users uuid[], p_user_ids uuid[], p_days date[], p_now timestamptz, p_touch boolean)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
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

create or replace function private.recompute_statistics(
  p_organization_id uuid, p_user_ids uuid[], p_days date[], p_now timestamptz, p_touch boolean default true)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_users uuid[];
  v_whole_users uuid[];
  v_day_users uuid[];
  v_marked_users uuid[];
  v_marked_days date[];
begin
  perform set_config('attend.statistics_writer', 'drain', true);
  -- Rules and categories change before this or after it, never meanwhile.
  perform pg_advisory_xact_lock_shared(hashtextextended('attend.statistics ' || p_organization_id::text, 0));
  -- People first, then rows, in the order in which an erasure takes them. Who is gone drops out here.
  select array_agg(l.id) into v_users
  from (
    select u.id from public.users u
    where u.organization_id = p_organization_id and u.id = any (p_user_ids)
    order by u.id
    for key share
  ) l;
  -- Their all_time rows are the locks: taken in order, and before the snapshot of everything that follows, so that of two
  -- drains of one person the later sees what the earlier wrote.
  select array_agg(l.user_id) into v_users
  from (
    select s.user_id
    from public.activity_statistics s
    where s.organization_id = p_organization_id and s.period_type = 'all_time' and s.user_id = any (v_users)
    order by s.user_id
    for no key update
  ) l;
  if v_users is null then
    return;
  end if;

  select array_agg(distinct m.user_id) into v_whole_users
  from unnest(p_user_ids, p_days) as m (user_id, day) where m.day is null and m.user_id = any (v_users);
  select array_agg(distinct m.user_id), array_agg(m.user_id), array_agg(m.day) into v_day_users, v_marked_users, v_marked_days
  from unnest(p_user_ids, p_days) as m (user_id, day)
  where m.user_id = any (v_users) and m.user_id <> all (coalesce(v_whole_users, '{}'));
  return query
  select w.user_id, w.rows_changed
  from private.write_figures(p_organization_id, v_whole_users, v_day_users, v_marked_users, v_marked_days, p_now, p_touch) w;
end;
$$;
comment on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) is
  'Recomputes every bucket of the given people and UTC days (two arrays of equal length; a null day: all days) from their activities, streaks included, as of p_now. With p_touch false, rows already right keep their computed_at. Returns how many rows of whom it wrote or removed.';
revoke all on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) to service_role;

create or replace function private.mark_statistics_of_activities() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  -- As private.mark_statistics does, without its arrays: this is what every writer pays.
  v_rings boolean := coalesce(current_setting('attend.statistics_bell', true), '') <> 'requested';
begin
  -- Both sides of a move. Each branch names only the transition tables its event has.
  if tg_op = 'INSERT' then
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, v_rings and row_number() over () = 1
    from (select distinct n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed') c;
  elsif tg_op = 'DELETE' then
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, v_rings and row_number() over () = 1
    from (select distinct o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date as day
          from old_rows o where o.status = 'completed') c;
  else
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, v_rings and row_number() over () = 1
    from (select n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed'
          union
          select o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date
          from old_rows o where o.status = 'completed') c;
  end if;
  if found and v_rings then
    perform set_config('attend.statistics_bell', 'requested', true);
  end if;
  return null;
end;
$$;
-- Definer because whoever writes activities, or deletes what they hang on, may not see marks.
comment on function private.mark_statistics_of_activities() is 'Trigger: marks the days of completed activities that a statement made, changed or removed.';
revoke all on function private.mark_statistics_of_activities() from public, anon, authenticated, service_role;
