create function private.count_gates(p_matches private.scenario_match[]) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_object_agg(s.scenario, s.gates), '{}')
    from (
      select g.scenario, jsonb_object_agg(g.gate, g.n) as gates
      from (select m.scenario, m.gate, count(*) as n from unnest(p_matches) as m where m.gate is not null group by m.scenario, m.gate) g
      group by g.scenario
    ) s);
end;
$$;
comment on function private.count_gates(private.scenario_match[]) is 'How many are held by which gate: {"scenario": {"gate": n}}.';
revoke all on function private.count_gates(private.scenario_match[]) from public, anon, authenticated, service_role;
grant execute on function private.count_gates(private.scenario_match[]) to service_role;
