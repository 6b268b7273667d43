-- A retention of thousands of years is for ever and no error; health shows of each proof when it looked, and what it found; and
-- without Vault it does not miss pg_net.
set check_function_bodies = off;

create or replace function private.kept_since(p_name text, p_now timestamptz) returns timestamptz
language sql stable
set search_path = ''
as $$
  -- '9999 years' is for ever in other words, and not a time that a timestamp can be: it would stop the whole housekeeping.
  select coalesce((
    select case when r.keep_for < interval '1000 years' then p_now - r.keep_for end
    from private.retention r where r.name = p_name), '-infinity');
$$;
comment on function private.kept_since(text, timestamptz) is
  'Since when everything of that name in private.retention is still there; -infinity: for ever, which is also what a missing row and a thousand years mean.';
revoke all on function private.kept_since(text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.kept_since(text, timestamptz) to service_role;

create or replace function private.proofs() returns table (name text, function_name text, finding text, since timestamptz, figures jsonb)
language sql stable
set search_path = ''
as $$
  select 'sweep', s.function_name, case when c.found > 0 then 'sweep_found' end, s.last_succeeded_at,
    jsonb_build_object('looked_at', s.last_succeeded_at, 'people', coalesce((s.last_result ->> 'people')::bigint, 0),
      'missed_by_ticks', c.found, 'run_id', s.last_result -> 'run_id')
  from private.schedules s
  cross join lateral (
    select coalesce(sum((g.counts ->> 'missed_by_ticks')::bigint), 0) as found
    from jsonb_each(case when jsonb_typeof(s.last_result -> 'counts') = 'object' then s.last_result -> 'counts' else '{}' end) as g (scenario, counts)
  ) c
  where s.name = 'scenario-evaluation'
  union all
  select 'reconcile', s.function_name, case when c.found > 0 then 'statistics_drifted' end, s.last_succeeded_at,
    jsonb_build_object('looked_at', s.last_succeeded_at, 'people', coalesce((s.last_result ->> 'people')::bigint, 0),
      'people_with_drift', c.found, 'rows_repaired', coalesce((s.last_result #>> '{counts,statistics,rows_repaired}')::bigint, 0), 'run_id', s.last_result -> 'run_id')
  from private.schedules s
  cross join lateral (select coalesce((s.last_result #>> '{counts,statistics,people_with_drift}')::bigint, 0) as found) c
  where s.name = 'statistics-reconcile';
$$;
comment on function private.proofs() is 'What the last full evaluation found of the ticks, and the last reconcile of the statistics. Nothing, where all is well.';
revoke all on function private.proofs() from public, anon, authenticated, service_role;
grant execute on function private.proofs() to service_role;

create or replace function private.platform_state(
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
