create function private.finish_chunk(
  p_run_id bigint, p_holder uuid, p_chunk_size integer, p_people integer, p_counts jsonb, p_lease_seconds integer)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_run private.runs;
  v_has_more boolean;
  v_is_done boolean;
begin
  -- From here to the commit, which follows at once, this holder is alone: of two that end together the later sees that
  -- nothing is left.
  perform from private.runs r where r.id = p_run_id for no key update;
  update private.run_slices s set lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
  where s.run_id = p_run_id and s.holder = p_holder;
  v_has_more := found;
  if not v_has_more then
    v_has_more := private.take_slice(p_run_id, p_holder, p_chunk_size, p_lease_seconds);
  end if;
  v_is_done := not v_has_more and not exists (select from private.run_slices s where s.run_id = p_run_id);

  update private.runs r
  set counts = private.add_counts(r.counts, p_counts), chunks = r.chunks + 1, people = r.people + p_people,
      updated_at = clock_timestamp(), state = case when v_is_done then 'finished' else r.state end,
      finished_at = case when v_is_done then clock_timestamp() else r.finished_at end
  where r.id = p_run_id
  returning r.* into v_run;
  if v_is_done then
    update private.schedules s
    set last_succeeded_at = v_run.finished_at,
        last_result = jsonb_build_object('run_id', v_run.id, 'people', v_run.people, 'chunks', v_run.chunks, 'counts', v_run.counts)
    where s.name = v_run.kind;
  end if;
  return jsonb_build_object('done', v_is_done, 'more', v_has_more, 'people', p_people, 'counts', p_counts);
end;
$$;
comment on function private.finish_chunk(bigint, uuid, integer, integer, jsonb, integer) is
  'Writes what a chunk did into the ledger and gives its holder the next slice, last of all: the run is locked to the commit. Whoever leaves no slice behind finishes the run and reports to its schedule. Returns done, more (the holder has a slice in hand), people and counts of the chunk.';
revoke all on function private.finish_chunk(bigint, uuid, integer, integer, jsonb, integer) from public, anon, authenticated, service_role;
grant execute on function private.finish_chunk(bigint, uuid, integer, integer, jsonb, integer) to service_role;
