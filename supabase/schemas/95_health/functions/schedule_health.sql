create function private.schedule_health(p_now timestamptz)
returns table (name text, function_name text, finding text, since timestamptz, figures jsonb)
language sql stable
set search_path = ''
as $$
  select s.name, s.function_name, v.finding, v.since,
    jsonb_build_object('expected_seconds', extract(epoch from s.expected_interval)::bigint,
      'window_seconds', extract(epoch from w.allowed)::bigint, 'last_rung_at', s.last_rung_at, 'last_started_at', s.last_started_at,
      'last_succeeded_at', s.last_succeeded_at, 'last_duration_seconds', round(extract(epoch from d.duration), 3),
      'running_since', o.started_at, 'last_result', s.last_result)
  from private.schedules s
  left join private.cron_jobs() j on j.name = 'attend-' || s.name
  left join private.ledger o on o.kind = s.name and o.is_open
  left join private.ledger f on f.kind = s.name
    and f.run_id = case when jsonb_typeof(s.last_result -> 'run_id') = 'number' then (s.last_result ->> 'run_id')::bigint end
  -- Cron looks once a minute, a function starts cold, and a night's job has its minute: what is due has some grace.
  cross join lateral (select coalesce(s.window_length, s.expected_interval) as allowed,
    greatest(interval '2 minutes', least(s.expected_interval / 24, interval '1 hour')) as grace) w
  -- A run may be joined many times, and each notes a start: its ledger knows when it began.
  cross join lateral (select coalesce(f.finished_at - f.started_at,
    case when s.last_succeeded_at >= s.last_started_at then s.last_succeeded_at - s.last_started_at end) as duration) d
  cross join lateral (
    select case
        when j.name is null then 'job_missing'
        when not j.is_active then 'job_disabled'
        when o.updated_at < p_now - interval '10 minutes' then 'run_stuck'
        when coalesce(s.last_started_at, s.added_at) < p_now - s.expected_interval - w.grace then 'schedule_late'
        when coalesce(s.last_succeeded_at, s.added_at) < p_now - s.expected_interval - w.allowed - w.grace
          or (o.kind is null and s.last_started_at > coalesce(s.last_succeeded_at, '-infinity')
            and s.last_started_at < p_now - w.allowed - w.grace) then 'schedule_failing'
        when greatest(d.duration, p_now - o.started_at) > w.allowed then 'window_exceeded'
      end as finding) c
  cross join lateral (
    select c.finding, case c.finding
        when 'run_stuck' then o.updated_at
        when 'schedule_late' then coalesce(s.last_started_at, s.added_at)
        when 'window_exceeded' then coalesce(o.started_at, s.last_succeeded_at)
        else coalesce(s.last_succeeded_at, s.added_at)
      end as since) v;
$$;
comment on function private.schedule_health(timestamptz) is
  'Every row of private.schedules, what is expected of it and what it did, and the first trouble that explains the others. Its job in cron is called attend-<name>.';
revoke all on function private.schedule_health(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.schedule_health(timestamptz) to service_role;
