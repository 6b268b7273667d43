create function private.people_to_tend(p_organization_id uuid) returns table (person_id uuid, is_certain boolean)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  -- Both sides are read off their indexes and hashed against each other, whatever the planner thinks of a table that the first
  -- night has just filled: a full join knows no other way.
  select k.person_id, bool_or(k.is_certain)
  from (
    select coalesce(r.id, l.person_id) as person_id,
      case
        when l.person_id is null then not exists (
          select from public.pastoral_cases c
          where c.organization_id = p_organization_id and c.person_id = r.id and c.status = 'closed')
        when l.status = 'returned' then false
        else r.id is null or (r.is_long_absent and l.priority = 'normal') end as is_certain,
      r.id is not null and l.status <> 'returned' and not (r.is_long_absent and l.priority = 'normal')
        and u.is_active and u.role <> 'peer_mentor' as is_well
    from (
      select p.id, p.is_long_absent from public.people p
      where p.organization_id = p_organization_id and p.at_risk_flag and p.status = 'active'
    ) r
    full join (
      select c.person_id, c.status, c.priority, c.assigned_servant_id from public.pastoral_cases c
      where c.organization_id = p_organization_id and c.status in ('open', 'in_progress', 'returned')
    ) l on l.person_id = r.id
    left join public.users u on u.organization_id = p_organization_id and u.id = l.assigned_servant_id
  ) k
  where k.is_well is not true
  group by k.person_id;
end;
$$;
comment on function private.people_to_tend(uuid) is
  'Whose cases may not be what they should be; everybody else''s are. Certain: there is a change, unless another makes it first. The others depend on their history or their family, and private.case_changes decides.';
revoke all on function private.people_to_tend(uuid) from public, anon, authenticated, service_role;
grant execute on function private.people_to_tend(uuid) to service_role;
