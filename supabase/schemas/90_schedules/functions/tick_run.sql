create function private.tick_run(p_name text, p_function_name text) returns void
language plpgsql
set search_path = ''
as $$
begin
  -- A tenth early is on time: the tick of the exact minute may come a moment before the interval has passed. A bell that
  -- opened no run yet gets a minute and a half before it counts as lost: a cold start must not make two runs of one.
  update private.schedules s
  set last_rung_at = clock_timestamp()
  where s.name = p_name
    and ((coalesce(s.last_started_at, '-infinity') <= clock_timestamp() - s.expected_interval * 0.9
        and (s.last_rung_at is null or s.last_rung_at <= s.last_started_at
          or s.last_rung_at <= clock_timestamp() - interval '90 seconds'))
      or exists (select from private.runs r join private.run_slices rs on rs.run_id = r.id
                 where r.kind = s.name and r.state <> 'finished' and (rs.holder is null or rs.lease_until <= clock_timestamp())));
  if found then
    perform private.post_signed(p_function_name, jsonb_build_object(
      'type', 'SCHEDULE', 'schedule', p_name, 'bell_id', private.new_bell_id()));
  end if;
end;
$$;
comment on function private.tick_run(text, text) is
  'Cron: rings a function for its run when that is due by private.schedules.expected_interval, or when an open run has people whom nobody works on: the rest, what was given back, and what the dead held. While others work, whoever answers joins them. Without an interval it only continues.';
revoke all on function private.tick_run(text, text) from public, anon, authenticated, service_role;
