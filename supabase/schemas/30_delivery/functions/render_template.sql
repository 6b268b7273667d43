create function private.render_template(p_template text, p_values jsonb) returns text
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  v_parts text[];
  v_value text;
begin
  if strpos(p_template, '{') = 0 then
    return p_template;
  end if;
  -- In one pass, so that a name that has braces in it is a name: every second part stood inside a pair.
  v_parts := string_to_array(translate(p_template, '}', '{'), '{');
  for i in 2 .. cardinality(v_parts) by 2 loop
    v_value := p_values ->> v_parts[i];
    if v_value is null then
      return null;
    end if;
    v_parts[i] := v_value;
  end loop;
  return array_to_string(v_parts, '');
end;
$$;
comment on function private.render_template(text, jsonb) is 'The text with its values, or null where one of them is missing.';
revoke all on function private.render_template(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.render_template(text, jsonb) to authenticated, service_role;
