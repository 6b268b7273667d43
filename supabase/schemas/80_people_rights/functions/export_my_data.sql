create function public.export_my_data() returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_user_id constant uuid := private.current_user_id();
begin
  if v_user_id is null then
    raise exception using errcode = '42501', message = 'nobody_of_any_organisation', hint = 'Sign in with the login that an invitation has linked.';
  end if;
  return private.document_of(private.current_organization_id(), 'user', v_user_id::text);
end;
$$;
-- Definer because much of what is held of a person is in tables that they may not read; it takes no argument and answers about auth.uid() alone.
comment on function public.export_my_data() is
  'Everything held of who is signed in, active or not, as one document, without what is another person''s (private.document_of).';
revoke all on function public.export_my_data() from public, anon, authenticated, service_role;
grant execute on function public.export_my_data() to authenticated;
