create function private.gone_notifications(p_organization_id uuid, p_releases private.push_release[], p_now timestamptz) returns uuid[]
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
  select array_agg(r.notification_id), array_agg(distinct r.rule_id), array_agg(distinct r.user_id) into v_ruled, v_rule_ids, v_user_ids
  from unnest(p_releases) as r where r.rule_id is not null;
  if v_ruled is not null then
    v_rules := private.rules_of(p_organization_id, null);
    v_rules := array(select r from unnest(v_rules) as r where r.id = any (v_rule_ids));
    -- As of the end of time: from the raw rows, all that there are.
    v_gone := private.unmatched_notifications(p_organization_id, null, null, null,
      array(select m from private.scenario_matches(p_organization_id, null, null, v_user_ids, v_rules, p_now, 'infinity', false) m),
      p_now, v_ruled);
  end if;
  if exists (select from unnest(p_releases) as r where r.scenario = 'pastoral_case') then
    v_gone := v_gone || array(
      select n.id
      from unnest(p_releases) as r
      join public.notifications n on n.organization_id = p_organization_id and n.id = r.notification_id
      left join public.pastoral_cases c on c.organization_id = n.organization_id
        and c.id = case when pg_catalog.pg_input_is_valid(n.context ->> 'case_id', 'uuid') then (n.context ->> 'case_id')::uuid end
      where r.scenario = 'pastoral_case' and n.context ? 'case_id' and private.is_case_of(c.status, c.assigned_servant_id, n.user_id) is not true);
  end if;
  return v_gone;
end;
$$;
comment on function private.gone_notifications(uuid, private.push_release[], timestamptz) is
  'The notifications of these pushes of one organisation that would not be made any more: by the evaluators that made them, over raw rows. What somebody outside decided holds.';
revoke all on function private.gone_notifications(uuid, private.push_release[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.gone_notifications(uuid, private.push_release[], timestamptz) to service_role;
