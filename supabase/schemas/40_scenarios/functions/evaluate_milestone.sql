create function public.evaluate_milestone(
  p_user_id uuid, p_metric text, p_threshold integer default 50, p_period text default 'year', p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_rule private.scenario_rule;
  v_answer jsonb;
begin
  if p_metric is null or p_metric not in ('sessions', 'hours', 'contacts') then
    raise exception using errcode = 'PT400', message = 'unknown_milestone_type',
      detail = jsonb_build_object('milestone_type', p_metric, 'allowed', array['sessions', 'hours', 'contacts'])::text;
  end if;
  if p_period is null or p_period not in ('year', 'all_time') then
    raise exception using errcode = 'PT400', message = 'unknown_period',
      detail = jsonb_build_object('period', p_period, 'allowed', array['year', 'all_time'])::text;
  end if;
  if p_threshold is null or p_threshold not between 1 and 1000000 then
    raise exception using errcode = 'PT400', message = 'threshold_out_of_range',
      detail = jsonb_build_object('threshold', p_threshold, 'minimum', 1, 'maximum', 1000000)::text;
  end if;
  v_rule := private.lone_rule(v_organization_id, 'milestone', jsonb_build_object(
    'metric', p_metric, 'period', p_period, 'thresholds', array[p_threshold]));
  select jsonb_build_object('user_id', m.user_id, 'organization_id', v_organization_id, 'milestone_type', p_metric,
      'period', p_period, 'period_start', m.context -> 'period_start', 'threshold', p_threshold, 'value', m.context -> 'value',
      'matched', m.gate is null, 'gate', coalesce(m.gate, 'matched'), 'crossed_at', m.crossed_at)
    into v_answer
  from private.milestone_matches(v_organization_id, null, null, array[p_user_id], array[v_rule], p_now, null, false) m
  -- The period that p_now lies in; the last days of the one before are the rules' business.
  order by (m.context ->> 'period_start')::timestamptz desc nulls last
  limit 1;
  return v_answer;
end;
$$;
comment on function public.evaluate_milestone(uuid, text, integer, text, timestamptz) is
  'The milestone evaluator alone: whether a person has reached a count of sessions, hours or contacts in this year (UTC) or all time, and when. No rule, record or preference is asked, nothing is written. PT404 unknown_user, PT400 unknown_milestone_type, unknown_period, threshold_out_of_range (1 to 1000000).';
revoke all on function public.evaluate_milestone(uuid, text, integer, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_milestone(uuid, text, integer, text, timestamptz) to service_role;
