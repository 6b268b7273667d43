create function private.export_contact(p_organization_id uuid, p_contact_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'contacts', (
      select jsonb_agg(to_jsonb(t) - 'organization_id') from public.contacts t where t.organization_id = p_organization_id and t.id = p_contact_id),
    'activity_contacts', (
      select jsonb_agg(jsonb_build_object('activity_id', t.activity_id, 'activity_type_id', a.activity_type_id, 'occurred_at', a.occurred_at,
        'duration_minutes', a.duration_minutes, 'status', a.status) order by a.occurred_at)
      from public.activity_contacts t
      join public.activities a on a.organization_id = t.organization_id and a.id = t.activity_id
      where t.organization_id = p_organization_id and t.contact_id = p_contact_id));
end;
$$;
comment on function private.export_contact(uuid, uuid) is
  'Everything held of a person of public.contacts, as {"section": [rows] or null}: when they were met, and not by whom.';
revoke all on function private.export_contact(uuid, uuid) from public, anon, authenticated, service_role;
