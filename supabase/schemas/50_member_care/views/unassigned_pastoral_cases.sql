create view public.unassigned_pastoral_cases with (security_invoker = true) as
select c.organization_id, c.id as case_id, c.person_id, p.full_name, p.family_id, c.status, c.priority, p.consecutive_absences, c.opened_at,
  case
    when p.family_id is null then 'no_family'
    when f.assigned_servant_id is null then 'no_servant'
    else 'servant_has_left'
  end as reason
from public.pastoral_cases c
join public.people p on p.organization_id = c.organization_id and p.id = c.person_id
left join public.families f on f.organization_id = p.organization_id and f.id = p.family_id
where c.assigned_servant_id is null and c.status in ('open', 'in_progress', 'returned');
comment on view public.unassigned_pastoral_cases is
  'Cases that nobody works, and why: for who may read every case, which is managers and admins. public.reassign_case takes one off the list, and so does the family''s next servant.';
revoke all on public.unassigned_pastoral_cases from public, anon, authenticated, service_role;
grant select on public.unassigned_pastoral_cases to authenticated;
