create function public.export_person(p_organization_id uuid, p_kind text, p_person_id text) returns jsonb
language plpgsql stable security definer
set search_path = ''
set statement_timeout = '55s'
as $$
begin
  return private.document_of(p_organization_id, p_kind, p_person_id);
end;
$$;
-- Definer because it reads the login's address, which only the owner of the schema may; it is the service's alone to call.
comment on function public.export_person(uuid, text, text) is
  'For operators: everything held of a person of an organisation (kind: user, member, contact or student) as one document, without what is another person''s (private.document_of). PT404 unknown_person, PT400 unknown_kind.';
revoke all on function public.export_person(uuid, text, text) from public, anon, authenticated, service_role;
grant execute on function public.export_person(uuid, text, text) to service_role;
