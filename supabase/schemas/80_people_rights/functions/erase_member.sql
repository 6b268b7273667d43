create function private.erase_member(p_organization_id uuid, p_person_id uuid) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_nobody constant uuid := gen_random_uuid();
  v_person public.people;
  v_records jsonb;
  v_mentions jsonb;
begin
  -- Before the row, as whoever changes the threshold holds it before all rows.
  perform private.share_absence_threshold(p_organization_id);
  select p.* into v_person from public.people p where p.organization_id = p_organization_id and p.id = p_person_id for update;
  if not found then
    return null;
  end if;
  v_records := private.records_of(p_organization_id, 'member', p_person_id::text);

  -- How many came, helped and learned, and what was given, is the congregation's: it goes to somebody who is nobody.
  insert into public.people (organization_id, id, full_name, status) values (p_organization_id, v_nobody, 'Erased', 'inactive');
  update public.attendance_records t set person_id = v_nobody where t.organization_id = p_organization_id and t.person_id = p_person_id;
  update public.volunteering t set person_id = v_nobody where t.organization_id = p_organization_id and t.person_id = p_person_id;
  update public.class_participations t set person_id = v_nobody where t.organization_id = p_organization_id and t.person_id = p_person_id;
  update public.donations t set person_id = v_nobody where t.organization_id = p_organization_id and t.person_id = p_person_id;

  -- Cases go with the person, and with the cases their visits, calls, notes and trail; and what servants were told of them.
  delete from public.notifications n
  where n.organization_id = p_organization_id and n.scenario = 'pastoral_case' and n.context ->> 'person_id' = p_person_id::text;
  delete from private.cooldowns c
  where c.organization_id = p_organization_id and c.scenario = 'pastoral_case' and c.subject in (p_person_id::text, p_person_id || ':urgent');
  delete from public.people p where p.organization_id = p_organization_id and p.id = p_person_id;
  delete from public.families f
  where f.organization_id = p_organization_id and f.id = v_person.family_id
    and not exists (select from public.people p where p.organization_id = f.organization_id and p.family_id = f.id);
  v_mentions := private.forget_names(p_organization_id, array[v_person.full_name, p_person_id::text]);
  return private.erasure_counts(v_records, '{attendance_records,volunteering,class_participations,donations}', v_mentions);
end;
$$;
comment on function private.erase_member(uuid, uuid) is
  'Erases a person of public.people: attendance, volunteering, classes and donations stay with a nameless person under a new id; cases with all their notes, memberships and a household without others go. Null: there is nobody. Returns {"erased", "kept", "mentions"}, rows by section.';
revoke all on function private.erase_member(uuid, uuid) from public, anon, authenticated, service_role;
