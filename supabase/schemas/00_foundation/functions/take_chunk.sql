create function private.take_chunk(p_run_id bigint, p_holder uuid, p_chunk_size integer)
returns table (organization_id uuid, from_user uuid, to_user uuid, people integer, as_of timestamptz)
language plpgsql
set search_path = ''
as $$
declare
  v_slice private.run_slices;
  v_part record;
  v_rest_organization uuid;
  v_rest_user uuid;
begin
  -- The slice, never the run: the others' chunks go on meanwhile.
  if not private.lock_slice(p_run_id, p_holder) then
    raise exception using errcode = 'PT409', message = 'lease_lost',
      detail = jsonb_build_object('run_id', p_run_id)::text, hint = 'Another holder goes on with these people, or the run is finished.';
  end if;
  select s.* into v_slice from private.run_slices s where s.run_id = p_run_id and s.holder = p_holder;
  select r.as_of into as_of from private.runs r where r.id = p_run_id;

  -- Large organisations take several chunks; a chunk takes as many small ones as fit.
  for v_part in
    select n.* from private.next_people(v_slice.from_organization_id, v_slice.from_user_id,
      v_slice.to_organization_id, v_slice.to_user_id, p_chunk_size) n
  loop
    if v_part.next_user is not null then
      v_rest_organization := v_part.organization_id;
      v_rest_user := v_part.next_user;
    end if;
    if v_part.people > 0 then
      organization_id := v_part.organization_id;
      from_user := case when v_part.organization_id = v_slice.from_organization_id then v_slice.from_user_id end;
      to_user := coalesce(v_part.next_user,
        case when v_part.organization_id = v_slice.to_organization_id then v_slice.to_user_id end);
      people := v_part.people;
      return next;
    end if;
  end loop;

  -- A slice larger than the chunk keeps its rest: a chunk that was too long for its time-out is tried again smaller.
  if v_rest_user is null then
    delete from private.run_slices s where s.run_id = p_run_id and s.holder = p_holder;
  else
    update private.run_slices s
    set from_organization_id = v_rest_organization, from_user_id = v_rest_user
    where s.run_id = p_run_id and s.holder = p_holder;
  end if;
end;
$$;
comment on function private.take_chunk(bigint, uuid, integer) is
  'Locks the slice that a holder still has, takes up to p_chunk_size people off it and returns them as ranges of one organisation each (from inclusive, to exclusive, null: open). Belongs to one transaction with the work and private.finish_chunk. PT409 lease_lost.';
revoke all on function private.take_chunk(bigint, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function private.take_chunk(bigint, uuid, integer) to service_role;
