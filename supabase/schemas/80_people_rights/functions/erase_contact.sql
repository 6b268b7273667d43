create function private.erase_contact(p_organization_id uuid, p_contact_id uuid) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_nobody constant uuid := gen_random_uuid();
  v_name text;
  v_records jsonb;
begin
  select c.display_name into v_name from public.contacts c
  where c.organization_id = p_organization_id and c.id = p_contact_id for update;
  if not found then
    return null;
  end if;
  v_records := private.records_of(p_organization_id, 'contact', p_contact_id::text);
  -- They still count as one whom somebody reached; a new id, so that whoever is just writing the old one's name writes nothing.
  insert into public.contacts (organization_id, id) values (p_organization_id, v_nobody);
  update public.activity_contacts t set contact_id = v_nobody where t.organization_id = p_organization_id and t.contact_id = p_contact_id;
  delete from public.contacts c where c.organization_id = p_organization_id and c.id = p_contact_id;
  return private.erasure_counts(
    v_records, '{activity_contacts}', private.forget_names(p_organization_id, array_remove(array[v_name, p_contact_id::text], null)));
end;
$$;
comment on function private.erase_contact(uuid, uuid) is
  'Erases a person of public.contacts: that somebody was met stays, without a name and under a new id. Null: there is nobody. Returns {"erased", "kept", "mentions"}, rows by section.';
revoke all on function private.erase_contact(uuid, uuid) from public, anon, authenticated, service_role;
