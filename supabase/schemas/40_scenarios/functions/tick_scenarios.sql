create function private.tick_scenarios(p_now timestamptz, p_changed_only boolean default false) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_organization_id uuid;
  v_organizations integer := 0;
  v_people integer := 0;
  v_due uuid[];
begin
  for v_organization_id in
    select distinct c.organization_id
    from private.rule_clocks c
    where c.evaluated_until < p_now and (c.evaluated_until = '-infinity' or not p_changed_only)
    order by c.organization_id
  loop
    v_due := private.take_due(v_organization_id, p_now, p_changed_only);
    v_organizations := v_organizations + 1;
    if v_due is not null then
      perform private.mark_people(array_fill(v_organization_id, array[cardinality(v_due)]), v_due);
      v_people := v_people + cardinality(v_due);
    end if;
  end loop;
  return jsonb_build_object('organizations', v_organizations, 'people', v_people);
end;
$$;
comment on function private.tick_scenarios(timestamptz, boolean) is
  'The incremental tick: whoever has become due by p_now since the last tick gets a scenario mark, which rings the engine. Costs what is due, not who exists. p_changed_only: only for rules that are new or changed. Returns {"organizations", "people"}.';
revoke all on function private.tick_scenarios(timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.tick_scenarios(timestamptz, boolean) to service_role;
