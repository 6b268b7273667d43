create function private.languages(p_own text, p_organization text) returns text[]
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  v_language text;
  v_found text[] := '{}';
begin
  foreach v_language in array array[lower(p_own), lower(p_organization), 'en'] loop
    while v_language <> '' loop
      v_found := v_found || v_language;
      -- The default texts are in Bokmål, which everybody who asks for Norwegian reads.
      if v_language in ('no', 'nn') then
        v_found := v_found || array['nb', 'no'];
      elsif v_language = 'nb' then
        v_found := v_found || 'no'::text;
      end if;
      v_language := case when v_language like '%-%' then regexp_replace(v_language, '-[^-]*$', '') else '' end;
    end loop;
  end loop;
  return v_found;
end;
$$;
comment on function private.languages(text, text) is
  'In which languages a text is looked for, best first: a person''s own and what it is a variety of, then the organisation''s, then English.';
revoke all on function private.languages(text, text) from public, anon, authenticated, service_role;
grant execute on function private.languages(text, text) to authenticated, service_role;
