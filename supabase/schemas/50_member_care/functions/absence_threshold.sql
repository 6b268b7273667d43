create function private.absence_threshold(p_organization_id uuid) returns integer
language sql stable parallel safe
set search_path = ''
as $$
  select coalesce(
    (select (s.value #>> '{}')::integer from public.org_settings_kv s
     where s.organization_id = p_organization_id and s.key = 'absence_alert_threshold'),
    3);
$$;
comment on function private.absence_threshold(uuid) is
  'How many consecutive absences put somebody at risk: the setting absence_alert_threshold, 3 unless set.';
revoke all on function private.absence_threshold(uuid) from public, anon, authenticated, service_role;
grant execute on function private.absence_threshold(uuid) to service_role;
