create function private.take_chunk(p_run_id bigint, p_holder uuid, p_chunk_size integer)
returns table (organization_id uuid, from_user uuid, to_user uuid, people integer, as_of timestamptz)
language plpgsql
set search_path = ''
as $$
declare
  v_run private.runs;
  v_left integer := p_chunk_size;
  v_ids uuid[];
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
  while v_left > 0 loop
    if v_run.cursor_user_id is null then
      select o.id into v_run.cursor_organization_id
      from public.organizations o
      where v_run.cursor_organization_id is null or o.id > v_run.cursor_organization_id
      order by o.id
      limit 1;
      exit when not found;
    end if;
    v_ids := private.next_people(v_run.cursor_organization_id, v_run.cursor_user_id, v_left);
    people := least(cardinality(v_ids), v_left);
    if people > 0 then
      organization_id := v_run.cursor_organization_id;
      from_user := v_ids[1];
      to_user := v_ids[v_left + 1];
      as_of := v_run.as_of;
      return next;
    end if;
    v_run.cursor_user_id := v_ids[v_left + 1];
    v_left := v_left - people;
  end loop;

  update private.runs r
  set cursor_organization_id = v_run.cursor_organization_id, cursor_user_id = v_run.cursor_user_id,
      chunks = r.chunks + 1, people = r.people + p_chunk_size - v_left
  where r.id = p_run_id;
end;
$$;
comment on function private.take_chunk(bigint, uuid, integer) is
  'Locks a run its holder still has, moves its cursor by up to p_chunk_size people and returns them as ranges of one organisation each (from inclusive, to exclusive, null: open). At the end of everybody the cursor''s organisation is null. Belongs to one transaction with the work and private.finish_chunk. PT409 lease_lost.';
revoke all on function private.take_chunk(bigint, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function private.take_chunk(bigint, uuid, integer) to service_role;
