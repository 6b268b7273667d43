create function private.period_start(p_type public.statistics_period, p_day date) returns timestamptz
language sql immutable parallel safe
set search_path = ''
as $$
  select case when p_type <> 'all_time' then
    date_trunc(case p_type when 'day' then 'day' when 'week' then 'week' when 'month' then 'month'
      when 'quarter' then 'quarter' else 'year' end, p_day::timestamp) at time zone 'UTC'
  end;
$$;
comment on function private.period_start(public.statistics_period, date) is 'Inclusive start of the UTC period that contains a UTC day; null for all_time.';
revoke all on function private.period_start(public.statistics_period, date) from public, anon, authenticated, service_role;
grant execute on function private.period_start(public.statistics_period, date) to authenticated, service_role;
