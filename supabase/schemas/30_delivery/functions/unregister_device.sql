create function public.unregister_device(p_token text) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_devices integer;
begin
  update public.devices d
  set is_active = false, deactivated_at = now(), deactivated_reason = 'unregistered'
  where d.organization_id = private.current_organization_id() and d.user_id = private.current_user_id()
    and d.token = p_token and d.is_active;
  get diagnostics v_devices = row_count;
  return jsonb_build_object('unregistered', v_devices > 0);
end;
$$;
-- Definer because people may not write devices, whose other columns are not theirs to say; it touches the caller's alone.
comment on function public.unregister_device(text) is
  'Takes the caller''s device out of use; call it when they sign out. Idempotent: unregistered says whether it was theirs and in use.';
revoke all on function public.unregister_device(text) from public, anon, authenticated, service_role;
grant execute on function public.unregister_device(text) to authenticated;
