create function private.mark_people_for_care(p_organization_ids uuid[], p_person_ids uuid[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_rings boolean;
begin
  if p_person_ids is null then
    return;
  end if;
  -- One bell a transaction. The setting is local, so a rollback to a savepoint that takes the mark takes it too.
  v_rings := coalesce(current_setting('attend.care_bell', true), '') <> 'requested';
  if v_rings then
    perform set_config('attend.care_bell', 'requested', true);
  end if;
  insert into private.care_marks (organization_id, person_id, rings)
  select m.organization_id, m.person_id, v_rings and m.position = 1
  from unnest(p_organization_ids, p_person_ids) with ordinality as m (organization_id, person_id, position);
end;
$$;
comment on function private.mark_people_for_care(uuid[], uuid[]) is
  'Appends a care mark for each of these people (two arrays of equal length; null: nobody).';
revoke all on function private.mark_people_for_care(uuid[], uuid[]) from public, anon, authenticated, service_role;
