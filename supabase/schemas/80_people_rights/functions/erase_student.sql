create function private.erase_student(p_organization_id uuid, p_student_id integer) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  -- The school's own numbers are positive; of a thousand erased, two meet once in four thousand schools, and are erased again.
  v_nobody constant integer := -1 - floor(random() * 2147483647)::integer;
  v_name text;
  v_records jsonb;
begin
  select s.full_name into v_name from public.students s
  where s.organization_id = p_organization_id and s.student_id = p_student_id for update;
  if not found then
    return null;
  end if;
  v_records := private.records_of(p_organization_id, 'student', p_student_id::text);
  -- How many came, when and for how long is the school's; how far this one got is not.
  insert into public.students (organization_id, student_id, full_name, is_active) values (p_organization_id, v_nobody, 'Erased', false);
  update public.student_attendance t set student_id = v_nobody where t.organization_id = p_organization_id and t.student_id = p_student_id;
  delete from public.students s where s.organization_id = p_organization_id and s.student_id = p_student_id;
  return private.erasure_counts(v_records, '{student_attendance}', private.forget_names(p_organization_id, array[v_name]));
end;
$$;
comment on function private.erase_student(uuid, integer) is
  'Erases a person of public.students: check-ins stay with a nameless person under a negative number, learning progress goes. Null: there is nobody. Returns {"erased", "kept", "mentions"}, rows by section. A school whose own system still has them writes them again.';
revoke all on function private.erase_student(uuid, integer) from public, anon, authenticated, service_role;
