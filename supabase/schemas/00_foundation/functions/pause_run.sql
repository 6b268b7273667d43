create function public.pause_run(p_run_id bigint, p_holder uuid) returns jsonb
language plpgsql
set search_path = ''
as $$
begin
  update private.runs r
  set state = 'in_progress', lease_until = clock_timestamp(), updated_at = clock_timestamp()
  where r.id = p_run_id and r.holder = p_holder and r.state = 'running';
  return public.run_report(p_run_id);
end;
$$;
comment on function public.pause_run(bigint, uuid) is
  'Gives the lease back so that the next start_run continues at once; returns the report. No effect for anybody but the holder.';
revoke all on function public.pause_run(bigint, uuid) from public, anon, authenticated, service_role;
grant execute on function public.pause_run(bigint, uuid) to service_role;
