create function private.refresh_engagement_scores(p_now timestamptz default now()) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_message text;
  v_state text;
begin
  refresh materialized view concurrently private.people_engagement_scores;
  update private.schedules s
  set last_succeeded_at = clock_timestamp(),
      last_result = jsonb_build_object('computed_at', p_now, 'people', (select count(*) from private.people_engagement_scores))
  where s.name = 'engagement-scores';
exception when others then
  -- The scores stay as they were, and so does the time at which they were computed.
  get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
  update private.schedules s
  set last_result = coalesce(s.last_result, '{}') || jsonb_build_object('failed_at', p_now, 'sqlstate', v_state, 'message', v_message)
  where s.name = 'engagement-scores';
  raise warning 'attend: the engagement scores were not refreshed (%): %', v_state, v_message;
end;
$$;
comment on function private.refresh_engagement_scores(timestamptz) is
  'Cron: computes all scores anew while the old ones are read. Success or failure is in private.schedules; the start is committed there before.';
revoke all on function private.refresh_engagement_scores(timestamptz) from public, anon, authenticated, service_role;
