-- Health: every schedule, call, queue and proof with its verdict, and a heartbeat for a monitor outside.

set check_function_bodies = off;

-- A row a ring and not a counter: counting would lock a row that writers wait for at their commit.
create table private.rings (
  bell_id text primary key,
  function_name text not null,
  request_id bigint not null,
  rung_at timestamptz not null default clock_timestamp()
);
comment on table private.rings is
  'Every call that was queued for a function, for a day. One that was handled has its id in private.webhook_deliveries.';
comment on column private.rings.request_id is 'Its id in pg_net''s queue while it waits there.';
create index rings_of_function on private.rings (function_name, rung_at);
alter table private.rings enable row level security;
revoke all on private.rings from public, anon, authenticated, service_role;
grant select on private.rings to service_role;

alter table private.schedules
  add column function_name text,
  add column window_length interval constraint window_is_positive check (window_length > interval '0'),
  add column added_at timestamptz not null default now();
comment on column private.schedules.function_name is 'The function that it rings; null: it works in SQL alone.';
comment on column private.schedules.window_length is 'How long it may take from start to success; null: until it is due again.';
comment on column private.schedules.added_at is 'From when on it can be late.';

create or replace function private.post_signed(p_function_name text, p_payload jsonb) returns text
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

create function private.backlogs(p_now timestamptz)
returns table (name text, function_name text, waiting bigint, oldest_at timestamptz, tolerance interval, finding text)
language sql stable
set search_path = ''
as $$
  -- The registry: a table of marks, or any other queue, is named here and nowhere else, with the function that empties it.
  -- Ten minutes, and not the one of a sweep: the marks of a large import are worked off meanwhile, which is no trouble.
  select 'scenario_marks', 'scenario-trigger-engine', count(*), min(m.marked_at), interval '10 minutes', 'marks_old'
  from private.scenario_marks m
  union all
  select 'statistics_marks', 'statistics-recompute', count(*), min(m.marked_at), interval '10 minutes', 'marks_old'
  from private.statistics_marks m
  union all
  select 'care_marks', 'pastoral-cases', count(*), min(m.marked_at), interval '10 minutes', 'marks_old'
  from private.care_marks m
  union all
  -- What may go out by now. Nobody is late whom nobody serves. Whatever takes from the outbox and lets go of it again
  -- (claimed, failed) adds these states here, with the time at which each may be taken.
  select 'outbox', 'push-notification-dispatcher', count(*), min(o.release_at), interval '15 minutes',
    case when exists (select from private.bells b where b.function_name = 'push-notification-dispatcher')
      then 'outbox_old' else 'outbox_unserved' end
  from private.outbox o
  where o.state in ('pending', 'deferred') and o.release_at <= p_now
  union all
  select 'dead_letters', 'push-notification-dispatcher', count(*), min(o.created_at), interval '0', 'dead_letters'
  from private.outbox o
  where o.state = 'dead'
  union all
  select 'quarantine', 'scenario-trigger-engine', count(*), min(q.since), interval '0', 'quarantine_filled'
  from private.quarantine q;
$$;
comment on function private.backlogs(timestamptz) is
  'Everything that waits: how much, since when, how long it may, what it is called when it waits longer, and who empties it.';
