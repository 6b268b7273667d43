create function public.save_rule(
  p_organization_id uuid, p_rule jsonb, p_added integer, p_removed integer, p_activation text default null,
  p_spread_days integer default null, p_tolerance integer default 0, p_now timestamptz default now())
returns jsonb
language plpgsql security definer
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_preview jsonb;
  v_rule private.scenario_rule;
begin
  if p_rule ? 'id' then
    perform from public.scenario_rules r where r.organization_id = p_organization_id and r.id::text = p_rule ->> 'id' for no key update;
  end if;
  v_preview := public.preview_rule(p_organization_id, p_rule, p_now);
  if p_added is null or p_removed is null or p_tolerance is null or p_tolerance < 0
    or abs((v_preview ->> 'added')::integer - p_added) > p_tolerance or abs((v_preview ->> 'removed')::integer - p_removed) > p_tolerance
  then
    raise exception using errcode = 'PT409', message = 'counts_have_drifted',
      detail = jsonb_build_object('acknowledged', jsonb_build_object('added', p_added, 'removed', p_removed),
        'now', jsonb_build_object('added', v_preview -> 'added', 'removed', v_preview -> 'removed'))::text,
      hint = 'Look at preview_rule again, and acknowledge what it says now.';
  end if;
  v_rule := jsonb_populate_record(null::private.scenario_rule, v_preview -> 'rule');
  if (v_preview ->> 'needs_activation')::boolean or p_activation is not null then
    v_rule := private.activate_rule(v_rule, p_activation, p_spread_days, p_now);
  elsif v_rule.activation is null then
    -- Switched off for now; switching it on will ask.
    v_rule.activation := 'all';
    v_rule.effective_from := p_now;
  end if;
  begin
    if v_rule.version = 0 then
      insert into public.scenario_rules (
        organization_id, id, type, name, is_enabled, threshold_days, cooldown_days, priority, effective_from, activation,
        spread_days, max_reminders, metric, period, thresholds, max_age_days, lead_days, is_mandatory, informs_coordinators)
      values (
        v_rule.organization_id, v_rule.id, v_rule.type, v_rule.name, v_rule.is_enabled, v_rule.threshold_days, v_rule.cooldown_days,
        v_rule.priority, v_rule.effective_from, v_rule.activation, v_rule.spread_days, v_rule.max_reminders, v_rule.metric,
        v_rule.period, v_rule.thresholds, v_rule.max_age_days, v_rule.lead_days, v_rule.is_mandatory, v_rule.informs_coordinators);
    else
      update public.scenario_rules r
      set name = v_rule.name, is_enabled = v_rule.is_enabled, threshold_days = v_rule.threshold_days,
          cooldown_days = v_rule.cooldown_days, priority = v_rule.priority, effective_from = v_rule.effective_from,
          activation = v_rule.activation, spread_days = v_rule.spread_days, max_reminders = v_rule.max_reminders,
          metric = v_rule.metric, period = v_rule.period, thresholds = v_rule.thresholds, max_age_days = v_rule.max_age_days,
          lead_days = v_rule.lead_days, is_mandatory = v_rule.is_mandatory, informs_coordinators = v_rule.informs_coordinators
      where r.organization_id = p_organization_id and r.id = v_rule.id;
    end if;
  exception when unique_violation then
    -- Somebody else was quicker since private.check_rule looked.
    raise exception using errcode = 'PT409', message = 'rule_name_is_taken', detail = jsonb_build_object('name', v_rule.name)::text;
  end;
  return (select to_jsonb(r) from public.scenario_rules r where r.organization_id = p_organization_id and r.id = v_rule.id);
end;
$$;
-- Definer because nobody may write rules but by way of this check: service_role, the only one who may call it, included.
comment on function public.save_rule(uuid, jsonb, integer, integer, text, integer, integer, timestamptz) is
  'Makes a rule, or with "id" a new version of it, after p_added and p_removed (people, from public.preview_rule) were acknowledged; p_tolerance allows for as many more or fewer. Where it starts to concern somebody, p_activation says what becomes of those who match already: skip, all, or spread over p_spread_days. Returns the rule. PT409 counts_have_drifted with the present numbers, PT400 activation_is_needed, and what private.draft_rule raises.';
revoke all on function public.save_rule(uuid, jsonb, integer, integer, text, integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.save_rule(uuid, jsonb, integer, integer, text, integer, integer, timestamptz) to service_role;
