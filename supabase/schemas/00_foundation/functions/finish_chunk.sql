create function private.finish_chunk(p_run_id bigint, p_people integer, p_counts jsonb, p_lease_seconds integer) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_run private.runs;
begin
  update private.runs r
  set counts = private.add_counts(r.counts, p_counts), updated_at = clock_timestamp(),
      lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds),
      state = case when r.cursor_organization_id is null then 'finished' else r.state end,
      finished_at = case when r.cursor_organization_id is null then clock_timestamp() end
  where r.id = p_run_id
  returning r.* into v_run;
  if v_run.state = 'finished' then
    update private.schedules s
    set last_succeeded_at = v_run.finished_at,
        last_result = jsonb_build_object('run_id', v_run.id, 'people', v_run.people, 'chunks', v_run.chunks, 'counts', v_run.counts)
    where s.name = v_run.kind;
  end if;
  return jsonb_build_object('done', v_run.state = 'finished', 'people', p_people, 'counts', p_counts);
end;
$$;
comment on function private.finish_chunk(bigint, integer, jsonb, integer) is
  'Writes what a chunk did into the ledger and renews the lease; a run whose cursor is at the end is finished and reports to its schedule. Returns done, people and counts of the chunk.';
revoke all on function private.finish_chunk(bigint, integer, jsonb, integer) from public, anon, authenticated, service_role;
grant execute on function private.finish_chunk(bigint, integer, jsonb, integer) to service_role;
