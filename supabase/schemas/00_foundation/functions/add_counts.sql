create function private.add_counts(p_left jsonb, p_right jsonb) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select coalesce(jsonb_object_agg(per_scenario.scenario, per_scenario.gates), '{}')
  from (
    select summed.scenario, jsonb_object_agg(summed.gate, summed.n) as gates
    from (
      select s.key as scenario, g.key as gate, sum(g.value::bigint) as n
      from (values (p_left), (p_right)) as v (counts)
      cross join lateral jsonb_each(v.counts) as s (key, value)
      cross join lateral jsonb_each_text(s.value) as g (key, value)
      group by s.key, g.key
    ) summed
    group by summed.scenario
  ) per_scenario;
$$;
comment on function private.add_counts(jsonb, jsonb) is 'Sums two counts of the form {"scenario": {"gate": n}}.';
revoke all on function private.add_counts(jsonb, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.add_counts(jsonb, jsonb) to service_role;
