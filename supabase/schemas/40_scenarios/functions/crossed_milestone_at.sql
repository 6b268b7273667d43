create function private.crossed_milestone_at(
  p_organization_id uuid, p_user_id uuid, p_metric text, p_period text, p_period_start timestamptz, p_threshold integer, p_at timestamptz)
returns timestamptz
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_from timestamptz := coalesce(p_period_start, '-infinity');
  v_to timestamptz := case when p_period = 'year' then ((p_period_start at time zone 'UTC') + interval '1 year') at time zone 'UTC' else 'infinity' end;
begin
  if p_metric = 'contacts' then
    return (
      select f.first_at
      from (
        select min(a.occurred_at) as first_at
        from public.activities a
        cross join lateral (
          select c.contact_id from public.activity_contacts c
          where c.organization_id = p_organization_id and c.activity_id = a.id
          offset 0
        ) ac
        where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status = 'completed'
          and a.occurred_at >= v_from and a.occurred_at < v_to and a.occurred_at <= p_at and a.recorded_at <= p_at
        group by ac.contact_id
      ) f
      order by f.first_at offset p_threshold - 1 limit 1);
  end if;
  return (
    select min(c.occurred_at)
    from (
      select a.occurred_at,
        case when p_metric = 'sessions' then count(*) over w else sum(a.duration_minutes) over w end as reached
      from public.activities a
      where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status = 'completed'
        and a.occurred_at >= v_from and a.occurred_at < v_to and a.occurred_at <= p_at and a.recorded_at <= p_at
      window w as (order by a.occurred_at, a.id rows unbounded preceding)
    ) c
    where c.reached >= p_threshold * case when p_metric = 'hours' then 60 else 1 end);
end;
$$;
comment on function private.crossed_milestone_at(uuid, uuid, text, text, timestamptz, integer, timestamptz) is
  'When the activity took place that reached a milestone, counted in the order in which activities took place; null if none has by p_at.';
revoke all on function private.crossed_milestone_at(uuid, uuid, text, text, timestamptz, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.crossed_milestone_at(uuid, uuid, text, text, timestamptz, integer, timestamptz) to service_role;
