create function private.foundations(p_now timestamptz) returns table (name text, finding text, since timestamptz, figures jsonb)
language plpgsql stable
set search_path = ''
as $$
declare
  v_state record;
  v_alive timestamptz;
  v_heartbeat private.schedules;
begin
  select * into v_state from private.platform_state();
  return query select 'vault',
    case when v_state.missing_secrets <> '{}' then 'bell_secret_missing' when v_state.malformed_secrets <> '{}' then 'bell_secret_malformed' end,
    null::timestamptz, jsonb_build_object('missing', v_state.missing_secrets, 'malformed', v_state.malformed_secrets);

  -- Whatever is due each hour or oftener shows that cron lives; that one of them does not is the schedule's own trouble.
  select max(coalesce(greatest(s.last_started_at, s.last_rung_at), s.added_at)) into v_alive
  from private.schedules s where s.expected_interval <= interval '1 hour';
  return query select 'cron', case when v_alive < p_now - interval '5 minutes' then 'cron_silent' end, v_alive,
    jsonb_build_object('last_sign_of_life', v_alive);

  return query select 'pg_net',
    case when v_state.queued is null then 'net_missing' when v_state.queued_since < p_now - interval '1 minute' then 'net_queue_standing' end,
    v_state.queued_since, jsonb_build_object('queued', v_state.queued, 'oldest_ring', v_state.queued_since);

  select s.* into v_heartbeat from private.schedules s where s.name = 'heartbeat';
  return query select 'heartbeat',
    case when not v_state.has_heartbeat then 'heartbeat_off' when v_heartbeat.last_result ->> 'problem' is not null then 'heartbeat_unheard' end,
    v_heartbeat.last_rung_at,
    jsonb_build_object('last_beat_at', v_heartbeat.last_rung_at, 'looked_at', v_heartbeat.last_succeeded_at)
      || coalesce(v_heartbeat.last_result, '{}');
end;
$$;
comment on function private.foundations(timestamptz) is 'What everything stands on: the secrets of bells, cron, pg_net; and the heartbeat.';
revoke all on function private.foundations(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.foundations(timestamptz) to service_role;
