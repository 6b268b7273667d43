create function private.take_slice(p_run_id bigint, p_holder uuid, p_chunk_size integer, p_lease_seconds integer) returns boolean
language plpgsql
set search_path = ''
as $$
declare
  v_slice private.run_slices;
  v_rest record;
begin
  -- In key order, so that what a dead holder left comes before the untouched rest. A slice whose row is locked is being
  -- worked on, whatever its lease says.
  select s.* into v_slice from private.run_slices s
  where s.run_id = p_run_id and (s.holder is null or s.lease_until <= clock_timestamp())
  order by s.from_organization_id, s.from_user_id
  limit 1
  for update skip locked;
  if not found then
    return false;
  end if;

  select n.organization_id, n.next_user into v_rest
  from private.next_people(v_slice.from_organization_id, v_slice.from_user_id,
    v_slice.to_organization_id, v_slice.to_user_id, p_chunk_size) n
  where n.next_user is not null;
  update private.run_slices s
  set holder = p_holder, lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds),
      to_organization_id = coalesce(v_rest.organization_id, s.to_organization_id),
      to_user_id = coalesce(v_rest.next_user, s.to_user_id)
  where s.run_id = p_run_id and s.from_organization_id = v_slice.from_organization_id and s.from_user_id = v_slice.from_user_id;
  if v_rest.next_user is not null then
    insert into private.run_slices (run_id, from_organization_id, from_user_id, to_organization_id, to_user_id)
    values (p_run_id, v_rest.organization_id, v_rest.next_user, v_slice.to_organization_id, v_slice.to_user_id);
  end if;
  return true;
end;
$$;
comment on function private.take_slice(bigint, uuid, integer, integer) is
  'Gives a holder the next slice that nobody holds or whose lease has ended, cut to p_chunk_size people; false: there is none. Whoever calls it has locked the run, so that two cannot take the same rest.';
revoke all on function private.take_slice(bigint, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function private.take_slice(bigint, uuid, integer, integer) to service_role;
