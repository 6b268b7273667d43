create function public.delete_rule(p_organization_id uuid, p_rule_id uuid) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_rule jsonb;
begin
  delete from public.scenario_rules r where r.organization_id = p_organization_id and r.id = p_rule_id returning to_jsonb(r) into v_rule;
  if v_rule is null then
    raise exception using errcode = 'PT404', message = 'unknown_rule',
      detail = jsonb_build_object('organization_id', p_organization_id, 'rule_id', p_rule_id)::text;
  end if;
  return v_rule;
end;
$$;
-- Definer because nobody may write rules directly; service_role alone may call it.
comment on function public.delete_rule(uuid, uuid) is
  'Deletes a rule and takes back what it decided and is not sent; its versions, notifications and achievements stay. Returns the rule that was. PT404 unknown_rule.';
revoke all on function public.delete_rule(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function public.delete_rule(uuid, uuid) to service_role;
