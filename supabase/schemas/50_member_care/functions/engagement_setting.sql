create function private.engagement_setting(p_organization_id uuid, p_key text) returns jsonb
language sql stable
set search_path = ''
as $$
  select case p_key
      when 'engagement_weights' then '{"attendance": 50, "groups": 20, "volunteering": 10, "classes": 10, "donations": 10}'::jsonb
      when 'engagement_targets' then '{"attendance": 12, "groups": 1, "volunteering": 3, "classes": 6, "donations": 100}'::jsonb
    end
    || coalesce((select s.value from public.org_settings_kv s where s.organization_id = p_organization_id and s.key = p_key), '{}');
$$;
comment on function private.engagement_setting(uuid, text) is
  'An organisation''s engagement_weights or engagement_targets; what it has not set is as by default.';
revoke all on function private.engagement_setting(uuid, text) from public, anon, authenticated, service_role;
