create function public.evaluate_chunk(
  p_run_id bigint, p_holder uuid, p_chunk_size integer default 2000, p_lease_seconds integer default 60)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_run private.runs;
  v_left integer := p_chunk_size;
  v_counts jsonb := '{}';
  v_ids uuid[];
  v_done boolean := false;
begin
  if p_chunk_size is null or p_chunk_size not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'chunk_size_out_of_range',
      detail = jsonb_build_object('chunk_size', p_chunk_size, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  select r.* into v_run from private.runs r where r.id = p_run_id and r.holder = p_holder and r.state = 'running' for update;
  if not found then
    raise exception using errcode = 'PT409', message = 'lease_lost',
      detail = jsonb_build_object('run_id', p_run_id)::text, hint = 'Another holder goes on with this run, or it is finished.';
  end if;

  -- Large organisations take several chunks; a chunk takes as many small ones as fit.
  while v_left > 0 and not v_done loop
    if v_run.cursor_organization_id is null or v_run.cursor_user_id is null then
      select o.id into v_run.cursor_organization_id
      from public.organizations o
      where v_run.cursor_organization_id is null or o.id > v_run.cursor_organization_id
      order by o.id
      limit 1;
      v_done := not found;
    end if;
    if not v_done then
      v_ids := private.next_people(v_run.cursor_organization_id, v_run.cursor_user_id, v_left);
      if cardinality(v_ids) > 0 then
        v_counts := private.add_counts(v_counts,
          private.decide(v_run.cursor_organization_id, v_ids[1], v_ids[v_left + 1], null, v_run.as_of));
      end if;
      v_run.people := v_run.people + least(cardinality(v_ids), v_left);
      v_run.cursor_user_id := v_ids[v_left + 1];
      v_left := v_left - least(cardinality(v_ids), v_left);
    end if;
  end loop;
  return private.advance_run(v_run, v_counts, p_chunk_size - v_left, v_done, p_lease_seconds);
end;
$$;
comment on function public.evaluate_chunk(bigint, uuid, integer, integer) is
  'Evaluates the next people of a run, with all effects and the cursor in one transaction: a crash repeats nothing and skips nobody. Returns done, people and counts of this chunk. PT409 lease_lost when somebody else holds the run.';
revoke all on function public.evaluate_chunk(bigint, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_chunk(bigint, uuid, integer, integer) to service_role;
