create function public.invite_user(p_email text, p_full_name text, p_role public.user_role, p_valid_days integer default 14)
returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_as('{admin}');
  v_email text := lower(btrim(p_email));
  v_user_id uuid;
  v_invitation_id uuid;
begin
  if v_organization_id is null then
    raise exception using errcode = '42501', message = 'only_admins_invite', hint = 'Sign in as an active admin of the organisation.';
  end if;
  if p_valid_days is null or p_valid_days not between 1 and 90 then
    raise exception using errcode = 'PT400', message = 'valid_days_out_of_range',
      detail = jsonb_build_object('valid_days', p_valid_days, 'minimum', 1, 'maximum', 90)::text;
  end if;

  insert into public.users (organization_id, full_name, role)
  values (v_organization_id, p_full_name, p_role)
  returning id into v_user_id;
  insert into public.invitations (organization_id, user_id, email, invited_by, expires_at)
  values (v_organization_id, v_user_id, v_email, private.current_user_id(), now() + make_interval(days => p_valid_days))
  returning id into v_invitation_id;
  return jsonb_build_object('invitation_id', v_invitation_id, 'user_id', v_user_id);
exception when unique_violation then
  raise exception using errcode = 'PT409', message = 'already_invited',
    detail = jsonb_build_object('email', v_email)::text, hint = 'Revoke the pending invitation first.';
end;
$$;
-- Definer because nobody writes users or invitations directly; it checks that the caller is an admin and writes only their organisation.
comment on function public.invite_user(text, text, public.user_role, integer) is
  'An admin adds a person and invites them by e-mail; the first confirmed sign-in with that address links the login.';
revoke all on function public.invite_user(text, text, public.user_role, integer) from public, anon, authenticated, service_role;
grant execute on function public.invite_user(text, text, public.user_role, integer) to authenticated;
