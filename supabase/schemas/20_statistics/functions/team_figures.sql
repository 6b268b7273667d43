create function private.team_figures(p_organization_id uuid, p_type public.statistics_period, p_day date, p_user_ids uuid[])
returns jsonb
language sql stable
set search_path = ''
as $$
  with bounds as (
    select private.period_start(p_type, p_day) as period_start, private.period_end(p_type, private.period_start(p_type, p_day)) as period_end
  ), person as (
    select s.*
    from bounds b
    join public.activity_statistics s on s.organization_id = p_organization_id and s.period_type = p_type
      and s.period_start is not distinct from b.period_start and s.total_activities > 0
      and (p_user_ids is null or s.user_id = any (p_user_ids))
  ), breakdown as (
    select jsonb_object_agg(k.type_id, k.n) as counts
    from (select e.key as type_id, sum(e.value::bigint) as n
          from person p cross join lateral jsonb_each_text(p.activity_type_breakdown) e group by e.key) k
  ), contact as (
    select count(distinct ac.contact_id) as distinct_contacts
    from bounds b
    join public.activities a on a.organization_id = p_organization_id and a.status = 'completed'
      and a.occurred_at >= coalesce(b.period_start, '-infinity') and a.occurred_at < coalesce(b.period_end, 'infinity')
      and (p_user_ids is null or a.user_id = any (p_user_ids))
    join public.activity_contacts ac on ac.organization_id = a.organization_id and ac.activity_id = a.id
  )
  select jsonb_build_object('organization_id', p_organization_id, 'period_type', p_type,
    'period_start', (select b.period_start from bounds b), 'period_end', (select b.period_end from bounds b),
    'active_people', count(*), 'total_activities', coalesce(sum(p.total_activities), 0),
    'total_duration_minutes', coalesce(sum(p.total_duration_minutes), 0),
    'sum_of_contacts', coalesce(sum(p.unique_contacts_reached), 0), 'distinct_contacts', (select c.distinct_contacts from contact c),
    'home_visit_count', coalesce(sum(p.home_visit_count), 0), 'phone_call_count', coalesce(sum(p.phone_call_count), 0),
    'group_activity_count', coalesce(sum(p.group_activity_count), 0),
    'proxy_activity_count', coalesce(sum(p.proxy_activity_count), 0),
    'proxy_share', round(sum(p.proxy_activity_count)::numeric / nullif(sum(p.total_activities), 0), 4),
    'bufdir_eligible_count', coalesce(sum(p.bufdir_eligible_count), 0),
    'activity_type_breakdown', coalesce((select b.counts from breakdown b), '{}'),
    'oldest_computed_at', min(p.computed_at),
    'is_being_recomputed', exists (
      select from private.statistics_marks m
      where m.organization_id = p_organization_id and (p_user_ids is null or m.user_id = any (p_user_ids))))
  from person p;
$$;
comment on function private.team_figures(uuid, public.statistics_period, date, uuid[]) is
  'Statistics of an organisation''s people (null: all) summed over the period that contains a UTC day. sum_of_contacts adds what each reached; distinct_contacts counts a contact shared by two once.';
revoke all on function private.team_figures(uuid, public.statistics_period, date, uuid[]) from public, anon, authenticated, service_role;
