create function public.explain_scenarios(
  p_organization_id uuid, p_user_id uuid, p_scenario text default null, p_at timestamptz default null)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_at timestamptz := coalesce(p_at, now());
begin
  if p_scenario is not null then
    perform private.check_scenario_type(p_scenario);
  end if;
  if not exists (select from public.users u where u.organization_id = p_organization_id and u.id = p_user_id) then
    raise exception using errcode = 'PT404', message = 'unknown_user',
      detail = jsonb_build_object('organization_id', p_organization_id, 'user_id', p_user_id)::text;
  end if;
  return jsonb_build_object(
    'at', v_at, 'user', (
      select jsonb_build_object('user_id', u.id, 'full_name', u.full_name, 'role', u.role,
        'time_zone', private.time_zone_of_user(u.organization_id, u.id))
      from public.users u where u.organization_id = p_organization_id and u.id = p_user_id),
    'answers', private.explanations(p_organization_id, array[p_user_id], p_scenario, p_at),
    'told', (
      select coalesce(jsonb_agg(jsonb_build_object('notification_id', n.id, 'scenario', n.scenario, 'rule_id', n.rule_id,
          'rule_version', n.rule_version, 'subject', n.subject, 'crossed_at', n.crossed_at, 'triggered_at', n.triggered_at,
          'retracted_at', n.retracted_at, 'read_at', n.read_at, 'push', o.state, 'release_at', o.release_at, 'detail', n.context)
          order by n.triggered_at desc, n.id), '[]')
      from (
        select * from public.notifications t
        where t.organization_id = p_organization_id and t.user_id = p_user_id and t.triggered_at <= v_at
          and (p_scenario is null or t.scenario = p_scenario) and t.about_user_id is null
        order by t.triggered_at desc, t.id limit 50
      ) n
      left join private.outbox o on o.organization_id = n.organization_id and o.notification_id = n.id),
    'held', (
      select coalesce(jsonb_agg(jsonb_build_object('scenario', h.scenario, 'rule_id', h.rule_id, 'rule_version', h.rule_version,
          'subject', h.subject, 'gate', h.gate, 'crossed_at', h.crossed_at, 'decided_at', h.decided_at,
          'look_again_at', h.look_again_at) order by h.decided_at desc, h.subject), '[]')
      from private.held_decisions h
      where h.organization_id = p_organization_id and h.user_id = p_user_id and h.decided_at <= v_at
        and (p_scenario is null or h.scenario = p_scenario)),
    'quarantine', (
      select jsonb_build_object('reason', q.reason, 'message', q.message, 'since', q.since)
      from private.quarantine q where q.organization_id = p_organization_id and q.user_id = p_user_id));
end;
$$;
comment on function public.explain_scenarios(uuid, uuid, text, timestamptz) is
  'Why a person would or would not be told something now, or at p_at on the facts of then, matched or not: {at, user, answers: one row a rule and subject with gate, values and when it is eligible again; told: what was decided, as stored, newest first, 50 at most; held: who matched and was not told; quarantine}. PT404 unknown_user, PT400 unknown_scenario, time_out_of_range.';
revoke all on function public.explain_scenarios(uuid, uuid, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.explain_scenarios(uuid, uuid, text, timestamptz) to service_role;
