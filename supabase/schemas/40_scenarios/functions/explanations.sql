create function private.explanations(p_organization_id uuid, p_user_ids uuid[], p_scenario text, p_at timestamptz) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_as_of timestamptz := private.question_time(p_organization_id, p_at);
  v_rules private.scenario_rule[] := private.rules_of(p_organization_id, v_as_of);
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
        'user_id', g.user_id, 'full_name', u.full_name, 'scenario', g.scenario, 'rule_id', g.rule_id,
        'rule_version', g.rule_version, 'subject', g.subject, 'gate', g.gate, 'crossed_at', g.crossed_at, 'eligible_again_at', g.eligible_again_at, 'release_at', g.release_at,
        'detail', g.detail) order by g.user_id, g.rule_id, g.subject), '[]')
    from private.scenario_gates(p_organization_id, null, null, p_user_ids, v_rules, coalesce(v_as_of, now()), v_as_of) g
    join public.users u on u.organization_id = p_organization_id and u.id = g.user_id
    -- Not by the rules that are asked: a person's day is shared by all scenarios.
    where p_scenario is null or g.scenario = p_scenario);
end;
$$;
comment on function private.explanations(uuid, uuid[], text, timestamptz) is
  'The gates of a list of people as readable rows, ordered by person, rule and subject: [{user_id, full_name, scenario, rule_id, rule_version, subject, gate, crossed_at, eligible_again_at, release_at, detail}]. p_scenario null: all; p_at null: now.';
revoke all on function private.explanations(uuid, uuid[], text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.explanations(uuid, uuid[], text, timestamptz) to service_role;
