create function private.oldest_push_work(p_now timestamptz) returns timestamptz
language sql stable
set search_path = ''
as $$
  select least(
    (select min(o.next_attempt_at) from private.outbox o
     where o.state in ('pending', 'deferred', 'failed', 'claimed') and o.next_attempt_at <= p_now),
    (select min(d.receipt_due_at) from private.outbox_devices d where d.receipt_due_at <= p_now));
$$;
comment on function private.oldest_push_work(timestamptz) is
  'Since when something waits for a dispatcher: a push, a retry, one whose holder died, a receipt. Null: nothing is due.';
revoke all on function private.oldest_push_work(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.oldest_push_work(timestamptz) to service_role;
