create function private.forget_attendance() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  update public.people p
  set consecutive_absences = 0, at_risk_flag = false, last_attendance_at = null, last_present_on = null, absent_since = null, last_absent_on = null
  where p.consecutive_absences > 0 or p.last_present_on is not null;
  perform private.mark_people_for_care(array_agg(c.organization_id), array_agg(c.person_id))
  from public.pastoral_cases c
  where c.status in ('open', 'in_progress', 'returned');
  return null;
end;
$$;
-- Definer because whoever truncates attendance need not be who may write people.
comment on function private.forget_attendance() is
  'Trigger on truncate of public.attendance_records: nobody has a history.';
revoke all on function private.forget_attendance() from public, anon, authenticated, service_role;
