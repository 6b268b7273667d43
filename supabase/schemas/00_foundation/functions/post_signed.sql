create function private.post_signed(p_function_name text, p_payload jsonb) returns text
language plpgsql security definer
set search_path = ''
as $$
declare
  v_base_url text;
  v_secret text;
  v_id text := p_payload ->> 'bell_id';
  v_timestamp text := floor(extract(epoch from clock_timestamp()))::bigint::text;
  v_signature text;
  v_request_id bigint;
begin
  select max(s.decrypted_secret) filter (where s.name = 'attend_functions_url'),
         max(s.decrypted_secret) filter (where s.name = 'attend_webhook_secret')
    into v_base_url, v_secret
  from vault.decrypted_secrets s
  where s.name in ('attend_functions_url', 'attend_webhook_secret');

  if coalesce(v_base_url, '') = '' or coalesce(v_secret, '') = '' then
    raise warning 'attend: % was not rung, the Vault secret % is missing', p_function_name,
      case when coalesce(v_base_url, '') = '' then 'attend_functions_url' else 'attend_webhook_secret' end
      using hint = 'See "The bell cannot be rung" in docs/runbook.md. Nothing is lost: cron sweeps what no bell announced.';
    return null;
  end if;

  v_signature := encode(
    extensions.hmac(
      convert_to(v_id || '.' || v_timestamp || '.' || p_payload::text, 'utf8'),
      decode(regexp_replace(v_secret, '^whsec_', ''), 'base64'), 'sha256'),
    'base64');
  v_request_id := net.http_post(
    url := rtrim(v_base_url, '/') || '/' || p_function_name,
    body := p_payload,
    headers := jsonb_build_object(
      'Content-Type', 'application/json',
      'webhook-id', v_id, 'webhook-timestamp', v_timestamp, 'webhook-signature', 'v1,' || v_signature),
    -- pg_net holds a whole batch for its slowest call, and nobody reads the answer.
    timeout_milliseconds := 1000);
  insert into private.rings (bell_id, function_name, request_id) values (v_id, p_function_name, v_request_id)
  on conflict do nothing;
  return v_id;
exception when others then
  -- A bell is a courtesy; the mark is the promise. The message may hold the secret, so only its code is told.
  raise warning 'attend: % was not rung (%)', p_function_name, sqlstate
    using hint = 'See "The bell cannot be rung" in docs/runbook.md. Nothing is lost: cron sweeps what no bell announced.';
  return null;
end;
$$;
-- Definer because it reads Vault and writes pg_net's queue, which no caller may; not reachable through the API.
comment on function private.post_signed(text, jsonb) is
  'Queues one Standard Webhooks call to a function (sent after commit). Payload must have bell_id, which becomes webhook-id. Returns it; null with a warning when it could not be queued. Never fails.';
revoke all on function private.post_signed(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.post_signed(text, jsonb) to service_role;
