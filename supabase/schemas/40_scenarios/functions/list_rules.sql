create function public.list_rules(p_organization_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(r) || jsonb_build_object('evaluated_until', nullif(c.evaluated_until, '-infinity'))
      order by r.type, r.name), '[]')
    from public.scenario_rules r
    left join private.rule_clocks c on c.organization_id = r.organization_id and c.rule_id = r.id
    where r.organization_id = p_organization_id);
end;
$$;
comment on function public.list_rules(uuid) is 'The rules of an organisation, and until when each has been evaluated.';
revoke all on function public.list_rules(uuid) from public, anon, authenticated, service_role;
grant execute on function public.list_rules(uuid) to service_role;
