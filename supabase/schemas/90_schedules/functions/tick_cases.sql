create function private.tick_cases() returns void
language plpgsql
set search_path = ''
as $$
begin
  perform private.tick_run('pastoral-cases', 'pastoral-cases');
  -- One that nobody has gone on with for a minute and a half ran out of time, or died.
  if exists (
    select from private.case_runs r, private.schedules s
    where r.finished_at is null and r.updated_at <= clock_timestamp() - interval '90 seconds'
      and s.name = 'pastoral-cases' and (s.last_rung_at is null or s.last_rung_at <= clock_timestamp() - interval '90 seconds'))
  then
    update private.schedules s set last_rung_at = clock_timestamp() where s.name = 'pastoral-cases';
    perform private.post_signed('pastoral-cases', jsonb_build_object(
      'type', 'SCHEDULE', 'schedule', 'pastoral-cases', 'bell_id', private.new_bell_id()));
  end if;
end;
$$;
comment on function private.tick_cases() is
  'Cron: rings pastoral-cases for the nightly run when it is due, and for one that was left open.';
revoke all on function private.tick_cases() from public, anon, authenticated, service_role;
