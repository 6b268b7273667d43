create function private.take_pushes(p_holder uuid, p_limit integer, p_lease_seconds integer, p_now timestamptz) returns private.outbox[]
language plpgsql
set search_path = ''
set plan_cache_mode = auto
as $$
declare
  v_rows tid[];
  v_due private.outbox[];
begin
  -- By row address, and two statements: joined, the limit would be planned as a scan of the table.
  with due as (
    select o.ctid as row_at, o as push
    from private.outbox o
    where o.state in ('pending', 'deferred', 'failed', 'claimed') and o.next_attempt_at <= p_now
    order by o.next_attempt_at
    limit p_limit
    for update skip locked
  )
  select array_agg(d.row_at), array_agg(d.push order by (d.push).next_attempt_at) into v_rows, v_due from due d;
  if v_due is null then
    return '{}';
  end if;
  update private.outbox o
  set state = 'claimed', holder = p_holder, lease = o.lease + 1, next_attempt_at = p_now + make_interval(secs => p_lease_seconds), rings = false
  where o.ctid = any (v_rows);
  insert into private.outbox_history (organization_id, outbox_id, event, at)
  select d.organization_id, d.id, 'lease_lost', p_now from unnest(v_due) as d where d.state = 'claimed';
  return v_due;
end;
$$;
comment on function private.take_pushes(uuid, integer, integer, timestamptz) is
  'Claims up to p_limit pushes that are due, of those whose lease is over, too, without waiting for anybody. Returns them as they were, the oldest first.';
revoke all on function private.take_pushes(uuid, integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.take_pushes(uuid, integer, integer, timestamptz) to service_role;
