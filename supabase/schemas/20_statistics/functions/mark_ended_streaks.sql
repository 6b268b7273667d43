create function private.mark_ended_streaks(p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_yesterday timestamptz := (date_trunc('day', p_now at time zone 'UTC') - interval '1 day') at time zone 'UTC';
begin
  -- Whoever was last active before yesterday has no streak any more, in every period that was open then: all of those
  -- contain that last day, so its mark has them recomputed.
  -- Whoever calls this drains; no bell is needed.
  perform set_config('attend.statistics_bell', 'requested', true);
  perform private.mark_statistics(array_agg(s.organization_id), array_agg(s.user_id),
    array_agg((s.last_activity_date at time zone 'UTC')::date))
  from public.activity_statistics s
  where s.period_type = 'all_time' and s.streak_days > 0 and s.last_activity_date < v_yesterday
    -- Only a mark of that very day excuses: another's drain would move the last day on, and nobody would look back.
    and not exists (
      select from private.statistics_marks m
      where m.organization_id = s.organization_id and m.user_id = s.user_id
        and (m.day is null or m.day = (s.last_activity_date at time zone 'UTC')::date));
end;
$$;
comment on function private.mark_ended_streaks(timestamptz) is
  'Marks everybody whose streak ended before yesterday (UTC) and still shows. Costs what has decayed, not who exists; a missed midnight is made up for at the next call.';
revoke all on function private.mark_ended_streaks(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.mark_ended_streaks(timestamptz) to service_role;
