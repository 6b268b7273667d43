create function private.is_period(p_type public.statistics_period, p_start timestamptz, p_end timestamptz) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select case when p_type = 'all_time' then p_start is null and p_end is null
    else coalesce(
      p_start = private.period_start(p_type, (p_start at time zone 'UTC')::date) and p_end = private.period_end(p_type, p_start),
      false)
  end;
$$;
comment on function private.is_period(public.statistics_period, timestamptz, timestamptz) is
  'Whether the bounds are those of a UTC period of this type: null only, and both, for all_time.';
revoke all on function private.is_period(public.statistics_period, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.is_period(public.statistics_period, timestamptz, timestamptz) to authenticated, service_role;
