-- Single days are recomputed from sums between the bounds of their buckets, statistics are written without a plan for each row,
-- and contacts are read in larger shares.
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
  v_activities bigint;
  v_scans boolean;
begin
  -- In shares of so many activities: the more, the more of them find their contacts on one page of the index, if not in one
  -- pass over the table; but memory must not follow from how many people have how long a history.
  for v_share, v_activities in
    select array_agg(c.id), sum(c.activities)
    from (
      select u.id, n.activities, sum(n.activities) over (order by u.id) as until
      from unnest(p_users) as u (id)
      cross join lateral (
        select count(*) as activities from public.activities a
        where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed') n) c
    group by div(c.until - c.activities, 200000)
  loop
    -- Eighty activities cost in the index what a page of the table costs. Its size is asked of the file, because statistics
    -- may be from before an import.
    v_scans := pg_relation_size('public.activity_contacts') < 100 * v_activities;
    return query
    -- Read twice, for the array and for whose they are: kept, they would be most of the memory, and no faster.
    -- No full join is planned as a loop within a loop, also not where statistics know nothing of a history just imported.
    select m.user_id, array_agg(m.activity_id order by m.day), array_agg(m.day order by m.day), array_agg(m.contact_id order by m.day)
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
        where ac.organization_id = p_organization_id and (v_scans or ac.activity_id = any (array(
          select l.id
          from unnest(v_share) as u (id)
          cross join lateral (
            select a.id
            from public.activities a
            where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed'
            offset 0) l)))
        offset 0) c on c.activity_id = a.id
      offset 0) m
    where m.contact_id is not null and m.user_id is not null
    group by m.user_id;
  end loop;
end;
$$;
comment on function private.contacts_of_people(uuid, uuid[]) is
  'Who was met in the completed activities of these people: three arrays of equal length, one element a meeting, in the order of the days. Whoever met nobody is left out.';
