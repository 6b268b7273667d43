create function private.period_end(p_type public.statistics_period, p_start timestamptz) returns timestamptz
language sql immutable parallel safe
set search_path = ''
as $$
  select ((p_start at time zone 'UTC') + case p_type
      when 'day' then interval '1 day' when 'week' then interval '7 days' when 'month' then interval '1 month'
      when 'quarter' then interval '3 months' when 'year' then interval '1 year' end) at time zone 'UTC';
$$;
comment on function private.period_end(public.statistics_period, timestamptz) is 'Exclusive end of the UTC period that starts there; null for all_time.';
revoke all on function private.period_end(public.statistics_period, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.period_end(public.statistics_period, timestamptz) to authenticated, service_role;
