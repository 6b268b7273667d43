create function private.activity_figures(p_organization_id uuid, p_user_id uuid, p_from timestamptz, p_to timestamptz)
returns table (
  total_activities integer, total_duration_minutes integer, unique_contacts_reached integer, activity_type_breakdown jsonb,
  home_visit_count integer, phone_call_count integer, group_activity_count integer, proxy_activity_count integer,
  last_activity_date timestamptz, bufdir_eligible_count integer)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  with activity as (
    select a.activity_type_id, a.id, a.occurred_at, a.duration_minutes, a.proxy_registered_by, a.approval
    from public.activities a
    where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status = 'completed'
      and a.occurred_at >= coalesce(p_from, '-infinity') and a.occurred_at < coalesce(p_to, 'infinity')
  ), per_type as (
    select a.activity_type_id, count(*) as activities, sum(a.duration_minutes) as minutes, max(a.occurred_at) as last_at,
      count(a.proxy_registered_by) as proxies,
      count(*) filter (where a.duration_minutes >= r.min_duration_minutes
        and (not r.requires_approval or a.approval = 'approved')
        and (not r.requires_contact or exists (
          select from public.activity_contacts ac where ac.organization_id = p_organization_id and ac.activity_id = a.id))
      ) as eligible
    from activity a
    left join lateral (
      select b.min_duration_minutes, b.requires_contact, b.requires_approval
      from public.bufdir_rules b
      where b.organization_id = p_organization_id and b.effective_from <= (a.occurred_at at time zone 'UTC')::date
      order by b.effective_from desc
      limit 1
    ) r on true
    group by a.activity_type_id
  )
  select coalesce(sum(t.activities), 0)::integer, coalesce(sum(t.minutes), 0)::integer,
    (select count(distinct ac.contact_id)::integer
     from activity a
     join public.activity_contacts ac on ac.organization_id = p_organization_id and ac.activity_id = a.id),
    coalesce(jsonb_object_agg(t.activity_type_id, t.activities) filter (where t.activity_type_id is not null), '{}'),
    coalesce(sum(t.activities) filter (where t.activity_type_id = 'home-visit'), 0)::integer,
    coalesce(sum(t.activities) filter (where t.activity_type_id = 'phone-call'), 0)::integer,
    coalesce(sum(t.activities) filter (where at.category = 'group'), 0)::integer,
    coalesce(sum(t.proxies), 0)::integer, max(t.last_at), coalesce(sum(t.eligible), 0)::integer
  from per_type t
  left join public.activity_types at on at.organization_id = p_organization_id and at.id = t.activity_type_id;
end;
$$;
comment on function private.activity_figures(uuid, uuid, timestamptz, timestamptz) is
  'The figures of one person''s completed activities in [p_from, p_to), null: open. One row, zeros without any.';
revoke all on function private.activity_figures(uuid, uuid, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.activity_figures(uuid, uuid, timestamptz, timestamptz) to service_role;
