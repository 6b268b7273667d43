create function private.proofs() returns table (name text, function_name text, finding text, since timestamptz, figures jsonb)
language sql stable
set search_path = ''
as $$
  select 'sweep', s.function_name, case when c.found > 0 then 'sweep_found' end, s.last_succeeded_at,
    jsonb_build_object('looked_at', s.last_succeeded_at, 'people', coalesce((s.last_result ->> 'people')::bigint, 0),
      'missed_by_ticks', c.found, 'run_id', s.last_result -> 'run_id')
  from private.schedules s
  cross join lateral (
    select coalesce(sum((g.counts ->> 'missed_by_ticks')::bigint), 0) as found
    from jsonb_each(case when jsonb_typeof(s.last_result -> 'counts') = 'object' then s.last_result -> 'counts' else '{}' end) as g (scenario, counts)
  ) c
  where s.name = 'scenario-evaluation'
  union all
  select 'reconcile', s.function_name, case when c.found > 0 then 'statistics_drifted' end, s.last_succeeded_at,
    jsonb_build_object('looked_at', s.last_succeeded_at, 'people', coalesce((s.last_result ->> 'people')::bigint, 0),
      'people_with_drift', c.found, 'rows_repaired', coalesce((s.last_result #>> '{counts,statistics,rows_repaired}')::bigint, 0), 'run_id', s.last_result -> 'run_id')
  from private.schedules s
  cross join lateral (select coalesce((s.last_result #>> '{counts,statistics,people_with_drift}')::bigint, 0) as found) c
  where s.name = 'statistics-reconcile';
$$;
comment on function private.proofs() is 'What the last full evaluation found of the ticks, and the last reconcile of the statistics. Nothing, where all is well.';
revoke all on function private.proofs() from public, anon, authenticated, service_role;
grant execute on function private.proofs() to service_role;
