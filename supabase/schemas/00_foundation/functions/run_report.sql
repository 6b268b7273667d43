create function public.run_report(p_run_id bigint) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_report jsonb;
begin
  select jsonb_build_object('run_id', r.id, 'kind', r.kind, 'state', r.state, 'as_of', r.as_of, 'started_at', r.started_at,
      'finished_at', r.finished_at, 'people', r.people, 'chunks', r.chunks, 'counts', r.counts)
    into v_report
  from private.runs r where r.id = p_run_id;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_run', detail = jsonb_build_object('run_id', p_run_id)::text;
  end if;
  return v_report;
end;
$$;
comment on function public.run_report(bigint) is 'What a run has done so far: people and counts per scenario and gate. PT404 unknown_run.';
revoke all on function public.run_report(bigint) from public, anon, authenticated, service_role;
grant execute on function public.run_report(bigint) to service_role;