revoke all on function private.backlogs(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.backlogs(timestamptz) to service_role;

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

create function private.cron_jobs() returns table (name text, is_active boolean)
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return query select j.jobname::text, j.active from cron.job j where j.jobname like 'attend-%';
exception when undefined_table or invalid_schema_name then
  -- Without pg_cron there are no jobs, which is what everybody who asks wants to hear.
  return;
end;
$$;
-- Definer because the platform lets postgres alone look into cron.
comment on function private.cron_jobs() is 'Attend''s jobs in pg_cron; none where it is not installed.';
revoke all on function private.cron_jobs() from public, anon, authenticated, service_role;
grant execute on function private.cron_jobs() to service_role;

create function private.finding_kinds() returns table (code text, severity text, says text, remedy text, runbook text)
language sql immutable
set search_path = ''
as $$
  select k.* from (values
    -- Schedules. What is named first is the cause of what follows it: private.schedule_health reports one of them.
    ('job_missing', 'error', 'Its job is gone from pg_cron, so nothing starts it.',
      'Schedule it again: the statement is in supabase/schemas/90_schedules/tables.sql (or 95_health).', 'a-job-of-cron-is-gone-or-switched-off'),
    ('job_disabled', 'error', 'Its job is switched off in pg_cron.',
      'select cron.alter_job(jobid, active := true) from cron.job where jobname = ''attend-'' || the schedule''s name.', 'a-job-of-cron-is-gone-or-switched-off'),
    ('run_stuck', 'error', 'Its run is open, and nobody has gone on with it for ten minutes.',
      'See who holds what is left of it, and whether the function is reached.', 'a-run-is-stuck'),
    ('schedule_late', 'error', 'It did not start when it was due.',
      'See whether cron runs at all, and, where it rings a function, whether that answers.', 'a-schedule-is-late-or-fails'),
    ('schedule_failing', 'error', 'It starts and does not succeed.',
      'Read its last_result, then the log of the function that it rings, or of the database.', 'a-schedule-is-late-or-fails'),
    ('window_exceeded', 'warning', 'It took longer than its window.',
      'Give it more instances or a longer window (private.schedules.window_length); see what it waits for.', 'a-schedule-takes-too-long'),
    -- Functions.
    ('function_silent', 'error', 'It is rung and has handled nothing since.',
      'See whether it is up, and what it answers: net._http_response.', 'a-function-is-down'),
    -- What waits.
    ('marks_old', 'error', 'Marks wait longer than a sweep and a drain need.',
      'See whether the function is reached and what it answers; after a large import, whether the number falls.', 'marks-are-old'),
    ('outbox_old', 'error', 'Messages that may go out are not sent.',
      'See whether the dispatcher is reached and what the provider answers.', 'the-outbox-stands'),
    ('outbox_unserved', 'note', 'Messages wait to be pushed, and no dispatcher is installed: the in-app list is all that people see.',
      'Nothing, or install the dispatcher.', 'the-outbox-stands'),
    ('dead_letters', 'warning', 'Messages were given up.',
      'Mend what the reason names, then replay them.', 'the-outbox-stands'),
    ('quarantine_filled', 'warning', 'People are left out because their evaluation failed.',
      'attend quarantine list, mend the reason, attend quarantine retry.', 'somebody-is-in-quarantine'),
    -- What the nightly proofs found.
    ('sweep_found', 'warning', 'The last full evaluation told people whom the ticks had missed.',
      'Once, after an import or a restore: nothing. Again and again: report it with the rule.', 'the-sweep-found-something'),
    ('statistics_drifted', 'warning', 'The last reconcile repaired statistics that differed from their activities.',
      'Once, after an import or a restore: nothing. Again and again: see who writes with triggers off.', 'statistics-had-drifted'),
    -- What everything stands on.
    ('bell_secret_missing', 'error', 'A secret that bells need is missing from Vault: nothing is rung.',
      'Create it: docs/deploy.md, "Vault".', 'the-bell-cannot-be-rung'),
    ('bell_secret_malformed', 'error', 'A secret in Vault cannot be what bells need: nothing is rung, or nothing is accepted.',
      'The URL begins with http, has no blank; the signing secret is whsec_ and base64.', 'the-bell-cannot-be-rung'),
    ('cron_silent', 'error', 'Nothing that runs by the clock has run for five minutes.',
      'See whether pg_cron is installed and its worker runs; restart the database.', 'cron-is-silent'),
    ('net_missing', 'error', 'pg_net is not installed: nothing is rung.',
      'create extension pg_net with schema extensions.', 'the-bell-cannot-be-rung'),
    ('net_queue_standing', 'error', 'Calls wait in pg_net''s queue and are not sent.',
      'select net.worker_restart(), else restart the database; see who fills the queue.', 'too-many-calls-or-a-queue-that-grows'),
    ('heartbeat_off', 'note', 'The heartbeat is off: Vault has no attend_heartbeat_url, so no outside monitor notices when all of this stops.',
      'Put the URL of a dead-man''s monitor into Vault.', 'the-heartbeat'),
    ('heartbeat_unheard', 'warning', 'The outside monitor did not take the last heartbeat.',
      'Try its URL from elsewhere; put the right one into Vault.', 'the-heartbeat')
  ) as k (code, severity, says, remedy, runbook);
$$;
comment on function private.finding_kinds() is
  'What health can find: error (withholds the heartbeat), warning, note (which is no trouble); in a sentence, with what to do and the heading of docs/runbook.md.';
revoke all on function private.finding_kinds() from public, anon, authenticated, service_role;
grant execute on function private.finding_kinds() to service_role;

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

create function private.health_at(p_now timestamptz)
returns table (part text, name text, function_name text, finding text, severity text, since timestamptz, says text, remedy text,
  runbook text, figures jsonb, checked_at timestamptz)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  with looked as (
    select 'foundation' as part, f.name, null::text as function_name, f.finding, f.since, f.figures from private.foundations(p_now) f
    union all
    select 'schedule', s.name, s.function_name, s.finding, s.since, s.figures from private.schedule_health(p_now) s
    union all
    select 'function', r.name, r.name, r.finding, r.since, r.figures from private.ring_health(p_now) r
    union all
    select 'backlog', b.name, b.function_name,
      case when b.waiting > 0 and b.oldest_at <= p_now - b.tolerance then b.finding end, b.oldest_at,
      jsonb_build_object('waiting', b.waiting, 'oldest_at', b.oldest_at, 'tolerance_seconds', extract(epoch from b.tolerance)::bigint)
    from private.backlogs(p_now) b
    union all
    select 'proof', p.name, p.function_name, p.finding, p.since, p.figures from private.proofs() p
  )
  select l.part, l.name, l.function_name, l.finding, coalesce(k.severity, 'ok'), case when l.finding is not null then l.since end,
    k.says, k.remedy, 'docs/runbook.md#' || k.runbook, l.figures, p_now
  from looked l
  left join private.finding_kinds() k on k.code = l.finding
  order by array_position('{foundation,schedule,function,backlog,proof}'::text[], l.part), l.name;
end;
$$;
comment on function private.health_at(timestamptz) is
  'Everything there is to know of how Attend itself is, one row a thing; finding is null where all is well. The clock is an argument: what would be said at that time of what is stored now.';
revoke all on function private.health_at(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.health_at(timestamptz) to service_role;

create function private.platform_state(
  out missing_secrets text[], out malformed_secrets text[], out has_heartbeat boolean, out queued bigint, out queued_since timestamptz)
language plpgsql stable security definer
set search_path = ''
as $$
begin
  missing_secrets := '{attend_functions_url,attend_webhook_secret}';
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

create function private.proofs() returns table (name text, function_name text, finding text, since timestamptz, figures jsonb)
language sql stable
set search_path = ''
as $$
  select 'sweep', s.function_name, case when c.found > 0 then 'sweep_found' end, s.last_succeeded_at,
    jsonb_build_object('people', coalesce((s.last_result ->> 'people')::bigint, 0), 'missed_by_ticks', c.found, 'run_id', s.last_result -> 'run_id')
  from private.schedules s
  cross join lateral (
    select coalesce(sum((g.counts ->> 'missed_by_ticks')::bigint), 0) as found
    from jsonb_each(case when jsonb_typeof(s.last_result -> 'counts') = 'object' then s.last_result -> 'counts' else '{}' end) as g (scenario, counts)
  ) c
  where s.name = 'scenario-evaluation'
  union all
  select 'reconcile', s.function_name, case when c.found > 0 then 'statistics_drifted' end, s.last_succeeded_at,
    jsonb_build_object('people', coalesce((s.last_result ->> 'people')::bigint, 0), 'people_with_drift', c.found,
      'rows_repaired', coalesce((s.last_result #>> '{counts,statistics,rows_repaired}')::bigint, 0), 'run_id', s.last_result -> 'run_id')
  from private.schedules s
  cross join lateral (select coalesce((s.last_result #>> '{counts,statistics,people_with_drift}')::bigint, 0) as found) c
  where s.name = 'statistics-reconcile';
$$;
comment on function private.proofs() is 'What the last full evaluation found of the ticks, and the last reconcile of the statistics. Nothing, where all is well.';
revoke all on function private.proofs() from public, anon, authenticated, service_role;
grant execute on function private.proofs() to service_role;

create function private.ring_health(p_now timestamptz)
returns table (name text, finding text, since timestamptz, figures jsonb)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  -- Planned for this very quarter of an hour: without its bounds a plan reads the whole day.
  return query
  select f.function_name,
    -- One lost bell is followed by the sweep's within a minute: it takes two, and the time of both.
    case when u.unanswered > 1 and u.unanswered_since < p_now - interval '150 seconds' then 'function_silent' end,
    u.unanswered_since,
    jsonb_build_object('rung_by_writers', coalesce(b.rung, 0), 'minutes', 15, 'rung', r.rung, 'handled', r.handled,
      'last_rung_at', r.last_rung_at, 'last_handled_at', r.last_handled_at, 'unanswered', u.unanswered,
      'seconds_to_handle', round(extract(epoch from r.typical)::numeric, 3))
  from (select x.function_name from private.bells x union select x.function_name from private.schedules x where x.function_name is not null) f
  left join private.bells b on b.function_name = f.function_name
  cross join lateral (
    select count(*) as rung, count(wd.id) as handled, max(i.rung_at) as last_rung_at, max(wd.received_at) as last_handled_at,
      max(i.rung_at) filter (where wd.id is not null) as handled_until,
      percentile_cont(0.5) within group (order by wd.received_at - i.rung_at) as typical
    from private.rings i left join private.webhook_deliveries wd on wd.id = i.bell_id
    where i.function_name = f.function_name and i.rung_at > p_now - interval '15 minutes'
  ) r
  cross join lateral (
    select count(*) as unanswered, min(i.rung_at) as unanswered_since
    from private.rings i
    where i.function_name = f.function_name and i.rung_at > coalesce(r.handled_until, p_now - interval '15 minutes')
  ) u;
end;
$$;
comment on function private.ring_health(timestamptz) is
  'For each function, calls queued against calls handled in the last quarter of an hour, and whether it has gone silent. A handled call is known by its id; one that only arrived is not.';
revoke all on function private.ring_health(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.ring_health(timestamptz) to service_role;

create function private.schedule_health(p_now timestamptz)
returns table (name text, function_name text, finding text, since timestamptz, figures jsonb)
language sql stable
set search_path = ''
as $$
  select s.name, s.function_name, v.finding, v.since,
    jsonb_build_object('expected_seconds', extract(epoch from s.expected_interval)::bigint,
      'window_seconds', extract(epoch from w.allowed)::bigint, 'last_rung_at', s.last_rung_at, 'last_started_at', s.last_started_at,
      'last_succeeded_at', s.last_succeeded_at, 'last_duration_seconds', round(extract(epoch from d.duration), 3),
      'running_since', o.started_at, 'last_result', s.last_result)
  from private.schedules s
  left join private.cron_jobs() j on j.name = 'attend-' || s.name
  left join private.ledger o on o.kind = s.name and o.is_open
  left join private.ledger f on f.kind = s.name
    and f.run_id = case when jsonb_typeof(s.last_result -> 'run_id') = 'number' then (s.last_result ->> 'run_id')::bigint end
  -- Cron looks once a minute, a function starts cold, and a night's job has its minute: what is due has some grace.
  cross join lateral (select coalesce(s.window_length, s.expected_interval) as allowed,
    greatest(interval '2 minutes', least(s.expected_interval / 24, interval '1 hour')) as grace) w
  -- A run may be joined many times, and each notes a start: its ledger knows when it began.
  cross join lateral (select coalesce(f.finished_at - f.started_at,
    case when s.last_succeeded_at >= s.last_started_at then s.last_succeeded_at - s.last_started_at end) as duration) d
  cross join lateral (
    select case
        when j.name is null then 'job_missing'
        when not j.is_active then 'job_disabled'
        when o.updated_at < p_now - interval '10 minutes' then 'run_stuck'
        when coalesce(s.last_started_at, s.added_at) < p_now - s.expected_interval - w.grace then 'schedule_late'
        when coalesce(s.last_succeeded_at, s.added_at) < p_now - s.expected_interval - w.allowed - w.grace
          or (o.kind is null and s.last_started_at > coalesce(s.last_succeeded_at, '-infinity')
            and s.last_started_at < p_now - w.allowed - w.grace) then 'schedule_failing'
        when greatest(d.duration, p_now - o.started_at) > w.allowed then 'window_exceeded'
      end as finding) c
  cross join lateral (
    select c.finding, case c.finding
        when 'run_stuck' then o.updated_at
        when 'schedule_late' then coalesce(s.last_started_at, s.added_at)
        when 'window_exceeded' then coalesce(o.started_at, s.last_succeeded_at)
        else coalesce(s.last_succeeded_at, s.added_at)
      end as since) v;
$$;
comment on function private.schedule_health(timestamptz) is
  'Every row of private.schedules, what is expected of it and what it did, and the first trouble that explains the others. Its job in cron is called attend-<name>.';
revoke all on function private.schedule_health(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.schedule_health(timestamptz) to service_role;

-- Which schedule rings which function, and how long each may take where that is not until it is due again.
update private.schedules s
set function_name = w.function_name, window_length = w.window_length
from (values
  ('scenario-evaluation', 'scenario-trigger-engine', interval '1 hour'),
  ('scenario-sweep', 'scenario-trigger-engine', null),
  ('statistics-sweep', 'statistics-recompute', null),
  ('statistics-rebuild', 'statistics-recompute', null),
  -- The hours in which cron rings them.
  ('statistics-reconcile', 'statistics-recompute', interval '5 hours'),
  ('pastoral-cases', 'pastoral-cases', interval '4 hours'),
  ('care-sweep', 'pastoral-cases', null),
  ('engagement-scores', null, interval '1 hour'),
  ('housekeeping', null, interval '1 hour')) as w (name, function_name, window_length)
where s.name = w.name;

insert into private.schedules (name, description, expected_interval) values
  ('heartbeat', 'Tells an outside monitor that all is well, as long as it is.', interval '5 minutes');

select cron.schedule('attend-heartbeat', '*/5 * * * *', $job$
do $do$
begin
  perform private.note_schedule_started('heartbeat');
  commit;
  perform private.beat();
end
$do$
$job$);

create view public.health with (security_invoker = true) as
select h.* from private.health_at(now()) h;
comment on view public.health is
  'How Attend itself is, one row a thing: schedules against what is expected of them, calls against what was handled, what waits, what the nightly proofs found. finding is null where all is well, else its code, with what to do and the entry of docs/runbook.md. For the service alone: it counts over every organisation.';
revoke all on public.health from public, anon, authenticated, service_role;
grant select on public.health to service_role;

create view private.ledger with (security_invoker = true) as
select r.kind, r.id as run_id, r.state <> 'finished' as is_open, r.started_at, r.updated_at, r.finished_at
from private.runs r
union all
select 'pastoral-cases', c.id, c.finished_at is null, c.started_at, c.updated_at, c.finished_at
from private.case_runs c;
comment on view private.ledger is 'Every run of every ledger, alike. kind is the name of its schedule.';
revoke all on private.ledger from public, anon, authenticated, service_role;
grant select on private.ledger to service_role;
