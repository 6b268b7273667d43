create function private.note_schedule_started(p_name text) returns void
language sql volatile
set search_path = ''
as $$
  update private.schedules s set last_started_at = clock_timestamp() where s.name = p_name;
$$;
comment on function private.note_schedule_started(text) is 'Notes that a schedule began to work; commit before the work, so that a failure leaves a trace.';
revoke all on function private.note_schedule_started(text) from public, anon, authenticated, service_role;
