create function private.count_rule_version() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if to_jsonb(new) - 'version' is distinct from to_jsonb(old) - 'version' then
    new.version := old.version + 1;
  else
    new.version := old.version;
  end if;
  return new;
end;
$$;
comment on function private.count_rule_version() is 'Trigger on public.scenario_rules: an edit is a new version, however it is made.';
revoke all on function private.count_rule_version() from public, anon, authenticated, service_role;
