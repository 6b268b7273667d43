create function private.beat(p_now timestamptz default now()) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_url text := (select s.decrypted_secret from vault.decrypted_secrets s where s.name = 'attend_heartbeat_url');
  v_before jsonb := (select s.last_result from private.schedules s where s.name = 'heartbeat');
  v_findings text[];
  v_problem text;
  v_request_id bigint;
begin
  select array_agg(h.finding || ' ' || h.name order by h.part, h.name) into v_findings
  from private.health_at(p_now) h where h.severity = 'error' and h.name <> 'heartbeat';

  -- How the last one ended; an answer that pg_net has forgotten (a crash empties it) says nothing. Codes alone: a message
  -- may quote the URL, which is a secret.
  select case when r.timed_out then 'timed_out' when r.status_code is null then 'not_reached'
      when r.status_code not between 200 and 299 then 'status_' || r.status_code end
    into v_problem
  from net._http_response r where r.id = (v_before ->> 'request_id')::bigint;

  if coalesce(v_url, '') <> '' and v_findings is null then
    begin
      -- Longer than a bell's: it holds up the others' batch once in five minutes, and a monitor is far away.
      v_request_id := net.http_get(v_url, timeout_milliseconds := 3000);
    exception when others then
      v_problem := 'not_queued_' || sqlstate;
    end;
  end if;
  update private.schedules s
  set last_succeeded_at = clock_timestamp(), last_rung_at = case when v_request_id is null then s.last_rung_at else clock_timestamp() end,
      last_result = jsonb_strip_nulls(jsonb_build_object('beat', v_request_id is not null, 'request_id', v_request_id,
        'withheld_for', to_jsonb(v_findings), 'problem', v_problem))
  where s.name = 'heartbeat';
  delete from private.rings r where r.rung_at < now() - interval '1 day';
end;
$$;
comment on function private.beat(timestamptz) is
  'Cron: calls the URL that Vault has under attend_heartbeat_url unless health has an error, so that an outside monitor alarms when the calls stop; without a URL it only looks. What it did is in private.schedules. Also forgets rings older than a day.';
revoke all on function private.beat(timestamptz) from public, anon, authenticated, service_role;
