create function public.rebuild_statistics_chunk(
  p_run_id bigint, p_holder uuid, p_chunk_size integer default 200, p_lease_seconds integer default 60)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_slice record;
  v_people integer := 0;
  v_counts jsonb := '{}';
  v_is_reconcile boolean;
begin
  select r.kind = 'statistics-reconcile' into v_is_reconcile from private.runs r where r.id = p_run_id;
  for v_slice in select t.* from private.take_chunk(p_run_id, p_holder, p_chunk_size) t loop
    v_counts := private.add_counts(v_counts, private.rebuild_statistics(
      v_slice.organization_id, v_slice.from_user, v_slice.to_user, v_slice.as_of, case when v_is_reconcile then p_run_id end));
    v_people := v_people + v_slice.people;
  end loop;
  return private.finish_chunk(p_run_id, p_holder, p_chunk_size, v_people, v_counts, p_lease_seconds);
end;
$$;
comment on function public.rebuild_statistics_chunk(bigint, uuid, integer, integer) is
  'Recomputes everything of the people whom the holder has in hand, and takes the next, in one transaction. Several holders work at once. In a run of kind statistics-reconcile, rows that differed are reported in private.statistics_drift. PT409 lease_lost.';
revoke all on function public.rebuild_statistics_chunk(bigint, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.rebuild_statistics_chunk(bigint, uuid, integer, integer) to service_role;
