create function private.local_date(p_at timestamptz, p_time_zone text) returns date
language sql stable strict parallel safe
set search_path = ''
as $$
  select (p_at at time zone p_time_zone)::date;
$$;
comment on function private.local_date(timestamptz, text) is 'The calendar day it is in a time zone at an instant.';
revoke all on function private.local_date(timestamptz, text) from public, anon, authenticated, service_role;
grant execute on function private.local_date(timestamptz, text) to authenticated, service_role;
