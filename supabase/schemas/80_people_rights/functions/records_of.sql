create function private.records_of(p_organization_id uuid, p_kind text, p_person_id text) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_records jsonb;
begin
  if p_kind is null or p_kind <> all (private.person_kinds()) then
    raise exception using errcode = 'PT400', message = 'unknown_kind',
      detail = jsonb_build_object('kind', p_kind, 'allowed', private.person_kinds())::text;
  end if;
  if pg_input_is_valid(p_person_id, case p_kind when 'student' then 'integer' else 'uuid' end) then
    v_records := case p_kind
      when 'user' then private.export_user(p_organization_id, p_person_id::uuid)
      when 'member' then private.export_member(p_organization_id, p_person_id::uuid)
      when 'contact' then private.export_contact(p_organization_id, p_person_id::uuid)
      when 'student' then private.export_student(p_organization_id, p_person_id::integer) end;
  end if;
  return (select jsonb_object_agg(s.key, s.value) from jsonb_each(v_records) s where s.value <> 'null');
end;
$$;
comment on function private.records_of(uuid, text, text) is
  'Everything held of a person as {"section": [rows]}, without the sections that are empty; null: there is nobody. PT400 unknown_kind.';
revoke all on function private.records_of(uuid, text, text) from public, anon, authenticated, service_role;
