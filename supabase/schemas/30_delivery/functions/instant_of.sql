create function private.instant_of(p_text text) returns timestamptz
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  return case when pg_catalog.pg_input_is_valid(p_text, 'timestamptz') then nullif(nullif(p_text::timestamptz, 'infinity'), '-infinity') end;
end;
$$;
comment on function private.instant_of(text) is 'The instant that a text names, null where it names none: what senders outside put into a context is theirs to get wrong.';
revoke all on function private.instant_of(text) from public, anon, authenticated, service_role;
grant execute on function private.instant_of(text) to authenticated, service_role;
