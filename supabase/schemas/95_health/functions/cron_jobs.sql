create function private.cron_jobs() returns table (name text, is_active boolean)
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return query select j.jobname::text, j.active from cron.job j where j.jobname like 'attend-%';
exception when undefined_table or invalid_schema_name then
  -- Without pg_cron there are no jobs, which is what everybody who asks wants to hear.
  return;
end;
$$;
-- Definer because the platform lets postgres alone look into cron.
comment on function private.cron_jobs() is 'Attend''s jobs in pg_cron; none where it is not installed.';
revoke all on function private.cron_jobs() from public, anon, authenticated, service_role;
grant execute on function private.cron_jobs() to service_role;
