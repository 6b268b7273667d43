create function private.is_setting_valid(p_key text, p_value jsonb) returns boolean
language sql stable parallel safe
set search_path = ''
as $$
  select case p_key
    when 'absence_alert_threshold' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,3}$'
    when 'recase_after_days' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$'
    when 'engagement_weights' then private.are_engagement_numbers(p_value, 0)
    when 'engagement_targets' then private.are_engagement_numbers(p_value, 0.01)
    when 'notification_daily_cap' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^([1-9][0-9]?|100)$'
    when 'quiet_hours' then
      jsonb_typeof(p_value) = 'object' and (p_value - '{from,to}'::text[]) = '{}'
      and coalesce(p_value ->> 'from' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$' and p_value ->> 'to' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'
        and p_value ->> 'from' <> p_value ->> 'to', false)
    when 'panel_time_zone' then
      jsonb_typeof(p_value) = 'string' and private.is_time_zone(p_value #>> '{}')
    when 'panel_session_target' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$'
    when 'learning_stuck_days' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$'
    when 'learning_weekly_lessons' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$'
    when 'learning_pass_score' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^([0-9]|[1-9][0-9]|100)$'
    when 'language' then
      jsonb_typeof(p_value) = 'string' and private.is_language(p_value #>> '{}')
    when 'push_deadline_hours' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$' and (p_value #>> '{}')::integer <= 168
    else btrim(p_key) <> ''
  end;
$$;
comment on function private.is_setting_valid(text, jsonb) is
  'Whether a setting may be stored: each known key names its range, other keys only need a name. absence_alert_threshold: a whole number from 1 to 9999 (rules.md §4). recase_after_days: a whole number from 1 to 999. engagement_weights: numbers from 0 to 1000000 by attendance, groups, volunteering, classes, donations, not all of them 0; engagement_targets: the same from 0.01. notification_daily_cap: a whole number from 1 to 100. quiet_hours: {"from": "21:00", "to": "08:00"}, local times that differ. panel_time_zone: the name of a time zone. panel_session_target, learning_stuck_days, learning_weekly_lessons: whole numbers from 1 to 999; learning_pass_score: from 0 to 100. language: a tag such as "nb". push_deadline_hours: a whole number from 1 to 168.';
revoke all on function private.is_setting_valid(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.is_setting_valid(text, jsonb) to authenticated, service_role;
