create function private.correct_person_attendance_stats() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_person_ids uuid[];
begin
  if tg_op = 'DELETE' then
    select array_agg(d.organization_id), array_agg(d.person_id) into v_organization_ids, v_person_ids
    from (select distinct o.organization_id, o.person_id from old_rows o) d;
  else
    select array_agg(d.organization_id), array_agg(d.person_id) into v_organization_ids, v_person_ids
    from (select o.organization_id, o.person_id from old_rows o union select n.organization_id, n.person_id from new_rows n) d;
  end if;
  perform private.recompute_attendance(v_organization_ids, v_person_ids);
  return null;
end;
$$;
-- Definer because whoever corrects attendance may not write what it says of people.
comment on function private.correct_person_attendance_stats() is
  'Trigger: whoever''s records were changed, moved or deleted is recomputed from the history that is left.';
revoke all on function private.correct_person_attendance_stats() from public, anon, authenticated, service_role;
