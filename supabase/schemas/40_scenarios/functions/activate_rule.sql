create function private.activate_rule(
  p_rule private.scenario_rule, p_activation text, p_spread_days integer, p_now timestamptz)
returns private.scenario_rule
language plpgsql stable
set search_path = ''
as $$
declare
  v_rule private.scenario_rule := p_rule;
begin
  if p_activation is null or p_activation not in ('skip', 'all', 'spread') then
    raise exception using errcode = 'PT400', message = 'activation_is_needed',
      detail = jsonb_build_object('activation', p_activation, 'allowed', array['skip', 'all', 'spread'])::text,
      hint = 'Say what becomes of those who match already: skip them, tell all, or spread them over days.';
  end if;
  if p_rule.type = 'certification_expiry' and p_activation <> 'all' then
    raise exception using errcode = 'PT400', message = 'certificates_are_never_skipped',
      detail = jsonb_build_object('activation', p_activation, 'allowed', array['all'])::text,
      hint = 'Certificates that have not expired yet are what the rule is for.';
  end if;
  if (p_activation = 'spread') <> (p_spread_days is not null) or p_spread_days not between 1 and 365 then
    raise exception using errcode = 'PT400', message = 'spread_days_out_of_range',
      detail = jsonb_build_object('spread_days', p_spread_days, 'minimum', 1, 'maximum', 365)::text,
      hint = 'spread needs spread_days; skip and all have none.';
  end if;
  v_rule.activation := p_activation;
  v_rule.spread_days := p_spread_days;
  v_rule.effective_from := p_now;
  return v_rule;
end;
$$;
comment on function private.activate_rule(private.scenario_rule, text, integer, timestamptz) is
  'The rule as it decides from p_now on, with what becomes of crossings before. PT400 unless that is said.';
revoke all on function private.activate_rule(private.scenario_rule, text, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.activate_rule(private.scenario_rule, text, integer, timestamptz) to service_role;
