create function private.oldest_statistics_work(p_now timestamptz) returns timestamptz
language sql stable
set search_path = ''
as $$
  select least(
    (select min(m.marked_at) from private.statistics_marks m),
    -- A streak that still shows although yesterday broke it has been work since this midnight.
    (select date_trunc('day', p_now at time zone 'UTC') at time zone 'UTC'
     from public.activity_statistics s
     where s.period_type = 'all_time' and s.streak_days > 0
       and s.last_activity_date < date_trunc('day', p_now at time zone 'UTC') at time zone 'UTC' - interval '24 hours'
     limit 1));
$$;
comment on function private.oldest_statistics_work(timestamptz) is 'Since when something waits to be recomputed; null when nothing does.';
revoke all on function private.oldest_statistics_work(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.oldest_statistics_work(timestamptz) to service_role;