revoke all on function private.contacts_of_people(uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.contacts_of_people(uuid, uuid[]) to service_role;

create or replace function private.figures_of_people(p_organization_id uuid, p_users uuid[], p_user_ids uuid[], p_days date[], p_now timestamptz)
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
  v_eve date;
  v_last date;
  v_weeks date[];
  v_months date[];
  v_quarters date[];
  v_years date[];
begin
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

  -- Person by person, so that each person's activities are read once and what is made of them stays small.
  return query
  with bufdir_rule as materialized (
    select r.*, lead(r.effective_from, 1, 'infinity') over (order by r.effective_from) as until
    from public.bufdir_rules r
    where r.organization_id = p_organization_id
  ), person as (
    select u.id, m.days, m.first_day, m.last_day, c.activity_ids, c.days as contact_days, c.contact_ids
    from unnest(p_users) as u (id)
    left join (
      select m.user_id, array_agg(distinct m.day) as days, min(m.day) as first_day, max(m.day) as last_day
      from unnest(p_user_ids, p_days) as m (user_id, day)
      group by m.user_id
    ) m on m.user_id = u.id
    left join private.contacts_of_people(p_organization_id, p_users) c on c.user_id = u.id
  )
  select p.id, x.period_type, nullif(x.first_day, '-infinity')::timestamp at time zone 'UTC',
    nullif(x.next_day, 'infinity')::timestamp at time zone 'UTC', coalesce(x.activities, 0)::integer, coalesce(x.minutes, 0)::integer,
    coalesce(x.contacts, 0)::integer, coalesce(x.breakdown, '{}'), coalesce(x.home_visits, 0)::integer,
    coalesce(x.phone_calls, 0)::integer, coalesce(x.groups, 0)::integer, coalesce(x.proxies, 0)::integer, x.last_at,
    coalesce(x.streak, 0), coalesce(x.eligible, 0)::integer
  from person p
  cross join lateral (
    with by_day as materialized (
      select a.day, a.day - v_eve as n, a.activity_type_id, count(*)::integer as activities,
        sum(a.duration_minutes)::integer as minutes, max(a.occurred_at) as last_at, count(a.proxy_registered_by)::integer as proxies,
        (count(*) filter (where a.duration_minutes >= r.min_duration_minutes
          and (not r.requires_approval or a.approval = 'approved')
          and (not r.requires_contact or a.id in (select m.id from unnest(p.activity_ids) as m (id)))))::integer as eligible
      from (
        select a.id, a.occurred_at, (a.occurred_at at time zone 'UTC')::date as day, a.activity_type_id, a.duration_minutes, a.approval,
          a.proxy_registered_by
        from public.activities a
        where a.organization_id = p_organization_id and a.user_id = p.id and a.status = 'completed'
        offset 0) a
      left join bufdir_rule r on a.day >= r.effective_from and a.day < r.until
      group by a.day, a.activity_type_id
    ), contact as materialized (
      select c.day, c.day - v_eve as n, c.id from unnest(p.contact_days, p.contact_ids) as c (day, id)
    ), active as materialized (
      -- Each with the first of the days that lead to it without a gap.
      select d.day, max(d.begins) over (order by d.day rows unbounded preceding) as since
      from (
        select n.day, case when lag(n.day) over (order by n.day) = n.day - 1 then null else n.day end as begins
        from (select distinct b.day from by_day b) n) d
    ), latest as materialized (
      select max(a.day) as day from active a having max(a.day) >= v_today - 1
    ), dirty as (
      select d.day from unnest(p.days) as d (day)
      union
      -- A day that gained its first activity or lost its last changes the streaks of the days that follow without a gap.
      select f.day
      from (
        select n.since, min(n.day) as day
        from (
          select d.day, a.since
          from unnest(p.days) as d (day)
          join active a on a.day = d.day + 1
          offset 0) n
        where exists (select from active a where a.day = n.day) <> (n.day in (
          select (s.period_start at time zone 'UTC')::date
          from public.activity_statistics s
          -- The bounds say more than the list: without them, all that the person has is read.
          where (s.organization_id = p_organization_id) is true and s.user_id = p.id and s.period_type = 'day'
            and s.period_start >= p.first_day::timestamp at time zone 'UTC'
            and s.period_start <= p.last_day::timestamp at time zone 'UTC'))
        group by n.since) c
      join active f on f.since = c.since and f.day > c.day
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
        where v_all or (c.period_type, c.first_day) in (select k.period_type, k.first_day from bucket k)) m
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
        where v_all or (c.period_type, c.first_day) in (select k.period_type, k.first_day from bucket k)) m
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
      f.proxies, f.last_at, f.eligible, m.contacts, s.day - s.since + 1 as streak
    from wanted w
    left join figure f on f.period_type = w.period_type and f.first_day = w.first_day
    left join met m on m.period_type = w.period_type and m.first_day = w.first_day
    left join active s on s.day = case when w.next_day <= v_today then w.next_day - 1 else (select l.day from latest l) end
    -- In the order of the index that vouches for one row a period: a fifth of what writing them costs.
    order by w.period_type, w.first_day
  ) x;
end;
$$;
comment on function private.figures_of_people(uuid, uuid[], uuid[], date[], timestamptz) is
  'Everything the statistics say, from the activities as they stand, as of p_now: of the people p_users every row there should be, or, given days (two arrays of equal length, p_user_ids and p_days), the buckets that contain one of them or whose streak follows from them, emptied ones with zero activities, and all_time.';
