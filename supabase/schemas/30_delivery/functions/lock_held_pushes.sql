create function private.lock_held_pushes(p_holder uuid, p_outcomes private.push_outcome[])
returns table (organization_id uuid, id uuid, retry_after double precision)
language plpgsql
set search_path = ''
as $$
begin
  return query
  select o.organization_id, o.id, r.retry_after
  from (
    select c.organization_id, c.outbox_id, c.lease, max(c.retry_after) filter (where c.verdict = 'retry') as retry_after
    from unnest(p_outcomes) as c
    group by c.organization_id, c.outbox_id, c.lease
  ) r
  join private.outbox o on o.organization_id = r.organization_id and o.id = r.outbox_id and o.lease = r.lease
  where o.holder = p_holder and o.state = 'claimed'
  -- In the order of the key, as whoever takes back: locks are never waited for in a circle.
  order by o.organization_id, o.id
  for no key update of o;
end;
$$;
comment on function private.lock_held_pushes(uuid, private.push_outcome[]) is
  'Of the pushes that outcomes speak of, those that the holder still has by the lease they name, locked until the end of the transaction; with the longest that any of their devices is to be left alone, in seconds.';
revoke all on function private.lock_held_pushes(uuid, private.push_outcome[]) from public, anon, authenticated, service_role;
grant execute on function private.lock_held_pushes(uuid, private.push_outcome[]) to service_role;
