create function private.rule_types() returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select array_remove(private.scenario_types(), 'pastoral_case');
$$;
comment on function private.rule_types() is 'The scenarios that rules decide: all but those that a feature decides by itself.';
revoke all on function private.rule_types() from public, anon, authenticated, service_role;
grant execute on function private.rule_types() to service_role;
