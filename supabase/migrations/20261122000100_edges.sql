-- Edges: where a clock or a year changes, one of two devices is left, a case goes to and fro, or a snapshot is older than a lock.
set check_function_bodies = off;

create or replace function private.milestone_periods(p_period text, p_max_age_days integer, p_now timestamptz)
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

create or replace function private.release_at(p_now timestamptz, p_time_zone text, p_quiet_from time, p_quiet_to time) returns timestamptz
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
