create function public.change_user(p_user_id uuid, p_role public.user_role default null, p_is_active boolean default null)
returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_as('{admin}');
  v_changed public.users;
begin
  if v_organization_id is null then
    raise exception using errcode = '42501', message = 'only_admins_change_people', hint = 'Sign in as an active admin of the organisation.';
  end if;
  if p_user_id = private.current_user_id() then
    raise exception using errcode = '42501', message = 'nobody_changes_themselves', hint = 'Ask another admin.';
  end if;
  update public.users u
  set role = coalesce(p_role, u.role), is_active = coalesce(p_is_active, u.is_active)
  where u.organization_id = v_organization_id and u.id = p_user_id
  returning u.* into v_changed;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_user', detail = jsonb_build_object('user_id', p_user_id)::text;
  end if;
  return jsonb_build_object('user_id', v_changed.id, 'role', v_changed.role, 'is_active', v_changed.is_active);
end;
$$;
-- Definer because role and activity are nobody's to update directly; it checks that the caller is an admin, and not about themselves.
comment on function public.change_user(uuid, public.user_role, boolean) is
  'An admin changes the role of a person of their organisation, or whether they are active. Never their own.';
revoke all on function public.change_user(uuid, public.user_role, boolean) from public, anon, authenticated, service_role;
grant execute on function public.change_user(uuid, public.user_role, boolean) to authenticated;
