create function private.servant_of(p_organization_id uuid, p_person_id uuid) returns uuid
language sql stable
set search_path = ''
as $$
  select u.id
  from public.people p
  join public.families f on f.organization_id = p.organization_id and f.id = p.family_id
  join public.users u on u.organization_id = f.organization_id and u.id = f.assigned_servant_id
  where p.organization_id = p_organization_id and p.id = p_person_id and u.is_active and u.role <> 'peer_mentor';
$$;
comment on function private.servant_of(uuid, uuid) is
  'The servant of a person''s family; null: no family, no servant, or one who has left.';
revoke all on function private.servant_of(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.servant_of(uuid, uuid) to service_role;
