create function private.document_of(p_organization_id uuid, p_kind text, p_person_id text) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_records constant jsonb := private.records_of(p_organization_id, p_kind, p_person_id);
begin
  if v_records is null then
    raise exception using errcode = 'PT404', message = 'unknown_person',
      detail = jsonb_build_object('organization_id', p_organization_id, 'kind', p_kind, 'person_id', p_person_id)::text;
  end if;
  return jsonb_build_object('kind', p_kind, 'person_id', p_person_id, 'exported_at', now(),
    'organization', (
      select jsonb_build_object('id', o.id, 'name', o.name, 'time_zone', o.time_zone)
      from public.organizations o where o.id = p_organization_id),
    -- What each table is for stands in the database, and nowhere a second time.
    'about', (
      select coalesce(jsonb_object_agg(c.relname, obj_description(c.oid, 'pg_class')), '{}')
      from pg_catalog.pg_class c
      where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'm')
        and v_records ? c.relname::text),
    'records', v_records);
end;
$$;
comment on function private.document_of(uuid, text, text) is
  'Everything held of a person, as one document: {kind, person_id, exported_at, organization, about: {"table": "what it is"}, records: {"section": [rows]}}. PT404 unknown_person, PT400 unknown_kind.';
revoke all on function private.document_of(uuid, text, text) from public, anon, authenticated, service_role;
