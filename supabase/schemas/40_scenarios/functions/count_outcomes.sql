create function private.count_outcomes(p_outcomes private.claim_outcome[]) returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_object_agg(s.scenario, s.outcomes), '{}')
  from (
    select o.scenario, jsonb_object_agg(o.outcome, o.n) as outcomes
    from (select c.scenario, c.outcome, count(*) as n from unnest(p_outcomes) as c group by c.scenario, c.outcome) o
    group by o.scenario
  ) s;
$$;
comment on function private.count_outcomes(private.claim_outcome[]) is 'How many claims ended how: {"scenario": {"outcome": n}}.';
revoke all on function private.count_outcomes(private.claim_outcome[]) from public, anon, authenticated, service_role;
grant execute on function private.count_outcomes(private.claim_outcome[]) to service_role;
