create function private.panel_settings() returns private.panel_settings
language plpgsql stable parallel safe
set search_path = ''
as $$
declare
  v_settings private.panel_settings;
begin
  v_settings.organization_id := private.organization_as('{manager}');
  if v_settings.organization_id is null then
    raise exception using errcode = '42501', message = 'only_managers_read_the_panel',
      hint = 'Sign in as an active manager of the organisation. Neither the publishable nor the secret key alone will do.';
  end if;
  select coalesce(max(s.value #>> '{}') filter (where s.key = 'panel_time_zone'), 'America/Guayaquil'),
      coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'panel_session_target'), 30),
      make_interval(hours => 24 * coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'learning_stuck_days'), 14)),
      coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'learning_weekly_lessons'), 1),
      coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'learning_pass_score'), 60)
    into v_settings.time_zone, v_settings.session_target, v_settings.stuck_after, v_settings.weekly_lessons, v_settings.pass_score
  from public.org_settings_kv s
  where s.organization_id = v_settings.organization_id
    and s.key in ('panel_time_zone', 'panel_session_target', 'learning_stuck_days', 'learning_weekly_lessons', 'learning_pass_score');
  return v_settings;
end;
$$;
comment on function private.panel_settings() is
  'The organisation of the manager who is signed in, and its settings for the panel. 42501 only_managers_read_the_panel for everybody else.';
revoke all on function private.panel_settings() from public, anon, authenticated, service_role;
grant execute on function private.panel_settings() to authenticated;
