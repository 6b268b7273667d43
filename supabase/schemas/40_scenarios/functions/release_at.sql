create function private.release_at(p_now timestamptz, p_time_zone text, p_quiet_from time, p_quiet_to time) returns timestamptz
language plpgsql stable parallel safe
set search_path = ''
as $$
declare
  v_local timestamp := p_now at time zone p_time_zone;
  v_time time := v_local::time;
  v_ends_local timestamp;
  v_ends_at timestamptz;
begin
  if p_quiet_from is null
    or (p_quiet_from < p_quiet_to and not (v_time >= p_quiet_from and v_time < p_quiet_to))
    or (p_quiet_from > p_quiet_to and v_time >= p_quiet_to and v_time < p_quiet_from)
  then
    return p_now;
  end if;
  v_ends_local := v_local::date + p_quiet_to + case when v_time >= p_quiet_to then interval '1 day' else interval '0' end;
  v_ends_at := v_ends_local at time zone p_time_zone;
  -- Where the clock jumps over the end, it ends with the jump, which is at a full hour; where the clock shows the end twice,
  -- with the first of them that is not over.
  if v_ends_at at time zone p_time_zone > v_ends_local then
    v_ends_at := v_ends_at - (v_ends_local - date_trunc('hour', v_ends_local));
  elsif (v_ends_at - interval '1 hour') at time zone p_time_zone = v_ends_local and v_ends_at - interval '1 hour' > p_now then
    v_ends_at := v_ends_at - interval '1 hour';
  end if;
  return v_ends_at;
end;
$$;
comment on function private.release_at(timestamptz, text, time, time) is
  'p_now, or where it is quiet in a time zone (from inclusive, to exclusive, over midnight if from is later; null: never), the instant at which it no longer is.';
revoke all on function private.release_at(timestamptz, text, time, time) from public, anon, authenticated, service_role;
grant execute on function private.release_at(timestamptz, text, time, time) to service_role;
