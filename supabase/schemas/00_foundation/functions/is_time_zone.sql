create function private.is_time_zone(p_name text) returns boolean
language plpgsql stable strict parallel safe
set search_path = ''
as $$
begin
  -- Postgres also takes abbreviations and POSIX strings ("XYZ5", "Etc/GMT+99") for zones, and any case. Only the Etc zones
  -- that exist may hold a digit, so a POSIX string, which needs one, never gets to the conversion. The server's own zone table answers the rest, a thousand times
  -- quicker than the view pg_timezone_names.
  if p_name !~ '^(UTC|Etc/GMT(0|[+-]([0-9]|1[0-2])|-1[34])?|[A-Z][A-Za-z_]*(/[A-Z][A-Za-z_-]*)+)$' then
    return false;
  end if;
  -- The server's table is a folder, looked into in any case: all zones stand in it twice more, with leap seconds (27 of them) and without.
  if p_name ~* '^(posix|right)/' then
    return false;
  end if;
  perform timestamptz '2000-01-01 00:00+00' at time zone p_name;
  return true;
exception when invalid_parameter_value then
  return false;
end;
$$;
comment on function private.is_time_zone(text) is 'Whether the server knows this IANA time zone. Null for null.';
revoke all on function private.is_time_zone(text) from public, anon, authenticated, service_role;
grant execute on function private.is_time_zone(text) to authenticated, service_role;
