create function private.template_forms(p_scenario text) returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select case p_scenario
    when 'pastoral_case' then array['opened', 'reopened', 'escalated', 'assigned']
    else array['self', 'coordinator']
  end;
$$;
comment on function private.template_forms(text) is
  'The texts a scenario has: to the person themselves and to their coordinators, or one for each thing that happens to a pastoral case.';
revoke all on function private.template_forms(text) from public, anon, authenticated, service_role;
grant execute on function private.template_forms(text) to authenticated, service_role;
