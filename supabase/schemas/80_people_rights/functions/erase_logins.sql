create function private.erase_logins(p_auth_user_ids uuid[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_table text;
  v_constraint text;
begin
  delete from auth.users a where a.id = any (p_auth_user_ids);
exception when foreign_key_violation then
  -- A table of the project's own that we know nothing of.
  get stacked diagnostics v_table = table_name, v_constraint = constraint_name;
  raise exception using errcode = 'PT409', message = 'login_is_referenced',
    detail = jsonb_build_object('table', v_table, 'constraint', v_constraint)::text,
    hint = 'Delete or change those rows first, or let their reference cascade.';
end;
$$;
comment on function private.erase_logins(uuid[]) is
  'Deletes logins from the platform''s own table, and with them sessions and identities. PT409 login_is_referenced names the table that holds on to one.';
revoke all on function private.erase_logins(uuid[]) from public, anon, authenticated, service_role;
