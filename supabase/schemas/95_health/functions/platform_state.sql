create function private.platform_state(
  out missing_secrets text[], out malformed_secrets text[], out has_heartbeat boolean, out queued bigint, out queued_since timestamptz)
language plpgsql stable security definer
set search_path = ''
as $$
begin
  -- What is not installed is looked for by itself, so that one that is gone does not make the other look gone.
  begin
    select coalesce(array_agg(w.name order by w.name) filter (where w.is_needed and not w.is_there), '{}'),
           coalesce(array_agg(w.name order by w.name) filter (where w.is_needed and w.is_there and not w.fits), '{}'),
           bool_or(w.name = 'attend_heartbeat_url' and w.is_there)
      into missing_secrets, malformed_secrets, has_heartbeat
    from (
      select n.name, n.is_needed, coalesce(s.decrypted_secret, '') <> '' as is_there, coalesce(s.decrypted_secret ~ n.shape, false) as fits
      from (values
        ('attend_functions_url', true, '^https?://[^/\s]+\S*$'),
        ('attend_webhook_secret', true, '^whsec_[A-Za-z0-9+/]{22,}={0,2}$'),
        ('attend_heartbeat_url', false, '^https?://[^/\s]+\S*$')) as n (name, is_needed, shape)
      left join vault.decrypted_secrets s on s.name = n.name
    ) w;
  exception when undefined_table or invalid_schema_name then
    missing_secrets := '{attend_functions_url,attend_webhook_secret}';
    malformed_secrets := '{}';
    has_heartbeat := false;
  end;
  select count(*) into queued from net.http_request_queue;
  if queued > 0 then
    -- The queue knows no times; our rings do.
    select min(r.rung_at) into queued_since from private.rings r where r.request_id in (select q.id from net.http_request_queue q);
  end if;
exception when undefined_table or invalid_schema_name then
  queued := null;
end;
$$;
-- Definer because Vault's values are nobody's to read; what is said of them is whether they are there and look right.
comment on function private.platform_state() is
  'What bells stand on: secrets of Vault that are missing or malformed (never their values), whether a heartbeat is wanted, and what waits in pg_net''s queue, since when (null: no pg_net).';
revoke all on function private.platform_state() from public, anon, authenticated, service_role;
grant execute on function private.platform_state() to service_role;
