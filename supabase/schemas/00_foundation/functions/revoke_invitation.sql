create function public.revoke_invitation(p_invitation_id uuid) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_revoked_at timestamptz;
begin
  update public.invitations i set revoked_at = now()
  where i.organization_id = private.organization_as('{admin}') and i.id = p_invitation_id
    and i.accepted_at is null and i.revoked_at is null
  returning i.revoked_at into v_revoked_at;
  if not found then
    raise exception using errcode = 'PT404', message = 'no_pending_invitation',
      detail = jsonb_build_object('invitation_id', p_invitation_id)::text, hint = 'Only an admin revokes, and only what is still pending.';
  end if;
  return jsonb_build_object('invitation_id', p_invitation_id, 'revoked_at', v_revoked_at);
end;
$$;
-- Definer because nobody writes invitations directly; it touches only the organisation of which the caller is an admin.
comment on function public.revoke_invitation(uuid) is 'An admin takes a pending invitation back. The person''s row stays.';
revoke all on function public.revoke_invitation(uuid) from public, anon, authenticated, service_role;
grant execute on function public.revoke_invitation(uuid) to authenticated;
