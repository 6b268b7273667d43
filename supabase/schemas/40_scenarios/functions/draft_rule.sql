create function private.draft_rule(p_organization_id uuid, p_rule jsonb) returns private.scenario_rule
language plpgsql stable
set search_path = ''
as $$
declare
  v_common constant text[] := '{id,type,name,is_enabled,priority,is_mandatory,informs_coordinators}';
  v_allowed text[];
  v_unknown text[];
  v_old private.scenario_rule;
  v_rule private.scenario_rule;
begin
  if not exists (select from public.organizations o where o.id = p_organization_id) then
    raise exception using errcode = 'PT404', message = 'unknown_organization',
      detail = jsonb_build_object('organization_id', p_organization_id)::text;
  end if;
  if jsonb_typeof(p_rule) is distinct from 'object' then
    raise exception using errcode = 'PT400', message = 'rule_is_not_an_object', hint = 'Pass a JSON object.';
  end if;
  if p_rule ? 'id' then
    select r.* into v_old from unnest(private.rules_of(p_organization_id, null)) as r where r.id::text = p_rule ->> 'id';
    if not found then
      raise exception using errcode = 'PT404', message = 'unknown_rule',
        detail = jsonb_build_object('organization_id', p_organization_id, 'rule_id', p_rule ->> 'id')::text;
    end if;
    if p_rule ? 'type' and p_rule ->> 'type' is distinct from v_old.type then
      raise exception using errcode = 'PT400', message = 'type_cannot_change', hint = 'Make another rule.';
    end if;
    -- What is recorded names threshold and period: 50 sessions must not be taken for 50 hours.
    if v_old.type = 'milestone' and p_rule ? 'metric' and p_rule ->> 'metric' is distinct from v_old.metric then
      raise exception using errcode = 'PT400', message = 'metric_cannot_change', hint = 'Make another rule.';
    end if;
    v_rule := v_old;
  else
    perform private.check_rule_type(p_rule ->> 'type');
    if not p_rule ?& '{name,is_enabled}' then
      raise exception using errcode = 'PT400', message = 'rule_is_incomplete',
        detail = jsonb_build_object('needed', array['type', 'name', 'is_enabled'])::text;
    end if;
    -- The defaults of the columns, in one place more than one would wish; a test compares them.
    v_rule := jsonb_populate_record(v_rule, jsonb_build_object(
      'organization_id', p_organization_id, 'id', gen_random_uuid(), 'type', p_rule ->> 'type', 'threshold_days', 21,
      'cooldown_days', 14, 'version', 0, 'priority', 100, 'max_reminders', 3, 'metric', 'sessions',
      'period', 'year', 'thresholds', array[50], 'max_age_days', 7, 'lead_days', array[30], 'is_mandatory', false,
      'informs_coordinators', false));
  end if;
  v_allowed := v_common || case v_rule.type
    when 'inactivity' then '{threshold_days,cooldown_days,max_reminders}'::text[]
    when 'milestone' then '{metric,period,thresholds,max_age_days}'
    when 'certification_expiry' then '{lead_days}' end;
  v_unknown := array(select k from jsonb_object_keys(p_rule) k where k <> all (v_allowed) order by k);
  if v_unknown <> '{}' then
    raise exception using errcode = 'PT400', message = 'unknown_parameter',
      detail = jsonb_build_object('unknown', v_unknown, 'type', v_rule.type, 'allowed', v_allowed)::text;
  end if;
  begin
    v_rule := jsonb_populate_record(v_rule, p_rule);
  exception when data_exception then
    raise exception using errcode = 'PT400', message = 'parameter_of_wrong_type', detail = jsonb_build_object('problem', sqlerrm)::text;
  end;
  v_rule.organization_id := p_organization_id;
  perform private.check_rule(v_rule);
  return v_rule;
end;
$$;
comment on function private.draft_rule(uuid, jsonb) is
  'The rule that an edit would make: a new one, or with "id" the present one with these parameters changed. Writes nothing. PT400 and PT404 with what is allowed.';
revoke all on function private.draft_rule(uuid, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.draft_rule(uuid, jsonb) to service_role;
