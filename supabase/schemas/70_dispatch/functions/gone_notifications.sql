create function private.gone_notifications(p_organization_id uuid, p_notification_ids uuid[], p_now timestamptz) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_ruled uuid[];
  v_rule_ids uuid[];
  v_user_ids uuid[];
  v_rules private.scenario_rule[];
  v_gone uuid[] := '{}';
begin
  select array_agg(n.id), array_agg(distinct n.rule_id), array_agg(distinct n.user_id) into v_ruled, v_rule_ids, v_user_ids
  from public.notifications n
  where n.organization_id = p_organization_id and n.id = any (p_notification_ids) and n.rule_id is not null;
  if v_ruled is not null then
    v_rules := private.rules_of(p_organization_id, null);
    v_rules := array(select r from unnest(v_rules) as r where r.id = any (v_rule_ids));
    -- As of the end of time: from the raw rows, all that there are.
    v_gone := private.unmatched_notifications(p_organization_id, null, null, null,
      array(select m from private.scenario_matches(p_organization_id, null, null, v_user_ids, v_rules, p_now, 'infinity', false) m),
      p_now, v_ruled);
  end if;
  return v_gone || array(
    select n.id
    from public.notifications n
    left join public.pastoral_cases c on c.organization_id = n.organization_id and c.id::text = n.context ->> 'case_id'
    where n.organization_id = p_organization_id and n.id = any (p_notification_ids) and n.scenario = 'pastoral_case'
      and n.context ? 'case_id' and private.is_case_of(c.status, c.assigned_servant_id, n.user_id) is not true);
end;
$$;
comment on function private.gone_notifications(uuid, uuid[], timestamptz) is
  'Which of these notifications would not be made any more: by the evaluators that made them, over raw rows. What somebody outside decided holds.';
revoke all on function private.gone_notifications(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.gone_notifications(uuid, uuid[], timestamptz) to service_role;
