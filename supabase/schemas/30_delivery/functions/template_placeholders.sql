create function private.template_placeholders(p_scenario text, p_form text) returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select array['name', 'first_name', 'organization']
    || case when p_form = 'coordinator' then array['person'] else '{}' end
    || case p_scenario
      when 'inactivity' then array['days', 'since', 'last_activity']
      when 'milestone' then array['threshold', 'value', 'metric', 'period']
      when 'certification_expiry' then array['certificate', 'expires_on', 'days']
      when 'pastoral_case' then array['absences']
      else '{}'
    end;
$$;
comment on function private.template_placeholders(text, text) is
  'What a text may name in braces. Nothing of somebody asked after: a phone shows it to whoever looks.';
revoke all on function private.template_placeholders(text, text) from public, anon, authenticated, service_role;
grant execute on function private.template_placeholders(text, text) to authenticated, service_role;
