create function public.evaluate_certification_expiry(p_user_id uuid, p_lead_days integer, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_rule private.scenario_rule;
  v_answer jsonb;
begin
  if p_lead_days is null or p_lead_days not between 1 and 365 then
    raise exception using errcode = 'PT400', message = 'lead_days_out_of_range',
      detail = jsonb_build_object('lead_days', p_lead_days, 'minimum', 1, 'maximum', 365)::text;
  end if;
  v_rule := private.lone_rule(v_organization_id, 'certification_expiry', jsonb_build_object('lead_days', array[p_lead_days]));
  select jsonb_build_object('user_id', p_user_id, 'organization_id', v_organization_id, 'lead_days', p_lead_days,
      'matched', coalesce(bool_or(m.gate is null), false),
      'gate', coalesce(min(m.gate) filter (where m.gate <> 'not_matched'), case when bool_or(m.gate is null) then 'matched' else 'not_matched' end),
      'certificates', coalesce(jsonb_agg(jsonb_build_object('certificate_id', m.context -> 'certificate_id', 'name', m.context -> 'name',
          'expires_at', m.context -> 'expires_at', 'matched', m.gate is null,
          'crossed_at', coalesce(m.crossed_at, (m.context ->> 'would_cross_at')::timestamptz))
        order by m.context ->> 'expires_at', m.context ->> 'certificate_id') filter (where m.context ? 'certificate_id'), '[]'))
    into v_answer
  from private.certification_expiry_matches(v_organization_id, null, null, array[p_user_id], array[v_rule], p_now, null, false) m;
  return v_answer;
end;
$$;
comment on function public.evaluate_certification_expiry(uuid, integer, timestamptz) is
  'The certification expiry evaluator alone: which certificates of a person expire within this many days of 24 hours. No rule, preference or cooldown is asked, nothing is written. PT404 unknown_user, PT400 lead_days_out_of_range (1 to 365).';
revoke all on function public.evaluate_certification_expiry(uuid, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_certification_expiry(uuid, integer, timestamptz) to service_role;
