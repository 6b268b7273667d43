create function private.allowed_setting(p_key text) returns text
language sql immutable parallel safe
set search_path = ''
as $$
  select case p_key
    when 'absence_alert_threshold' then 'a whole number from 1 to 9999'
    when 'recase_after_days' then 'a whole number from 1 to 999'
    when 'engagement_weights' then
      'an object of numbers from 0 to 1000000, not all of them 0, by attendance, groups, volunteering, classes, donations'
    when 'engagement_targets' then
      'an object of numbers from 0.01 to 1000000 by attendance, groups, volunteering, classes, donations'
    when 'notification_daily_cap' then 'a whole number from 1 to 100'
    when 'quiet_hours' then 'two local times that differ, such as {"from": "21:00", "to": "08:00"}'
    when 'panel_time_zone' then 'the name of a time zone, such as "America/Guayaquil"'
    when 'panel_session_target' then 'a whole number from 1 to 999'
    when 'learning_stuck_days' then 'a whole number from 1 to 999'
    when 'learning_weekly_lessons' then 'a whole number from 1 to 999'
    when 'learning_pass_score' then 'a whole number from 0 to 100'
    when 'language' then 'a BCP 47 tag, such as "nb" or "es-MX"'
    when 'push_deadline_hours' then 'a whole number from 1 to 168'
    else 'any value, under a key that is not blank'
  end;
$$;
comment on function private.allowed_setting(text) is 'What private.is_setting_valid allows for a key, in words.';
revoke all on function private.allowed_setting(text) from public, anon, authenticated, service_role;
grant execute on function private.allowed_setting(text) to authenticated, service_role;
