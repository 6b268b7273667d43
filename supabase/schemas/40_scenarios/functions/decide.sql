create function private.decide(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz, p_run_id bigint default null)
returns jsonb
language plpgsql
set search_path = ''
-- What one function hands to the next is not to go through files.
set work_mem = '32MB'
as $$
declare
  v_rules private.scenario_rule[] := private.rules_of(p_organization_id, null);
  v_matches private.scenario_match[];
  v_decided private.scenario_match[];
  v_counts jsonb;
begin
  -- Of a list every gate is counted; of a range only those who match are looked at, for there may be millions of others.
  v_matches := array(
    select m from private.scenario_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, v_rules, p_now, null, p_user_ids is null) m
    where not exists (select from private.quarantine q where q.organization_id = p_organization_id and q.user_id = m.user_id));
  -- Before anybody is told, so that what no longer holds makes room in their day.
  perform private.retract_unmatched(p_organization_id, p_from_user, p_to_user, p_user_ids, v_matches, p_now);
  -- What matched has now been claimed, and what became of that is its gate.
  v_decided := array(
    select m from unnest(v_matches) as m where m.gate is not null
    union all
    select row(o.user_id, o.scenario, o.rule_id, o.subject, o.outcome, o.crossed_at, null, null, o.look_again_at, o.context)::private.scenario_match
    from private.claim_notifications(p_organization_id, private.claims_of(v_matches, v_rules), p_now) o);
  perform private.record_achievements(p_organization_id, v_decided, v_rules, p_now);
  perform private.record_held(p_organization_id, p_from_user, p_to_user, p_user_ids, v_decided, v_rules, p_now);
  v_counts := private.count_gates(v_decided);
  if p_run_id is not null then
    v_counts := private.add_counts(v_counts, private.record_findings(p_organization_id, v_decided, p_run_id));
  end if;
  return v_counts;
end;
$$;
comment on function private.decide(uuid, uuid, uuid, uuid[], timestamptz, bigint) is
  'Evaluates a range (from inclusive, to exclusive, null: open) or list of people of one organisation, with all effects, in the caller''s transaction. With p_run_id, a full evaluation, what the ticks should have told before is reported in private.sweep_findings. Returns {"scenario": {"gate": n}}.';
revoke all on function private.decide(uuid, uuid, uuid, uuid[], timestamptz, bigint) from public, anon, authenticated, service_role;
grant execute on function private.decide(uuid, uuid, uuid, uuid[], timestamptz, bigint) to service_role;
