create function private.recompute_buckets(
  p_organization_id uuid, p_users uuid[], p_dirty_users uuid[], p_dirty_days date[], p_touch boolean)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  with bucket as materialized (
    select distinct d.user_id, t.period_type, b.period_start at time zone 'UTC' as period_start,
      (b.period_start + t.length) at time zone 'UTC' as period_end
    from unnest(p_dirty_users, p_dirty_days) as d (user_id, day)
    cross join (values
      ('day'::public.statistics_period, interval '1 day'), ('week', interval '7 days'), ('month', interval '1 month'),
      ('quarter', interval '3 months'), ('year', interval '1 year')) as t (period_type, length)
    cross join lateral (select date_trunc(t.period_type::text, d.day::timestamp) as period_start) b
    union all
    select u.id, 'all_time', null, null from unnest(p_users) as u (id)
  ), bufdir_rule as materialized (
    select r.*, r.effective_from::timestamp at time zone 'UTC' as from_at,
      lead(r.effective_from::timestamp at time zone 'UTC', 1, 'infinity') over (order by r.effective_from) as until_at
    from public.bufdir_rules r
    where r.organization_id = p_organization_id
  ), computed as materialized (
    select b.user_id, b.period_type, b.period_start, b.period_end, f.*, c.unique_contacts_reached
    from bucket b
    cross join lateral (
      select coalesce(sum(t.activities), 0)::integer as total_activities, coalesce(sum(t.minutes), 0)::integer as total_duration_minutes,
        coalesce(jsonb_object_agg(t.activity_type_id, t.activities) filter (where t.activity_type_id is not null), '{}')
          as activity_type_breakdown,
        coalesce(sum(t.activities) filter (where t.activity_type_id = 'home-visit'), 0)::integer as home_visit_count,
        coalesce(sum(t.activities) filter (where t.activity_type_id = 'phone-call'), 0)::integer as phone_call_count,
        coalesce(sum(t.activities) filter (where at.category = 'group'), 0)::integer as group_activity_count,
        coalesce(sum(t.proxies), 0)::integer as proxy_activity_count, max(t.last_at) as last_activity_date,
        coalesce(sum(t.eligible), 0)::integer as bufdir_eligible_count
      from (
        select a.activity_type_id, count(*) as activities, sum(a.duration_minutes) as minutes,
          max(a.occurred_at) as last_at, count(a.proxy_registered_by) as proxies,
          count(*) filter (where a.duration_minutes >= r.min_duration_minutes
            and (not r.requires_approval or a.approval = 'approved')
            and (not r.requires_contact or exists (
              select from public.activity_contacts ac where ac.organization_id = p_organization_id and ac.activity_id = a.id))
          ) as eligible
        from public.activities a
        left join bufdir_rule r on a.occurred_at >= r.from_at and a.occurred_at < r.until_at
        where a.organization_id = p_organization_id and a.user_id = b.user_id and a.status = 'completed'
          and a.occurred_at >= coalesce(b.period_start, '-infinity') and a.occurred_at < coalesce(b.period_end, 'infinity')
        group by a.activity_type_id
      ) t
      left join public.activity_types at on at.organization_id = p_organization_id and at.id = t.activity_type_id
    ) f
    cross join lateral (
      select count(distinct ac.contact_id)::integer as unique_contacts_reached
      from public.activities a
      join public.activity_contacts ac on ac.organization_id = p_organization_id and ac.activity_id = a.id
      where a.organization_id = p_organization_id and a.user_id = b.user_id and a.status = 'completed'
        and a.occurred_at >= coalesce(b.period_start, '-infinity') and a.occurred_at < coalesce(b.period_end, 'infinity')
    ) c
  ), removed as (
    delete from public.activity_statistics s
    using computed c
    -- "is true" leaves only the indexes led by the person: the organisation's would be read whole while the table is young.
    where (s.organization_id = p_organization_id) is true and s.user_id = c.user_id and s.period_type = c.period_type
      and s.period_start = c.period_start and c.total_activities = 0
    returning s.user_id
  ), written as (
    insert into public.activity_statistics as s (
      organization_id, user_id, period_type, period_start, period_end, total_activities, total_duration_minutes,
      unique_contacts_reached, activity_type_breakdown, home_visit_count, phone_call_count, group_activity_count,
      proxy_activity_count, last_activity_date, bufdir_eligible_count, computed_at, updated_at)
    select p_organization_id, c.user_id, c.period_type, c.period_start, c.period_end, c.total_activities, c.total_duration_minutes,
      c.unique_contacts_reached, c.activity_type_breakdown, c.home_visit_count, c.phone_call_count, c.group_activity_count,
      c.proxy_activity_count, c.last_activity_date, c.bufdir_eligible_count, now(), now()
    from computed c
    where c.total_activities > 0 or c.period_type = 'all_time'
    on conflict on constraint one_row_per_user_period do update set
      total_activities = excluded.total_activities, total_duration_minutes = excluded.total_duration_minutes,
      unique_contacts_reached = excluded.unique_contacts_reached, activity_type_breakdown = excluded.activity_type_breakdown,
      home_visit_count = excluded.home_visit_count, phone_call_count = excluded.phone_call_count,
      group_activity_count = excluded.group_activity_count, proxy_activity_count = excluded.proxy_activity_count,
      last_activity_date = excluded.last_activity_date, bufdir_eligible_count = excluded.bufdir_eligible_count,
      computed_at = excluded.computed_at, updated_at = excluded.computed_at
    where p_touch
      or (s.total_activities, s.total_duration_minutes, s.unique_contacts_reached, s.activity_type_breakdown, s.home_visit_count,
          s.phone_call_count, s.group_activity_count, s.proxy_activity_count, s.last_activity_date, s.bufdir_eligible_count)
        is distinct from
         (excluded.total_activities, excluded.total_duration_minutes, excluded.unique_contacts_reached,
          excluded.activity_type_breakdown, excluded.home_visit_count, excluded.phone_call_count, excluded.group_activity_count,
          excluded.proxy_activity_count, excluded.last_activity_date, excluded.bufdir_eligible_count)
    returning s.user_id
  )
  select x.user_id, count(*)
  from (select w.user_id from written w union all select r.user_id from removed r) x
  group by x.user_id;
end;
$$;
comment on function private.recompute_buckets(uuid, uuid[], uuid[], date[], boolean) is
  'Every bucket that contains one of the dirty days, and everybody''s all_time, anew from the activities; emptied ones go. Returns how many rows of whom it wrote or removed. Streaks are not its business. For private.recompute_statistics, which holds the locks.';
revoke all on function private.recompute_buckets(uuid, uuid[], uuid[], date[], boolean) from public, anon, authenticated, service_role;
grant execute on function private.recompute_buckets(uuid, uuid[], uuid[], date[], boolean) to service_role;
