create function public.evaluate_inactivity(p_user_id uuid, p_threshold_days integer, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_rule private.scenario_rule;
  v_answer jsonb;
begin
  if p_threshold_days is null or p_threshold_days not between 1 and 3650 then
    raise exception using errcode = 'PT400', message = 'threshold_days_out_of_range',
      detail = jsonb_build_object('threshold_days', p_threshold_days, 'minimum', 1, 'maximum', 3650)::text;
  end if;
  v_rule := private.lone_rule(v_organization_id, 'inactivity', jsonb_build_object('threshold_days', p_threshold_days));
  select jsonb_build_object('user_id', m.user_id, 'organization_id', v_organization_id, 'threshold_days', p_threshold_days,
      'matched', m.gate is null, 'gate', coalesce(m.gate, 'matched'), 'last_activity_at', m.context -> 'last_activity_at',
      'anchor_at', m.context -> 'anchor_at', 'crossed_at', coalesce(m.crossed_at, (m.context ->> 'would_cross_at')::timestamptz),
      'days_inactive', round(extract(epoch from p_now - (m.context ->> 'anchor_at')::timestamptz) / 86400, 3))
    into v_answer
  from private.inactivity_matches(v_organization_id, null, null, array[p_user_id], array[v_rule], p_now, null, false) m;
  return v_answer;
end;
$$;
comment on function public.evaluate_inactivity(uuid, integer, timestamptz) is
  'The inactivity evaluator alone: whether a person has been quiet for this many days of 24 hours, with the values compared. No rule, preference or cooldown is asked, nothing is written. PT404 unknown_user, PT400 threshold_days_out_of_range (1 to 3650).';
revoke all on function public.evaluate_inactivity(uuid, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_inactivity(uuid, integer, timestamptz) to service_role;
