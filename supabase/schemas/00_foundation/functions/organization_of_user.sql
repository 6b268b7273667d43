create function private.organization_of_user(p_user_id uuid) returns uuid
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  select u.organization_id into strict v_organization_id from public.users u where u.id = p_user_id;
  return v_organization_id;
exception
  when no_data_found then
    raise exception using errcode = 'PT404', message = 'unknown_user',
      detail = jsonb_build_object('user_id', p_user_id)::text, hint = 'Pass the id of a row in public.users.';
  when too_many_rows then
    raise exception using errcode = 'PT409', message = 'ambiguous_user',
      detail = jsonb_build_object('user_id', p_user_id)::text, hint = 'Two organisations use this id; ids must be uuids made at random.';
end;
$$;
comment on function private.organization_of_user(uuid) is 'The organisation of a person. PT404 unknown_user when there is no such person.';
revoke all on function private.organization_of_user(uuid) from public, anon, authenticated, service_role;
grant execute on function private.organization_of_user(uuid) to service_role;
