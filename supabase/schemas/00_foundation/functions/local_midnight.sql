create function private.local_midnight(p_day date, p_time_zone text) returns timestamptz
language plpgsql stable strict parallel safe
set search_path = ''
as $$
declare
  v_guess timestamptz := p_day::timestamp at time zone p_time_zone;
begin
  -- Zones that change their clocks at midnight (Santiago, Beirut) have days without a 00:00 and days with two: of two
  -- the earlier counts, and where there is none the day begins at the first instant that bears its date.
  if private.local_date(v_guess - interval '1 hour', p_time_zone) = p_day then
    return v_guess - interval '1 hour';
  end if;
  return v_guess;
end;
$$;
comment on function private.local_midnight(date, text) is 'The first instant of a calendar day in a time zone, also where the clock changes at midnight.';
revoke all on function private.local_midnight(date, text) from public, anon, authenticated, service_role;
grant execute on function private.local_midnight(date, text) to authenticated, service_role;
