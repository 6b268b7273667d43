create function private.is_device_token(p_provider text, p_token text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select case p_provider
    when 'fcm' then p_token ~ '^[A-Za-z0-9_:.-]+$' and length(p_token) between 20 and 4096
    when 'expo' then p_token ~ '^Expo(nent)?PushToken\[[A-Za-z0-9_-]{10,200}\]$'
    else p_token ~ '^[!-~]+$' and length(p_token) <= 4096
  end;
$$;
comment on function private.is_device_token(text, text) is
  'Whether a push service could have given this token: fcm, 20 to 4096 of letters, digits and _:.-; expo, ExponentPushToken[…]; any other, 1 to 4096 of ASCII without a blank. Whether it did, only sending tells.';
revoke all on function private.is_device_token(text, text) from public, anon, authenticated, service_role;
grant execute on function private.is_device_token(text, text) to service_role;
