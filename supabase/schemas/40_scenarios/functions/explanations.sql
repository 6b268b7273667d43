create function private.explanations(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
      'user_id', g.user_id, 'scenario', 'inactivity', 'rule_id', g.rule_id, 'subject', g.subject, 'gate', g.gate,
      'crossed_at', case when g.crossed_at <= p_now then g.crossed_at end,
      'detail', jsonb_strip_nulls(jsonb_build_object(
        'role', g.role, 'threshold_days', g.threshold_days,
        'days_inactive', round(extract(epoch from p_now - g.anchor_at) / 86400, 3),
        'last_activity_at', g.last_activity_at, 'anchor_at', g.anchor_at, 'would_cross_at', g.crossed_at,
        'away_until', g.away_until, 'opted_out_of', g.opted_out_of, 'cooldown_until', g.cooldown_until)))
    order by g.user_id, g.rule_id), '[]')
  from private.inactivity_gates(p_organization_id, p_from_user, p_to_user, p_user_ids, p_now) g;
$$;
comment on function private.explanations(uuid, uuid, uuid, uuid[], timestamptz) is
  'The gates of a range or list of people as readable rows, ordered by person and rule: [{user_id, scenario, rule_id, subject, gate, crossed_at, detail}].';
revoke all on function private.explanations(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.explanations(uuid, uuid, uuid, uuid[], timestamptz) to service_role;
