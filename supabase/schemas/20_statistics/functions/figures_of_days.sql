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
