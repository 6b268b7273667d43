create function private.advance_run(
  p_run private.runs, p_counts jsonb, p_people integer, p_done boolean, p_lease_seconds integer)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_finished_at timestamptz := case when p_done then clock_timestamp() end;
  v_run private.runs;
begin
  update private.runs r
  set cursor_organization_id = p_run.cursor_organization_id, cursor_user_id = p_run.cursor_user_id, people = p_run.people,
      chunks = r.chunks + 1, counts = private.add_counts(r.counts, p_counts),
      state = case when p_done then 'finished' else 'running' end, finished_at = v_finished_at, updated_at = clock_timestamp(),
      lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
  where r.id = p_run.id
  returning r.* into v_run;
  if p_done then
    update private.schedules s
    set last_succeeded_at = v_finished_at,
        last_result = jsonb_build_object('run_id', v_run.id, 'people', v_run.people, 'chunks', v_run.chunks, 'counts', v_run.counts)
    where s.name = v_run.kind;
  end if;
  return jsonb_build_object('done', p_done, 'people', p_people, 'counts', p_counts);
end;
$$;
comment on function private.advance_run(private.runs, jsonb, integer, boolean, integer) is
  'Writes what a chunk did into the ledger and renews the lease; a finished run also reports to its schedule.';
revoke all on function private.advance_run(private.runs, jsonb, integer, boolean, integer) from public, anon, authenticated, service_role;
grant execute on function private.advance_run(private.runs, jsonb, integer, boolean, integer) to service_role;