revoke all on function private.figures_of_people(uuid, uuid[], uuid[], date[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.figures_of_people(uuid, uuid[], uuid[], date[], timestamptz) to service_role;

create function private.figures_of_days(p_organization_id uuid, p_user_ids uuid[], p_days date[], p_now timestamptz)
returns table (
  user_id uuid, period_type public.statistics_period, period_start timestamptz, period_end timestamptz,
  total_activities integer, total_duration_minutes integer, unique_contacts_reached integer, activity_type_breakdown jsonb,
  home_visit_count integer, phone_call_count integer, group_activity_count integer, proxy_activity_count integer,
  last_activity_date timestamptz, streak_days integer, bufdir_eligible_count integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set work_mem = '32MB'
as $$
declare
  v_today date := (p_now at time zone 'UTC')::date;
  v_rules_since timestamptz[];
  v_min_minutes integer[];
  v_requires_contact boolean[];
  v_requires_approval boolean[];
begin
  -- In arrays an activity finds its rule by bisection; a join would compare it with each of them.
  select array_agg(r.effective_from::timestamp at time zone 'UTC' order by r.effective_from),
      array_agg(r.min_duration_minutes order by r.effective_from), array_agg(r.requires_contact order by r.effective_from),
      array_agg(r.requires_approval order by r.effective_from)
    into v_rules_since, v_min_minutes, v_requires_contact, v_requires_approval
  from public.bufdir_rules r
  where r.organization_id = p_organization_id;

  return query
  select p.user_id, x.period_type, nullif(x.first_day, '-infinity')::timestamp at time zone 'UTC',
    nullif(x.next_day, 'infinity')::timestamp at time zone 'UTC', coalesce(x.activities, 0)::integer, coalesce(x.minutes, 0)::integer,
    coalesce(x.contacts, 0)::integer, coalesce(x.breakdown, '{}'), coalesce(x.home_visits, 0)::integer,
    coalesce(x.phone_calls, 0)::integer, coalesce(x.groups, 0)::integer, coalesce(x.proxies, 0)::integer, x.last_at,
    case when r.firsts[x.run] <= x.last_day and x.last_day <= r.latest then x.last_day - r.firsts[x.run] + 1 else 0 end,
    coalesce(x.eligible, 0)::integer
  from (
    select m.user_id, array_agg(distinct m.day) as days
    from unnest(p_user_ids, p_days) as m (user_id, day)
    group by m.user_id
  ) p
  left join private.contacts_of_people(p_organization_id, (select array_agg(distinct u.id) from unnest(p_user_ids) as u (id))) c
    on c.user_id = p.user_id
  cross join lateral (
    -- Days without a gap are a run. Run n begins on firsts[n] and ends on lasts[n + 1], the latest of all on the latest day.
    select array_agg(d.earlier order by d.occurred_at) filter (where d.earlier < d.day - 1) as lasts,
      array_agg(d.day order by d.occurred_at) filter (where d.earlier < d.day - 1) as firsts, max(d.day) as latest
    from (
      select a.occurred_at, a.day, lag(a.day, 1, '-infinity') over (order by a.occurred_at) as earlier
      from (
        select a.occurred_at, (a.occurred_at at time zone 'UTC')::date as day
        from public.activities a
        where a.organization_id = p_organization_id and a.user_id = p.user_id and a.status = 'completed') a) d
  ) r
  cross join lateral (
    with bucket as materialized (
      select distinct b.period_type, b.first_day, (b.first_day + b.length)::date as next_day
      from (
        -- A day that gained its first activity or lost its last changes the streaks of the days that follow without a gap.
        select d.day + generate_series(0, case
          when r.firsts[d.run] <= d.day + 1 and d.day < r.latest and (r.firsts[d.run] <= d.day) <> (
            select count(*) > 0
            from public.activity_statistics s
            where (s.organization_id = p_organization_id) is true and s.user_id = p.user_id and s.period_type = 'day'
              and s.period_start = d.day::timestamp at time zone 'UTC')
          then coalesce(r.lasts[d.run + 1], r.latest) - d.day
          else 0 end) as day
        -- The run that the next day is in, if any.
        from (select d.day, width_bucket(d.day, r.lasts) as run from unnest(p.days) as d (day) offset 0) d
      ) d
      cross join lateral (values
        ('day'::public.statistics_period, d.day, interval '1 day'), ('week', date_trunc('week', d.day::timestamp)::date, interval '7 days'),
        ('month', date_trunc('month', d.day::timestamp)::date, interval '1 month'),
        ('quarter', date_trunc('quarter', d.day::timestamp)::date, interval '3 months'),
        ('year', date_trunc('year', d.day::timestamp)::date, interval '1 year')) as b (period_type, first_day, length)
      union all
      select 'all_time', '-infinity', 'infinity'
    ), bound as materialized (
      select array_agg(distinct b.at) as days, array_agg(distinct b.at::timestamp at time zone 'UTC') as times
      from (select k.first_day as at from bucket k union all select k.next_day from bucket k) b
    ), segment as materialized (
      -- Between two bounds all activities belong to the same buckets: of a history of years a handful of sums is left.
      select width_bucket(a.occurred_at, (select b.times from bound b)) as n, a.activity_type_id, count(*) as activities,
        sum(a.duration_minutes) as minutes, max(a.occurred_at) as last_at, count(a.proxy_registered_by) as proxies,
        count(*) filter (where a.duration_minutes >= v_min_minutes[a.rule]
          and (not v_requires_approval[a.rule] or a.approval = 'approved')
          and (not v_requires_contact[a.rule] or a.id in (select m.id from unnest(c.activity_ids) as m (id)))) as eligible
      from (
        select a.id, a.occurred_at, a.activity_type_id, a.duration_minutes, a.approval, a.proxy_registered_by,
          width_bucket(a.occurred_at, v_rules_since) as rule
        from public.activities a
        where a.organization_id = p_organization_id and a.user_id = p.user_id and a.status = 'completed'
        offset 0) a
      group by 1, 2
    )
    select k.period_type, k.first_day, k.next_day, k.last_day, width_bucket(k.last_day - 1, r.lasts) as run, f.*,
      (select count(distinct m.id)
       from unnest(c.contact_ids[width_bucket(k.first_day - 1, c.days) + 1:width_bucket(k.next_day - 1, c.days)]) as m (id)) as contacts
    from (
      -- A row's streak is that of its last day; while it is open, that of the last active day if that is today or yesterday.
      select k.*, width_bucket(k.first_day, b.days) as since, width_bucket(k.next_day, b.days) as until,
        case when k.next_day <= v_today then k.next_day - 1 when r.latest >= v_today - 1 then r.latest end as last_day
      from bucket k
      cross join bound b
      offset 0) k
    left join lateral (
      select sum(t.activities) as activities, sum(t.minutes) as minutes, jsonb_object_agg(t.activity_type_id, t.activities) as breakdown,
        sum(t.activities) filter (where t.activity_type_id = 'home-visit') as home_visits,
        sum(t.activities) filter (where t.activity_type_id = 'phone-call') as phone_calls,
        sum(t.activities) filter (where at.category = 'group') as groups,
        sum(t.proxies) as proxies, max(t.last_at) as last_at, sum(t.eligible) as eligible
      from (
        select s.activity_type_id, sum(s.activities) as activities, sum(s.minutes) as minutes, max(s.last_at) as last_at,
          sum(s.proxies) as proxies, sum(s.eligible) as eligible
        from segment s
        where s.n >= k.since and s.n < k.until
        group by s.activity_type_id) t
      left join public.activity_types at on at.organization_id = p_organization_id and at.id = t.activity_type_id
    ) f on true
    -- In the order of the index that vouches for one row a period: a fifth of what writing them costs.
    order by k.period_type, k.first_day
  ) x;
end;
$$;
comment on function private.figures_of_days(uuid, uuid[], date[], timestamptz) is
  'What private.figures_of_people says of the same people''s days (two arrays of equal length), made for few days a person: sums between the bounds of the buckets instead of sums by day.';
revoke all on function private.figures_of_days(uuid, uuid[], date[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.figures_of_days(uuid, uuid[], date[], timestamptz) to service_role;

drop function private.write_figures(uuid, uuid[], uuid[], uuid[], date[], timestamptz, boolean);

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
  v_marked_users uuid[];
  v_marked_days date[];
begin
  perform set_config('attend.statistics_writer', 'drain', true);
  -- Rules and categories change before this or after it, never meanwhile.
  perform pg_advisory_xact_lock_shared(hashtextextended('attend.statistics ' || p_organization_id::text, 0));
  -- People first, then rows, in the order in which an erasure takes them. Who is gone drops out here. An erasure takes
  -- several people in whatever order they lie, so that whoever waits for it must hold none of them.
  loop
    begin
      select array_agg(l.id) into v_users
      from (
        select u.id from public.users u
        where u.organization_id = p_organization_id and u.id = any (p_user_ids)
        order by u.id
        for key share nowait
      ) l;
      exit;
    exception when lock_not_available then
      perform pg_sleep(0.01);
    end;
  end loop;
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
  select array_agg(m.user_id), array_agg(m.day) into v_marked_users, v_marked_days
  from unnest(p_user_ids, p_days) as m (user_id, day)
  where m.user_id = any (v_users) and m.user_id <> all (coalesce(v_whole_users, '{}'));
  return query
  select w.user_id, w.rows_changed
  from private.write_figures(p_organization_id, v_whole_users, v_marked_users, v_marked_days, p_now, p_touch) w;
end;
$$;
comment on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) is
  'Recomputes every bucket of the given people and UTC days (two arrays of equal length; a null day: all days) from their activities, streaks included, as of p_now. With p_touch false, rows already right keep their computed_at. Returns how many rows of whom it wrote or removed.';
revoke all on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) to service_role;
