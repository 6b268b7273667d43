create function private.rules_of(p_organization_id uuid, p_as_of timestamptz) returns private.scenario_rule[]
language plpgsql stable
set search_path = ''
as $$
begin
  if p_as_of is null then
    return array(
      select jsonb_populate_record(null::private.scenario_rule, to_jsonb(r))
      from public.scenario_rules r where r.organization_id = p_organization_id order by r.id);
  end if;
  return array(
    select jsonb_populate_record(null::private.scenario_rule, v.rule)
    from public.scenario_rule_versions v
    where v.organization_id = p_organization_id and v.valid_from <= p_as_of and p_as_of < v.valid_to
    order by v.rule_id);
end;
$$;
comment on function private.rules_of(uuid, timestamptz) is 'The rules of an organisation, now (null) or as they stood at p_as_of; in the order of their ids.';
revoke all on function private.rules_of(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.rules_of(uuid, timestamptz) to service_role;
