create function private.lock_slice(p_run_id bigint, p_holder uuid) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  -- Twice, because a chunk of the same holder may end while this waits for it, as after an answer that was lost: then
  -- the slice waited for is gone, and the holder has the next.
  for v_attempt in 1..2 loop
    perform from private.run_slices s join private.runs r on r.id = s.run_id
    where s.run_id = p_run_id and s.holder = p_holder and r.state <> 'finished'
    for update of s;
    if found then
      return true;
    end if;
  end loop;
  return false;
end;
$$;
comment on function private.lock_slice(bigint, uuid) is
  'Locks the slice that a holder has in hand of an open run; false: there is none. Called before the run is locked, never after it.';
revoke all on function private.lock_slice(bigint, uuid) from public, anon, authenticated, service_role;
grant execute on function private.lock_slice(bigint, uuid) to service_role;
