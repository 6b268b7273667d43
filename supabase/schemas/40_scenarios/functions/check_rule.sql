create function private.check_rule(p_rule private.scenario_rule) returns void
language plpgsql stable
set search_path = ''
as $$
declare
  v_problem jsonb := (
    select jsonb_build_object('parameter', c.parameter, 'value', c.value, 'allowed', c.allowed)
    from (values
      ('name', to_jsonb(p_rule.name), 'not blank', btrim(p_rule.name) <> ''),
      ('is_enabled', to_jsonb(p_rule.is_enabled), 'true or false', p_rule.is_enabled is not null),
      ('threshold_days', to_jsonb(p_rule.threshold_days), '1 to 3650', p_rule.threshold_days between 1 and 3650),
      ('cooldown_days', to_jsonb(p_rule.cooldown_days), '1 to 3650', p_rule.cooldown_days between 1 and 3650),
      ('max_reminders', to_jsonb(p_rule.max_reminders), '1 to 100', p_rule.max_reminders between 1 and 100),
      ('priority', to_jsonb(p_rule.priority), '0 to 1000', p_rule.priority between 0 and 1000),
      ('metric', to_jsonb(p_rule.metric), 'sessions, hours or contacts', p_rule.metric in ('sessions', 'hours', 'contacts')),
      ('period', to_jsonb(p_rule.period), 'year or all_time', p_rule.period in ('year', 'all_time')),
      ('thresholds', to_jsonb(p_rule.thresholds), '1 to 20 different whole numbers from 1 to 1000000',
        private.are_thresholds(p_rule.thresholds, 1000000)),
      ('max_age_days', to_jsonb(p_rule.max_age_days), '1 to 366', p_rule.max_age_days between 1 and 366),
      ('lead_days', to_jsonb(p_rule.lead_days), '1 to 20 different whole numbers from 1 to 365', private.are_thresholds(p_rule.lead_days, 365)),
      ('is_mandatory', to_jsonb(p_rule.is_mandatory), 'true or false', p_rule.is_mandatory is not null),
      ('informs_coordinators', to_jsonb(p_rule.informs_coordinators), 'true or false', p_rule.informs_coordinators is not null)
    ) as c (parameter, value, allowed, is_allowed)
    where c.is_allowed is not true
    limit 1);
begin
  if v_problem is not null then
    raise exception using errcode = 'PT400', message = 'parameter_out_of_range', detail = v_problem::text;
  end if;
  if exists (
    select from public.scenario_rules r
    where r.organization_id = p_rule.organization_id and r.type = p_rule.type and r.name = p_rule.name and r.id <> p_rule.id)
  then
    raise exception using errcode = 'PT409', message = 'rule_name_is_taken', detail = jsonb_build_object('name', p_rule.name)::text;
  end if;
end;
$$;
comment on function private.check_rule(private.scenario_rule) is
  'Raises PT400 parameter_out_of_range with the allowed range, or PT409 rule_name_is_taken. The table''s constraints say the same to those who write it directly.';
revoke all on function private.check_rule(private.scenario_rule) from public, anon, authenticated, service_role;
grant execute on function private.check_rule(private.scenario_rule) to service_role;
