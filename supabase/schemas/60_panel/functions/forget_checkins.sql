create function private.forget_checkins() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  update public.students s set checkins = 0, first_checkin_at = null, last_checkin_at = null, left_at = null, returned_at = null
  where s.checkins > 0;
  return null;
end;
$$;
-- Definer because whoever truncates check-ins need not be who may write students.
comment on function private.forget_checkins() is 'Trigger on truncate of public.student_attendance: nobody has been here.';
revoke all on function private.forget_checkins() from public, anon, authenticated, service_role;
