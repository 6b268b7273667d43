create function private.keep_certificate_history() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into private.certificate_history (
    organization_id, certificate_id, user_id, name, expires_at, revoked_at, replaced_by, created_at)
  select old.organization_id, old.id, old.user_id, old.name, old.expires_at, old.revoked_at, old.replaced_by, old.created_at
  -- A person being erased takes the history along.
  where exists (select from public.users u where u.organization_id = old.organization_id and u.id = old.user_id);
  return null;
end;
$$;
-- Definer because staff change certificates and may not write history.
comment on function private.keep_certificate_history() is 'Trigger on public.certificates: keeps a certificate as it stood until now.';
revoke all on function private.keep_certificate_history() from public, anon, authenticated, service_role;
