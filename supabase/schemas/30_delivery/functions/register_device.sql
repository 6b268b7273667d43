create function public.register_device(p_provider text, p_platform text, p_token text) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.current_organization_id();
  v_user_id uuid := private.current_user_id();
  v_id uuid;
begin
  if v_user_id is null then
    raise exception using errcode = '42501', message = 'only_people_have_devices', hint = 'Sign in as a person of an organisation.';
  end if;
  if p_platform is null or p_platform not in ('ios', 'android', 'web') then
    raise exception using errcode = 'PT400', message = 'unknown_platform',
      detail = jsonb_build_object('platform', p_platform, 'allowed', array['ios', 'android', 'web'])::text;
  end if;
  if private.is_device_token(p_provider, p_token) is not true then
    raise exception using errcode = 'PT400', message = 'malformed_token',
      detail = jsonb_build_object('provider', p_provider, 'expected', case p_provider
        when 'fcm' then '20 to 4096 letters, digits and _:.-'
        when 'expo' then 'ExponentPushToken[...]'
        else '1 to 4096 characters of ASCII without a blank' end)::text,
      hint = 'Pass the token exactly as the push service gave it to the app.';
  end if;
  -- A phone that changes hands, or on which somebody else signs in, goes along with its token.
  insert into public.devices as d (organization_id, user_id, provider, platform, token)
  values (v_organization_id, v_user_id, p_provider, p_platform, p_token)
  on conflict (organization_id, provider, token) do update
    set user_id = excluded.user_id, platform = excluded.platform, is_active = true, deactivated_at = null, deactivated_reason = null,
        last_seen_at = now()
  returning d.id into v_id;
  return jsonb_build_object('device_id', v_id);
end;
$$;
-- Definer because a token may have been another's until now, whose row the caller may not see; it writes for the caller alone.
comment on function public.register_device(text, text, text) is
  'Registers the caller''s phone or browser for pushes; call it at every start of the app. Idempotent; a token that was another''s of the organisation moves. PT400 malformed_token, unknown_provider, unknown_platform.';
revoke all on function public.register_device(text, text, text) from public, anon, authenticated, service_role;
grant execute on function public.register_device(text, text, text) to authenticated;
