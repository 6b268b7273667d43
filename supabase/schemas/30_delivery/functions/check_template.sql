create function private.check_template() returns trigger
language plpgsql
set search_path = ''
as $$
declare
  v_allowed constant text[] := private.template_placeholders(new.scenario, new.form);
  v_text text;
  v_unknown text;
begin
  perform private.check_scenario_type(new.scenario);
  if new.form <> all (private.template_forms(new.scenario)) then
    raise exception using errcode = 'PT400', message = 'unknown_form',
      detail = jsonb_build_object('form', new.form, 'allowed', private.template_forms(new.scenario))::text;
  end if;
  foreach v_text in array array[new.title, new.body] loop
    if regexp_replace(v_text, '\{[^{}]*\}', '', 'g') ~ '[{}]' then
      raise exception using errcode = 'PT400', message = 'unmatched_brace',
        detail = jsonb_build_object('text', v_text, 'allowed', v_allowed)::text, hint = 'Braces stand around the name of a value, and nowhere else.';
    end if;
    select m.parts[1] into v_unknown
    from regexp_matches(v_text, '\{([^{}]*)\}', 'g') as m (parts)
    where m.parts[1] <> all (v_allowed)
    limit 1;
    if found then
      raise exception using errcode = 'PT400', message = 'unknown_placeholder',
        detail = jsonb_build_object('placeholder', v_unknown, 'allowed', v_allowed)::text;
    end if;
  end loop;
  new.updated_at := now();
  return new;
end;
$$;
comment on function private.check_template() is
  'Trigger on public.notification_templates: PT400 unknown_placeholder, unmatched_brace or unknown_form, with what is allowed.';
revoke all on function private.check_template() from public, anon, authenticated, service_role;
