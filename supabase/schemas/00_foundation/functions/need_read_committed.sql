create function private.need_read_committed() returns void
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'invalid_transaction_state', message = 'read_committed_is_needed',
      detail = jsonb_build_object('transaction_isolation', current_setting('transaction_isolation'))::text,
      hint = 'This takes a lock and then looks at what was committed until then, which no other isolation level shows.';
  end if;
end;
$$;
comment on function private.need_read_committed() is
  'Refuses (25000 read_committed_is_needed) where somebody locks first and reads afterwards: a snapshot of before the lock would let two decide side by side.';
revoke all on function private.need_read_committed() from public, anon, authenticated, service_role;
grant execute on function private.need_read_committed() to service_role;
