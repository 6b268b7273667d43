create function private.release_at(p_now timestamptz, p_time_zone text, p_quiet_from time, p_quiet_to time) returns timestamptz
language plpgsql stable parallel safe
set search_path = ''
as $$
declare
  v_local timestamp := p_now at time zone p_time_zone;
  v_time time := v_local::time;
  v_ends_local timestamp;
  v_ends_at timestamptz;
  v_missing interval;
begin
  if p_quiet_from is null
    or (p_quiet_from < p_quiet_to and not (v_time >= p_quiet_from and v_time < p_quiet_to))
    or (p_quiet_from > p_quiet_to and v_time >= p_quiet_to and v_time < p_quiet_from)
  then
    return p_now;
  end if;
  v_ends_local := v_local::date + p_quiet_to + case when v_time >= p_quiet_to then interval '1 day' else interval '0' end;
  -- As far away as on the clock, if nobody changes it before: then it is also the first of two that the clock shows. (Less than a
  -- day, so that no session's zone has a say in the sum.)
  v_ends_at := p_now + (v_ends_local - v_local);
  v_missing := v_ends_local - (v_ends_at at time zone p_time_zone);
  if v_missing <> interval '0' then
    v_ends_at := v_ends_at + v_missing;
    -- The clock jumps over the end, which then comes with the jump: the first full minute that shows it or a later time. Which
    -- minute that is, and how far the clock goes, is every zone's own business (Chatham: at a quarter to three; Troll: two hours).
    if v_ends_at at time zone p_time_zone < v_ends_local then
      v_ends_at := (
        select min(m.at) from generate_series(v_ends_at, v_ends_at - v_missing, interval '1 minute') as m (at)
        where m.at at time zone p_time_zone >= v_ends_local);
    end if;
  end if;
  return v_ends_at;
end;
$$;
comment on function private.release_at(timestamptz, text, time, time) is
  'p_now, or where it is quiet in a time zone (from inclusive, to exclusive, over midnight if from is later; null: never), the instant at which it no longer is.';
revoke all on function private.release_at(timestamptz, text, time, time) from public, anon, authenticated, service_role;
grant execute on function private.release_at(timestamptz, text, time, time) to service_role;
