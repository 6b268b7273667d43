create function private.milestone_periods(p_period text, p_max_age_days integer, p_now timestamptz)
returns table (period text, period_start timestamptz, label text)
language sql stable
set search_path = ''
as $$
  select 'all_time', null::timestamptz, 'all' where p_period = 'all_time'
  union all
  -- At New Year a crossing of the old year is still new. (366 days back from 1 January is the year before that, and the old year
  -- lies between.)
  select 'year', y.starts_at, extract(year from y.starts_at at time zone 'UTC')::text
  from generate_series(
    date_trunc('year', p_now - make_interval(hours => 24 * p_max_age_days), 'UTC'), p_now, interval '1 year', 'UTC') as y (starts_at)
  where p_period = 'year';
$$;
comment on function private.milestone_periods(text, integer, timestamptz) is
  'The periods in which a milestone can have been reached that is not too old at p_now: this year (UTC), in its first days also the last one; or all time.';
revoke all on function private.milestone_periods(text, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.milestone_periods(text, integer, timestamptz) to service_role;
