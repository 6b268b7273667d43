create function private.matching_subjects(p_rule private.scenario_rule, p_now timestamptz)
returns table (user_id uuid, subject text)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select m.user_id, m.subject
  from private.scenario_matches(p_rule.organization_id, null, null, null, array[p_rule], p_now, null, true) m
  where p_rule.id is not null;
end;
$$;
comment on function private.matching_subjects(private.scenario_rule, timestamptz) is
  'Everybody a rule matches at p_now, and in what, whatever gates come after. A null rule matches nobody.';
revoke all on function private.matching_subjects(private.scenario_rule, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.matching_subjects(private.scenario_rule, timestamptz) to service_role;
