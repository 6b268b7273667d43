create function private.sweep_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_rules private.scenario_rule[], p_now timestamptz)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
as $$
declare
  v_rule private.scenario_rule;
  v_rest record;
begin
  return query
  select m.* from private.scenario_matches(p_organization_id, p_from_user, p_to_user, null,
    array(select r from unnest(p_rules) as r where r.type <> 'inactivity'), p_now, null, true) m;
  -- Rule by rule, for somebody may be at rest by one and awake by another.
  foreach v_rule in array p_rules loop
    if v_rule.type = 'inactivity' and v_rule.is_enabled then
      select r.* into v_rest from private.inactivity_at_rest(p_organization_id, p_from_user, p_to_user, v_rule, p_now) r;
      if v_rest.awake <> '{}' then
        return query
        select m.* from private.scenario_matches(p_organization_id, null, null, v_rest.awake, array[v_rule], p_now, null, true) m;
      end if;
      return query
      select null::uuid, v_rule.type, v_rule.id, v_rule.id::text, g.gate, null::timestamptz, null::text, null::text, null::timestamptz,
        jsonb_build_object('people', g.people)
      from (values ('cooling_down', v_rest.cooling_down), ('opted_out', v_rest.opted_out)) as g (gate, people)
      where g.people > 0;
    end if;
  end loop;
end;
$$;
comment on function private.sweep_matches(uuid, uuid, uuid, private.scenario_rule[], timestamptz) is
  'What private.scenario_matches says of everybody of a range who matches, but those for whom an evaluation can do nothing today come as one row a rule and gate without a person: how many they are.';
revoke all on function private.sweep_matches(uuid, uuid, uuid, private.scenario_rule[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.sweep_matches(uuid, uuid, uuid, private.scenario_rule[], timestamptz) to service_role;
