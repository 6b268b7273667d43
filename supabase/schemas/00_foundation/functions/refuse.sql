create function private.refuse(p_table text, p_constraint text, p_value jsonb, p_allowed text) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  raise exception using errcode = '23514', schema = 'public', table = p_table, constraint = p_constraint,
    message = format('new row for relation "%s" violates check constraint "%s"', p_table, p_constraint),
    detail = jsonb_build_object('value', p_value, 'allowed', p_allowed)::text,
    hint = 'Allowed: ' || p_allowed || '.';
end;
$$;
comment on function private.refuse(text, text, jsonb, text) is
  'The last word of a check constraint whose name cannot say what is allowed: "check (is_valid or private.refuse(…))". Raises what Postgres would, with the allowed range as hint and in the detail, to whoever writes by whatever way. Never returns.';
revoke all on function private.refuse(text, text, jsonb, text) from public, anon, authenticated, service_role;
grant execute on function private.refuse(text, text, jsonb, text) to authenticated, service_role;
