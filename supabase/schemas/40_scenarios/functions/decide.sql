create function private.decide(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_gates jsonb;
  v_claims private.notification_claim[];
  v_outcomes jsonb;
begin
  with gates as materialized (
    select g.* from private.inactivity_gates(p_organization_id, p_from_user, p_to_user, p_user_ids, p_now) g
  )
  select
    (select jsonb_object_agg(c.gate, c.n)
     from (select g.gate, count(*) as n from gates g where g.gate <> 'would_send' group by g.gate) c),
    (select array_agg(row(g.user_id, 'inactivity', g.subject, g.rule_id, g.cooldown_days, g.crossed_at,
        jsonb_build_object('threshold_days', g.threshold_days, 'last_activity_at', g.last_activity_at, 'anchor_at', g.anchor_at)
      )::private.notification_claim)
     from gates g where g.gate = 'would_send')
    into v_gates, v_claims;

  if v_claims is not null then
    select jsonb_object_agg(o.outcome, o.n) into v_outcomes
    from (
      select c.outcome, count(*) as n
      from private.claim_notifications(p_organization_id, v_claims, p_now) c
      group by c.outcome
    ) o;
  end if;
  return private.add_counts(
    jsonb_build_object('inactivity', coalesce(v_gates, '{}')), jsonb_build_object('inactivity', coalesce(v_outcomes, '{}')));
end;
$$;
comment on function private.decide(uuid, uuid, uuid, uuid[], timestamptz) is
  'Evaluates a range (from inclusive, to exclusive, null: open) or list of people of one organisation, with all effects, in the caller''s transaction. Returns {"scenario": {"gate": n}}.';
revoke all on function private.decide(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.decide(uuid, uuid, uuid, uuid[], timestamptz) to service_role;
