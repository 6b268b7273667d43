create function private.ring_health(p_now timestamptz)
returns table (name text, finding text, since timestamptz, figures jsonb)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  -- Planned for this very quarter of an hour: without its bounds a plan reads the whole day.
  return query
  select f.function_name,
    -- One lost bell is followed by the sweep's within a minute: it takes two, and the time of both.
    case when u.unanswered > 1 and u.unanswered_since < p_now - interval '150 seconds' then 'function_silent' end,
    u.unanswered_since,
    jsonb_build_object('rung_by_writers', coalesce(b.rung, 0), 'minutes', 15, 'rung', r.rung, 'handled', r.handled,
      'last_rung_at', r.last_rung_at, 'last_handled_at', r.last_handled_at, 'unanswered', u.unanswered,
      'seconds_to_handle', round(extract(epoch from r.typical)::numeric, 3))
  from (select x.function_name from private.bells x union select x.function_name from private.schedules x where x.function_name is not null) f
  left join private.bells b on b.function_name = f.function_name
  cross join lateral (
    select count(*) as rung, count(wd.id) as handled, max(i.rung_at) as last_rung_at, max(wd.received_at) as last_handled_at,
      max(i.rung_at) filter (where wd.id is not null) as handled_until,
      percentile_cont(0.5) within group (order by wd.received_at - i.rung_at) as typical
    from private.rings i
    left join private.webhook_deliveries wd on wd.id = i.bell_id and wd.function_name in (i.function_name, '')
    where i.function_name = f.function_name and i.rung_at > p_now - interval '15 minutes'
  ) r
  cross join lateral (
    select count(*) as unanswered, min(i.rung_at) as unanswered_since
    from private.rings i
    where i.function_name = f.function_name and i.rung_at > coalesce(r.handled_until, p_now - interval '15 minutes')
  ) u;
end;
$$;
comment on function private.ring_health(timestamptz) is
  'For each function, calls queued against calls handled in the last quarter of an hour, and whether it has gone silent. A handled call is known by its id; one that only arrived is not.';
revoke all on function private.ring_health(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.ring_health(timestamptz) to service_role;
