create function public.erase_person(p_organization_id uuid, p_kind text, p_person_id text, p_rehearse boolean default false) returns jsonb
language plpgsql security definer
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_id constant text := case
    when p_kind = 'student' then case when pg_input_is_valid(p_person_id, 'integer') then p_person_id::integer::text end
    when pg_input_is_valid(p_person_id, 'uuid') then p_person_id::uuid::text end;
  v_counts jsonb;
  v_erased_at timestamptz;
begin
  if p_kind is null or p_kind <> all (private.person_kinds()) then
    raise exception using errcode = 'PT400', message = 'unknown_kind',
      detail = jsonb_build_object('kind', p_kind, 'allowed', private.person_kinds())::text;
  end if;
  -- What is shown before is the act itself, taken back: nothing is counted that would not happen, and what stands in its way
  -- is known before anybody says yes.
  begin
    v_counts := case p_kind
      when 'user' then private.erase_user(p_organization_id, v_id::uuid)
      when 'member' then private.erase_member(p_organization_id, v_id::uuid)
      when 'contact' then private.erase_contact(p_organization_id, v_id::uuid)
      when 'student' then private.erase_student(p_organization_id, v_id::integer) end;
    if v_counts is not null then
      insert into private.erasures (organization_id, kind, person_id) values (p_organization_id, p_kind, v_id)
      returning erased_at into v_erased_at;
      if p_rehearse then
        raise exception using errcode = 'AT000', message = 'only a rehearsal';
      end if;
    end if;
  exception when sqlstate 'AT000' then
    v_erased_at := null;
  end;
  if v_counts is null then
    select e.erased_at into v_erased_at from private.erasures e
    where e.organization_id = p_organization_id and e.kind = p_kind and e.person_id = v_id;
    if not found then
      raise exception using errcode = 'PT404', message = 'unknown_person',
        detail = jsonb_build_object('organization_id', p_organization_id, 'kind', p_kind, 'person_id', p_person_id)::text;
    end if;
    v_counts := '{"erased": {}, "kept": {}, "mentions": {}}';
  end if;
  return jsonb_build_object('kind', p_kind, 'person_id', v_id, 'erased_at', v_erased_at) || v_counts;
end;
$$;
-- Definer because it deletes the login, which only the owner of the schema may; it is the service's alone to call.
comment on function public.erase_person(uuid, text, text, boolean) is
  'For operators: erases a person of an organisation (kind: user, member, contact or student) in one transaction. Figures stay, under an id that leads nowhere (private.erase_user, erase_member, erase_contact, erase_student). Again for the same person: the same erased_at, and nothing else. p_rehearse: does it, counts, and takes it back. Returns {kind, person_id, erased_at, erased, kept, mentions}. PT404 unknown_person, PT400 unknown_kind, PT409 login_is_referenced.';
revoke all on function public.erase_person(uuid, text, text, boolean) from public, anon, authenticated, service_role;
grant execute on function public.erase_person(uuid, text, text, boolean) to service_role;
