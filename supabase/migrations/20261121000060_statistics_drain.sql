-- Drains read the contacts of all their people in one walk through the index; a single change is marked without windows and hashes.
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
  -- In shares of so many activities, so that memory does not follow from how many people have how long a history.
  for v_share in
    select array_agg(c.id)
    from (
      select u.id, n.activities, sum(n.activities) over (order by u.id) as until
      from unnest(p_users) as u (id)
      cross join lateral (
        select count(*) as activities from public.activities a
        where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed') n) c
    group by div(c.until - c.activities, 50000)
  loop
    return query
    with activity as materialized (
      select u.id as user_id, l.id, l.day
      from unnest(v_share) as u (id)
      cross join lateral (
        select a.id, (a.occurred_at at time zone 'UTC')::date as day
        from public.activities a
        where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed'
        offset 0) l
    )
    -- One pass through the index in its order, whatever the number of activities. No full join is planned as a loop within a
    -- loop, also not where statistics know nothing of a history that has just been imported.
    select m.user_id, array_agg(m.activity_id), array_agg(m.day), array_agg(m.contact_id)
    from (
      select a.user_id, a.day, c.activity_id, c.contact_id
      from activity a
      full join (
        select ac.activity_id, ac.contact_id
        from public.activity_contacts ac
        where ac.organization_id = p_organization_id and ac.activity_id = any (array(select w.id from activity w))
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

create or replace function private.mark_statistics_of_activities() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- This is what every writer pays, so there are no arrays and no numbering: the first mark takes the bell, and a setting tells
  -- the others that it is taken. The setting is local, so a rollback to a savepoint that takes the mark takes it too.
  -- In the order of the key, which a sort finds as fast as a hash: what follows in the index lies together.
  -- Both sides of a move. Each branch names only the transition tables its event has.
  if tg_op = 'INSERT' then
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, case when current_setting('attend.statistics_bell', true) = 'requested' then false
      else set_config('attend.statistics_bell', 'requested', true) = 'requested' end
    from (select distinct n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed'
          order by user_id, day, organization_id) c;
  elsif tg_op = 'DELETE' then
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, case when current_setting('attend.statistics_bell', true) = 'requested' then false
      else set_config('attend.statistics_bell', 'requested', true) = 'requested' end
    from (select distinct o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date as day
          from old_rows o where o.status = 'completed'
          order by user_id, day, organization_id) c;
  else
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, case when current_setting('attend.statistics_bell', true) = 'requested' then false
      else set_config('attend.statistics_bell', 'requested', true) = 'requested' end
    from (select n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed'
          union
          select o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date
          from old_rows o where o.status = 'completed'
          order by user_id, day, organization_id) c;
  end if;
  return null;
end;
$$;
-- Definer because whoever writes activities, or deletes what they hang on, may not see marks.
comment on function private.mark_statistics_of_activities() is 'Trigger: marks the days of completed activities that a statement made, changed or removed.';
revoke all on function private.mark_statistics_of_activities() from public, anon, authenticated, service_role;

create or replace function private.mark_scenarios() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
begin
  if tg_op = 'INSERT' then
    -- As private.mark_people does, without its arrays: this is what every writer of an activity pays. The first mark takes the
    -- bell, and a setting tells the others that it is taken (private.mark_statistics_of_activities).
    insert into private.scenario_marks (organization_id, user_id, rings)
    select c.organization_id, c.user_id, case when current_setting('attend.scenario_bell', true) = 'requested' then false
      else set_config('attend.scenario_bell', 'requested', true) = 'requested' end
    from (select distinct n.organization_id, n.user_id from new_rows n order by user_id, organization_id) c;
    return null;
  elsif tg_op = 'DELETE' then
    select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
    from (select distinct o.organization_id, o.user_id from old_rows o) c;
  else
    select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
    from (select n.organization_id, n.user_id from new_rows n union select o.organization_id, o.user_id from old_rows o) c;
  end if;
  perform private.mark_people(v_organization_ids, v_user_ids);
  return null;
end;
$$;
-- Definer because whoever changes an activity, certificate or preference may not see marks.
comment on function private.mark_scenarios() is
  'Trigger: whoever''s figures (private.statistics_marks), certificates or preferences changed is to be evaluated.';
revoke all on function private.mark_scenarios() from public, anon, authenticated, service_role;
