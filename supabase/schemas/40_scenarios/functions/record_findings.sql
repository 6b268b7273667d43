create function private.record_findings(
  p_organization_id uuid, p_decided private.scenario_match[], p_run_id bigint)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_found jsonb;
begin
  with found as (
    insert into private.sweep_findings (organization_id, user_id, run_id, scenario, subject, crossed_at)
    select p_organization_id, m.user_id, p_run_id, m.scenario, m.subject, m.crossed_at
    from unnest(p_decided) as m
    where m.gate in ('sent', 'quiet_hours')
      and not exists (select from private.scenario_marks k where k.organization_id = p_organization_id and k.user_id = m.user_id)
    returning scenario
  )
  select jsonb_object_agg(g.scenario, jsonb_build_object('missed_by_ticks', g.n)) into v_found
  from (select f.scenario, count(*) as n from found f group by f.scenario) g;
  return coalesce(v_found, '{}');
end;
$$;
comment on function private.record_findings(uuid, private.scenario_match[], bigint) is
  'Whom a full evaluation told although a tick just before it (public.evaluate_chunk) had not marked them: the ticks miss them. Returns the counts of a run: {"scenario": {"missed_by_ticks": n}}.';
revoke all on function private.record_findings(uuid, private.scenario_match[], bigint) from public, anon, authenticated, service_role;
grant execute on function private.record_findings(uuid, private.scenario_match[], bigint) to service_role;
