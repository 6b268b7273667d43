create function public.evaluate_chunk(
  p_run_id bigint, p_holder uuid, p_chunk_size integer default 2000, p_lease_seconds integer default 60)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_slice record;
  v_ticked_at timestamptz;
  v_people integer := 0;
  v_counts jsonb := '{}';
begin
  for v_slice in select t.* from private.take_chunk(p_run_id, p_holder, p_chunk_size) t loop
    -- Whoever is due is marked now: what is told without a mark is what the ticks do not know of.
    if v_ticked_at is distinct from v_slice.as_of then
      perform private.tick_scenarios(v_slice.as_of);
      v_ticked_at := v_slice.as_of;
    end if;
    v_counts := private.add_counts(v_counts,
      private.decide_safely(
        v_slice.organization_id, v_slice.from_user, v_slice.to_user, null, v_slice.as_of, p_run_id));
    v_people := v_people + v_slice.people;
  end loop;
  return private.finish_chunk(p_run_id, p_holder, p_chunk_size, v_people, v_counts, p_lease_seconds);
end;
$$;
comment on function public.evaluate_chunk(bigint, uuid, integer, integer) is
  'Evaluates the people whom the holder has in hand, and takes the next: effects and slices in one transaction, so that a crash repeats nothing and skips nobody. Several holders work at once. Returns done, more (the holder has people in hand), people and counts of this chunk. PT409 lease_lost when somebody else has taken them over.';
revoke all on function public.evaluate_chunk(bigint, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_chunk(bigint, uuid, integer, integer) to service_role;
