create function private.claims_of(p_matches private.scenario_match[], p_rules private.scenario_rule[])
returns private.notification_claim[]
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select array_agg(row(
        m.user_id, m.scenario, m.subject, m.rule_id,
        -- Only inactivity reminds: a milestone and a certificate's lead are told once.
        case when m.scenario = 'inactivity' then r.cooldown_days end,
        m.crossed_at, m.context, r.version, r.priority, r.is_mandatory, r.informs_coordinators)::private.notification_claim)
    from unnest(p_matches) as m
    join unnest(p_rules) as r on r.id = m.rule_id
    where m.gate is null);
end;
$$;
comment on function private.claims_of(private.scenario_match[], private.scenario_rule[]) is
  'The claims that follow from those matches that nothing but the person speaks against; null: none.';
revoke all on function private.claims_of(private.scenario_match[], private.scenario_rule[]) from public, anon, authenticated, service_role;
grant execute on function private.claims_of(private.scenario_match[], private.scenario_rule[]) to service_role;
