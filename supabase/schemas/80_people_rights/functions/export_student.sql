create function private.export_student(p_organization_id uuid, p_student_id integer) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_drop constant text[] := '{organization_id,student_id}';
  v_name constant text := (
    select s.full_name from public.students s where s.organization_id = p_organization_id and s.student_id = p_student_id);
begin
  return jsonb_build_object(
    'students', (
      select jsonb_agg(to_jsonb(t) - 'organization_id')
      from public.students t where t.organization_id = p_organization_id and t.student_id = p_student_id),
    'student_attendance', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.checkin_time, t.id)
      from public.student_attendance t where t.organization_id = p_organization_id and t.student_id = p_student_id),
    'learning_progress', (
      select jsonb_agg(to_jsonb(t) - v_drop)
      from public.learning_progress t where t.organization_id = p_organization_id and t.student_id = p_student_id),
    -- Written about them, and so theirs; by whom, and of whom else, is not.
    'student_notes', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop - 'author_id' order by t.created_at, t.id))
      from public.student_notes t where t.organization_id = p_organization_id and t.student_id = p_student_id));
end;
$$;
comment on function private.export_student(uuid, integer) is
  'Everything held of a person of public.students, as {"section": [rows] or null}.';
revoke all on function private.export_student(uuid, integer) from public, anon, authenticated, service_role;
