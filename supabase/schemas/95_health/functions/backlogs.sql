create function private.backlogs(p_now timestamptz)
returns table (name text, function_name text, waiting bigint, oldest_at timestamptz, tolerance interval, finding text)
language sql stable
set search_path = ''
as $$
  -- The registry: a table of marks, or any other queue, is named here and nowhere else, with the function that empties it.
  -- Ten minutes, and not the one of a sweep: the marks of a large import are worked off meanwhile, which is no trouble.
  select 'scenario_marks', 'scenario-trigger-engine', count(*), min(m.marked_at), interval '10 minutes', 'marks_old'
  from private.scenario_marks m
  union all
  select 'statistics_marks', 'statistics-recompute', count(*), min(m.marked_at), interval '10 minutes', 'marks_old'
  from private.statistics_marks m
  union all
  select 'care_marks', 'pastoral-cases', count(*), min(m.marked_at), interval '10 minutes', 'marks_old'
  from private.care_marks m
  union all
  -- What may be taken by now: released, due again, or let go of by whoever had it.
  select 'outbox', 'push-notification-dispatcher', count(*), min(o.next_attempt_at), interval '15 minutes', 'outbox_old'
  from private.outbox o
  where o.state in ('pending', 'deferred', 'failed', 'claimed') and o.next_attempt_at <= p_now
  union all
  select 'receipts', 'push-notification-dispatcher', count(*), min(d.receipt_due_at), interval '1 hour', 'outbox_old'
  from private.outbox_devices d
  where d.receipt_due_at <= p_now
  union all
  select 'dead_letters', 'push-notification-dispatcher', count(*), min(o.created_at), interval '0', 'dead_letters'
  from private.outbox o
  where o.state = 'dead'
  union all
  select 'quarantine', 'scenario-trigger-engine', count(*), min(q.since), interval '0', 'quarantine_filled'
  from private.quarantine q;
$$;
comment on function private.backlogs(timestamptz) is
  'Everything that waits: how much, since when, how long it may, what it is called when it waits longer, and who empties it.';
revoke all on function private.backlogs(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.backlogs(timestamptz) to service_role;
