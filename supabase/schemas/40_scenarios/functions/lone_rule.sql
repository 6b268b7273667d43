create function private.lone_rule(p_organization_id uuid, p_type text, p_parameters jsonb) returns private.scenario_rule
language plpgsql immutable
set search_path = ''
as $$
begin
  return jsonb_populate_record(null::private.scenario_rule, jsonb_build_object('organization_id', p_organization_id,
    'id', '00000000-0000-0000-0000-000000000000', 'type', p_type, 'is_enabled', true, 'activation', 'all',
    'cooldown_days', 14, 'max_reminders', 100, 'max_age_days', 7) || p_parameters);
end;
$$;
comment on function private.lone_rule(uuid, text, jsonb) is 'A rule that is stored nowhere, for asking an evaluator alone.';
revoke all on function private.lone_rule(uuid, text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.lone_rule(uuid, text, jsonb) to service_role;
