-- Foundation: see supabase/schemas/00_foundation/, to which the migrations are proven equal.

set check_function_bodies = off; -- functions come before the tables they read; every body is exercised by the tests

-- What everything else stands on: our private schema, the extensions we use, the roles people have.

create schema if not exists private;
comment on schema private is 'Attend: everything that is not part of the API. Never exposed.';
revoke all on schema private from public, anon;
grant usage on schema private to authenticated, service_role;

create extension if not exists pgcrypto with schema extensions;
create extension if not exists pg_net with schema extensions;

create type public.user_role as enum ('peer_mentor', 'coordinator', 'servant', 'manager', 'admin');
comment on type public.user_role is 'What a person may do in the organisation. One role each; nobody changes their own.';

create function private.add_counts(p_left jsonb, p_right jsonb) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select coalesce(jsonb_object_agg(per_scenario.scenario, per_scenario.gates), '{}')
  from (
    select summed.scenario, jsonb_object_agg(summed.gate, summed.n) as gates
    from (
      select s.key as scenario, g.key as gate, sum(g.value::bigint) as n
      from (values (p_left), (p_right)) as v (counts)
      cross join lateral jsonb_each(v.counts) as s (key, value)
      cross join lateral jsonb_each_text(s.value) as g (key, value)
      group by s.key, g.key
    ) summed
    group by summed.scenario
  ) per_scenario;
$$;
comment on function private.add_counts(jsonb, jsonb) is 'Sums two counts of the form {"scenario": {"gate": n}}.';
revoke all on function private.add_counts(jsonb, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.add_counts(jsonb, jsonb) to service_role;

create function public.change_user(p_user_id uuid, p_role public.user_role default null, p_is_active boolean default null)
returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_as('{admin}');
  v_changed public.users;
begin
  if v_organization_id is null then
    raise exception using errcode = '42501', message = 'only_admins_change_people', hint = 'Sign in as an active admin of the organisation.';
  end if;
  if p_user_id = private.current_user_id() then
    raise exception using errcode = '42501', message = 'nobody_changes_themselves', hint = 'Ask another admin.';
  end if;
  update public.users u
  set role = coalesce(p_role, u.role), is_active = coalesce(p_is_active, u.is_active)
  where u.organization_id = v_organization_id and u.id = p_user_id
  returning u.* into v_changed;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_user', detail = jsonb_build_object('user_id', p_user_id)::text;
  end if;
  return jsonb_build_object('user_id', v_changed.id, 'role', v_changed.role, 'is_active', v_changed.is_active);
end;
$$;
-- Definer because role and activity are nobody's to update directly; it checks that the caller is an admin, and not about themselves.
comment on function public.change_user(uuid, public.user_role, boolean) is
  'An admin changes the role of a person of their organisation, or whether they are active. Never their own.';
revoke all on function public.change_user(uuid, public.user_role, boolean) from public, anon, authenticated, service_role;
grant execute on function public.change_user(uuid, public.user_role, boolean) to authenticated;

create function private.current_organization_id() returns uuid
language sql stable security definer parallel safe
set search_path = ''
as $$
  select ul.organization_id from public.user_logins ul where ul.auth_user_id = (select auth.uid());
$$;
-- Definer because policies ask it before the reader may see any row; it answers only about auth.uid() itself.
comment on function private.current_organization_id() is 'The organisation of who is signed in, null without a linked login.';
revoke all on function private.current_organization_id() from public, anon, authenticated, service_role;
grant execute on function private.current_organization_id() to authenticated, service_role;

create function private.current_user_id() returns uuid
language sql stable security definer parallel safe
set search_path = ''
as $$
  select ul.user_id from public.user_logins ul where ul.auth_user_id = (select auth.uid());
$$;
-- Definer because policies ask it before the reader may see any row; it answers only about auth.uid() itself.
comment on function private.current_user_id() is 'The person who is signed in, null without a linked login. Wrap in a subselect so that a query asks once.';
revoke all on function private.current_user_id() from public, anon, authenticated, service_role;
grant execute on function private.current_user_id() to authenticated, service_role;

create function public.find_webhook_delivery(p_id text) returns jsonb
language sql stable
set search_path = ''
as $$
  select wd.answer from private.webhook_deliveries wd where wd.id = p_id;
$$;
comment on function public.find_webhook_delivery(text) is 'The answer already given to a webhook id, else null.';
revoke all on function public.find_webhook_delivery(text) from public, anon, authenticated, service_role;
grant execute on function public.find_webhook_delivery(text) to service_role;

create function private.finish_chunk(p_run_id bigint, p_people integer, p_counts jsonb, p_lease_seconds integer) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_run private.runs;
begin
  update private.runs r
  set counts = private.add_counts(r.counts, p_counts), updated_at = clock_timestamp(),
      lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds),
      state = case when r.cursor_organization_id is null then 'finished' else r.state end,
      finished_at = case when r.cursor_organization_id is null then clock_timestamp() end
  where r.id = p_run_id
  returning r.* into v_run;
  if v_run.state = 'finished' then
    update private.schedules s
    set last_succeeded_at = v_run.finished_at,
        last_result = jsonb_build_object('run_id', v_run.id, 'people', v_run.people, 'chunks', v_run.chunks, 'counts', v_run.counts)
    where s.name = v_run.kind;
  end if;
  return jsonb_build_object('done', v_run.state = 'finished', 'people', p_people, 'counts', p_counts);
end;
$$;
comment on function private.finish_chunk(bigint, integer, jsonb, integer) is
  'Writes what a chunk did into the ledger and renews the lease; a run whose cursor is at the end is finished and reports to its schedule. Returns done, people and counts of the chunk.';
revoke all on function private.finish_chunk(bigint, integer, jsonb, integer) from public, anon, authenticated, service_role;
grant execute on function private.finish_chunk(bigint, integer, jsonb, integer) to service_role;

create function public.invite_user(p_email text, p_full_name text, p_role public.user_role, p_valid_days integer default 14)
returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_as('{admin}');
  v_email text := lower(btrim(p_email));
  v_user_id uuid;
  v_invitation_id uuid;
begin
  if v_organization_id is null then
    raise exception using errcode = '42501', message = 'only_admins_invite', hint = 'Sign in as an active admin of the organisation.';
  end if;
  if p_valid_days is null or p_valid_days not between 1 and 90 then
    raise exception using errcode = 'PT400', message = 'valid_days_out_of_range',
      detail = jsonb_build_object('valid_days', p_valid_days, 'minimum', 1, 'maximum', 90)::text;
  end if;

  insert into public.users (organization_id, full_name, role)
  values (v_organization_id, p_full_name, p_role)
  returning id into v_user_id;
  insert into public.invitations (organization_id, user_id, email, invited_by, expires_at)
  values (v_organization_id, v_user_id, v_email, private.current_user_id(), now() + make_interval(days => p_valid_days))
  returning id into v_invitation_id;
  return jsonb_build_object('invitation_id', v_invitation_id, 'user_id', v_user_id);
exception when unique_violation then
  raise exception using errcode = 'PT409', message = 'already_invited',
    detail = jsonb_build_object('email', v_email)::text, hint = 'Revoke the pending invitation first.';
end;
$$;
-- Definer because nobody writes users or invitations directly; it checks that the caller is an admin and writes only their organisation.
comment on function public.invite_user(text, text, public.user_role, integer) is
  'An admin adds a person and invites them by e-mail; the first confirmed sign-in with that address links the login.';
revoke all on function public.invite_user(text, text, public.user_role, integer) from public, anon, authenticated, service_role;
grant execute on function public.invite_user(text, text, public.user_role, integer) to authenticated;

create function private.is_setting_valid(p_key text, p_value jsonb) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select case p_key
    when 'absence_alert_threshold' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,3}$'
    else btrim(p_key) <> ''
  end;
$$;
comment on function private.is_setting_valid(text, jsonb) is
  'Whether a setting may be stored: each known key names its range, other keys only need a name. absence_alert_threshold: a whole number from 1 to 9999 (rules.md §4).';
revoke all on function private.is_setting_valid(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.is_setting_valid(text, jsonb) to authenticated, service_role;

create function private.is_time_zone(p_name text) returns boolean
language plpgsql stable strict parallel safe
set search_path = ''
as $$
begin
  -- Postgres also takes abbreviations and POSIX strings ("XYZ5", "Etc/GMT+99") for zones, and any case. Only the Etc zones
  -- that exist may hold a digit, so a POSIX string, which needs one, never gets to the conversion. The server's own zone table answers the rest, a thousand times
  -- quicker than the view pg_timezone_names.
  if p_name !~ '^(UTC|Etc/GMT(0|[+-]([0-9]|1[0-2])|-1[34])?|[A-Z][A-Za-z_]*(/[A-Z][A-Za-z_-]*)+)$' then
    return false;
  end if;
  perform timestamptz '2000-01-01 00:00+00' at time zone p_name;
  return true;
exception when invalid_parameter_value then
  return false;
end;
$$;
comment on function private.is_time_zone(text) is 'Whether the server knows this IANA time zone. Null for null.';
revoke all on function private.is_time_zone(text) from public, anon, authenticated, service_role;
grant execute on function private.is_time_zone(text) to authenticated, service_role;

create function private.link_invited_login() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- The oldest invitation wins: one login is one person, and one organisation for life.
  with invitation as (
    select i.organization_id, i.id, i.user_id
    from public.invitations i
    where i.email = lower(new.email) and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()
    order by i.created_at, i.organization_id, i.id
    limit 1
    for update skip locked
  ), linked as (
    insert into public.user_logins (auth_user_id, organization_id, user_id)
    select new.id, i.organization_id, i.user_id from invitation i
    on conflict do nothing
    returning organization_id, user_id
  )
  update public.invitations i set accepted_at = now()
  from invitation chosen
  join linked l on l.organization_id = chosen.organization_id and l.user_id = chosen.user_id
  where i.organization_id = chosen.organization_id and i.id = chosen.id;
  return null;
end;
$$;
-- Definer because sign-ups run as supabase_auth_admin, who may use none of our schemas.
comment on function private.link_invited_login() is
  'Trigger on auth.users: the first sign-in with a confirmed address links the invited person. An address nobody confirmed links nothing.';
revoke all on function private.link_invited_login() from public, anon, authenticated, service_role;

create function private.local_date(p_at timestamptz, p_time_zone text) returns date
language sql stable strict parallel safe
set search_path = ''
as $$
  select (p_at at time zone p_time_zone)::date;
$$;
comment on function private.local_date(timestamptz, text) is 'The calendar day it is in a time zone at an instant.';
revoke all on function private.local_date(timestamptz, text) from public, anon, authenticated, service_role;
grant execute on function private.local_date(timestamptz, text) to authenticated, service_role;

create function private.local_midnight(p_day date, p_time_zone text) returns timestamptz
language plpgsql stable strict parallel safe
set search_path = ''
as $$
declare
  v_guess timestamptz := p_day::timestamp at time zone p_time_zone;
begin
  -- Zones that change their clocks at midnight (Santiago, Beirut) have days without a 00:00 and days with two: of two
  -- the earlier counts, and where there is none the day begins at the first instant that bears its date.
  if private.local_date(v_guess - interval '1 hour', p_time_zone) = p_day then
    return v_guess - interval '1 hour';
  end if;
  return v_guess;
end;
$$;
comment on function private.local_midnight(date, text) is 'The first instant of a calendar day in a time zone, also where the clock changes at midnight.';
revoke all on function private.local_midnight(date, text) from public, anon, authenticated, service_role;
grant execute on function private.local_midnight(date, text) to authenticated, service_role;

create function private.new_bell_id() returns text
language sql volatile
set search_path = ''
as $$
  select 'bell_' || replace(gen_random_uuid()::text, '-', '');
$$;
comment on function private.new_bell_id() is 'A fresh id for a bell, unique for ever.';
revoke all on function private.new_bell_id() from public, anon, authenticated, service_role;
grant execute on function private.new_bell_id() to service_role;

create function private.next_people(p_organization_id uuid, p_from_user uuid, p_limit integer) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select coalesce(array_agg(p.id order by p.id), '{}')
    from (
      select u.id
      from public.users u
      where u.organization_id = p_organization_id and (p_from_user is null or u.id >= p_from_user)
      order by u.id
      limit p_limit + 1
    ) p);
end;
$$;
comment on function private.next_people(uuid, uuid, integer) is
  'The ids of the next p_limit people of an organisation in key order, and of one more: the exclusive end of their range.';
revoke all on function private.next_people(uuid, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function private.next_people(uuid, uuid, integer) to service_role;

create function private.organization_as(p_roles public.user_role[]) returns uuid
language sql stable security definer parallel safe
set search_path = ''
as $$
  select u.organization_id
  from public.user_logins ul
  join public.users u on u.organization_id = ul.organization_id and u.id = ul.user_id
  where ul.auth_user_id = (select auth.uid()) and u.is_active and u.role = any (p_roles);
$$;
-- Definer because policies on users must not select from users; it answers only about auth.uid() itself.
comment on function private.organization_as(public.user_role[]) is
  'The organisation of who is signed in, if they are active and have one of these roles; else null, which equals nothing.';
revoke all on function private.organization_as(public.user_role[]) from public, anon, authenticated, service_role;
grant execute on function private.organization_as(public.user_role[]) to authenticated, service_role;

create function private.organization_of_user(p_user_id uuid) returns uuid
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  select u.organization_id into strict v_organization_id from public.users u where u.id = p_user_id;
  return v_organization_id;
exception
  when no_data_found then
    raise exception using errcode = 'PT404', message = 'unknown_user',
      detail = jsonb_build_object('user_id', p_user_id)::text, hint = 'Pass the id of a row in public.users.';
  when too_many_rows then
    raise exception using errcode = 'PT409', message = 'ambiguous_user',
      detail = jsonb_build_object('user_id', p_user_id)::text, hint = 'Two organisations use this id; ids must be uuids made at random.';
end;
$$;
comment on function private.organization_of_user(uuid) is 'The organisation of a person. PT404 unknown_user when there is no such person.';
revoke all on function private.organization_of_user(uuid) from public, anon, authenticated, service_role;
grant execute on function private.organization_of_user(uuid) to service_role;

create function public.pause_run(p_run_id bigint, p_holder uuid) returns jsonb
language plpgsql
set search_path = ''
as $$
begin
  update private.runs r
  set state = 'in_progress', lease_until = clock_timestamp(), updated_at = clock_timestamp()
  where r.id = p_run_id and r.holder = p_holder and r.state = 'running';
  return public.run_report(p_run_id);
end;
$$;
comment on function public.pause_run(bigint, uuid) is
  'Gives the lease back so that the next start_run continues at once; returns the report. No effect for anybody but the holder.';
revoke all on function public.pause_run(bigint, uuid) from public, anon, authenticated, service_role;
grant execute on function public.pause_run(bigint, uuid) to service_role;

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
  perform net.http_post(
    url := rtrim(v_base_url, '/') || '/' || p_function_name,
    body := p_payload,
    headers := jsonb_build_object(
      'Content-Type', 'application/json',
      'webhook-id', v_id, 'webhook-timestamp', v_timestamp, 'webhook-signature', 'v1,' || v_signature),
    -- pg_net holds a whole batch for its slowest call, and nobody reads the answer.
    timeout_milliseconds := 1000);
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

create function public.record_webhook_delivery(p_id text, p_answer jsonb) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_answer jsonb;
begin
  insert into private.webhook_deliveries (id, answer) values (p_id, p_answer)
  on conflict (id) do nothing
  returning answer into v_answer;
  if not found then
    select wd.answer into v_answer from private.webhook_deliveries wd where wd.id = p_id;
  end if;
  return v_answer;
end;
$$;
comment on function public.record_webhook_delivery(text, jsonb) is 'Records the answer to a webhook id and returns the one that counts: the first.';
revoke all on function public.record_webhook_delivery(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.record_webhook_delivery(text, jsonb) to service_role;

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

create function private.ring_again(p_function_name text, p_schema text, p_table text) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  -- Once for all who drain side by side, or each of a batch would ring, and all of those again. Both times are compared with
  -- when this drain began: a bell queued since then comes after it, and whoever answers that decides anew. Taken: somebody
  -- queues one this moment.
  perform from private.bells b
  where b.function_name = p_function_name and b.last_rung_at > now() - interval '1 second' and b.rung_again_at < now()
  for no key update skip locked;
  if not found then
    return false;
  end if;
  update private.bells b set rung_again_at = clock_timestamp() where b.function_name = p_function_name;
  return private.post_signed(p_function_name, jsonb_build_object(
    'type', 'BELL', 'schema', p_schema, 'table', p_table, 'bell_id', private.new_bell_id())) is not null;
end;
$$;
comment on function private.ring_again(text, text, text) is
  'Called at the end of a drain: rings once more if a writer rang less than a second ago, for those who stayed silent since. Returns whether it rang.';
revoke all on function private.ring_again(text, text, text) from public, anon, authenticated, service_role;
grant execute on function private.ring_again(text, text, text) to service_role;

create function private.ring_bell_at_commit() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_function_name constant text := tg_argv[0];
begin
  -- Deferred to the commit because both decisions are about that moment: a writer who rang earlier in a long transaction
  -- would hold the row, and so silence everybody, until it ends. Writers who find the row taken, or rung within 0.8 s, stay
  -- silent: whoever drains within a second of a ring has it rung once more (private.ring_again), so their marks are found.
  perform from private.bells b
  where b.function_name = v_function_name and b.last_rung_at < clock_timestamp() - interval '0.8 seconds'
  for no key update skip locked;
  if found then
    update private.bells b set last_rung_at = clock_timestamp(), rung = b.rung + 1 where b.function_name = v_function_name;
    perform private.post_signed(v_function_name, jsonb_build_object(
      'type', 'BELL', 'schema', tg_argv[1], 'table', tg_argv[2], 'bell_id', private.new_bell_id()));
  end if;
  return null;
exception when others then
  raise warning 'attend: % was not rung (%)', v_function_name, sqlstate;
  return null;
end;
$$;
-- Definer because writers of activities may neither see nor ring bells.
comment on function private.ring_bell_at_commit() is
  'Deferred trigger on a table of marks, arguments (function, schema, table): rings that function at commit, at most about once a second. Never fails the writer.';
revoke all on function private.ring_bell_at_commit() from public, anon, authenticated, service_role;

create function public.run_report(p_run_id bigint) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_report jsonb;
begin
  select jsonb_build_object('run_id', r.id, 'kind', r.kind, 'state', r.state, 'as_of', r.as_of, 'started_at', r.started_at,
      'finished_at', r.finished_at, 'people', r.people, 'chunks', r.chunks, 'counts', r.counts)
    into v_report
  from private.runs r where r.id = p_run_id;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_run', detail = jsonb_build_object('run_id', p_run_id)::text;
  end if;
  return v_report;
end;
$$;
comment on function public.run_report(bigint) is 'What a run has done so far: people and counts per scenario and gate. PT404 unknown_run.';
revoke all on function public.run_report(bigint) from public, anon, authenticated, service_role;
grant execute on function public.run_report(bigint) to service_role;

create function private.stamp_reactivation() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.reactivated_at := now();
  return new;
end;
$$;
comment on function private.stamp_reactivation() is 'Trigger: a person who becomes active again starts a new spell (rules.md §3, anchor). A date given by the writer wins.';
revoke all on function private.stamp_reactivation() from public, anon, authenticated, service_role;

create function public.start_run(p_kind text, p_holder uuid, p_now timestamptz default now(), p_lease_seconds integer default 60)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_run private.runs;
  v_state text := 'resumed';
begin
  if p_lease_seconds is null or p_lease_seconds not between 1 and 3600 then
    raise exception using errcode = 'PT400', message = 'lease_seconds_out_of_range',
      detail = jsonb_build_object('lease_seconds', p_lease_seconds, 'minimum', 1, 'maximum', 3600)::text;
  end if;

  -- A run whose row is locked is in the middle of a chunk: busy, and not worth waiting for.
  select r.* into v_run from private.runs r
  where r.kind = p_kind and r.state <> 'finished' and (r.lease_until <= clock_timestamp() or r.holder = p_holder)
  for update skip locked;
  if found then
    update private.runs r
    set state = 'running', holder = p_holder, as_of = p_now, updated_at = clock_timestamp(),
        lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
    where r.id = v_run.id
    returning r.* into v_run;
  else
    insert into private.runs (kind, holder, as_of, lease_until)
    values (p_kind, p_holder, p_now, clock_timestamp() + make_interval(secs => p_lease_seconds))
    on conflict (kind) where state <> 'finished' do nothing
    returning * into v_run;
    v_state := case when found then 'started' else 'busy' end;
    if v_state = 'busy' then
      select r.* into v_run from private.runs r where r.kind = p_kind and r.state <> 'finished';
    end if;
  end if;

  if v_state <> 'busy' then
    update private.schedules s set last_started_at = clock_timestamp() where s.name = p_kind;
  end if;
  return jsonb_build_object('state', v_state, 'run_id', v_run.id, 'as_of', v_run.as_of,
    'lease_until', v_run.lease_until, 'held_by', v_run.holder);
end;
$$;
comment on function public.start_run(text, uuid, timestamptz, integer) is
  'Starts a run of this kind, or resumes the open one whose lease has ended, or says busy. The clock of the run becomes p_now. Repeating the call with the same holder resumes the same run.';
revoke all on function public.start_run(text, uuid, timestamptz, integer) from public, anon, authenticated, service_role;
grant execute on function public.start_run(text, uuid, timestamptz, integer) to service_role;

create function private.take_chunk(p_run_id bigint, p_holder uuid, p_chunk_size integer)
returns table (organization_id uuid, from_user uuid, to_user uuid, people integer, as_of timestamptz)
language plpgsql
set search_path = ''
as $$
declare
  v_run private.runs;
  v_left integer := p_chunk_size;
  v_ids uuid[];
begin
  if p_chunk_size is null or p_chunk_size not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'chunk_size_out_of_range',
      detail = jsonb_build_object('chunk_size', p_chunk_size, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  select r.* into v_run from private.runs r where r.id = p_run_id and r.holder = p_holder and r.state = 'running' for update;
  if not found then
    raise exception using errcode = 'PT409', message = 'lease_lost',
      detail = jsonb_build_object('run_id', p_run_id)::text, hint = 'Another holder goes on with this run, or it is finished.';
  end if;

  -- Large organisations take several chunks; a chunk takes as many small ones as fit.
  while v_left > 0 loop
    if v_run.cursor_user_id is null then
      select o.id into v_run.cursor_organization_id
      from public.organizations o
      where v_run.cursor_organization_id is null or o.id > v_run.cursor_organization_id
      order by o.id
      limit 1;
      exit when not found;
    end if;
    v_ids := private.next_people(v_run.cursor_organization_id, v_run.cursor_user_id, v_left);
    people := least(cardinality(v_ids), v_left);
    if people > 0 then
      organization_id := v_run.cursor_organization_id;
      from_user := v_ids[1];
      to_user := v_ids[v_left + 1];
      as_of := v_run.as_of;
      return next;
    end if;
    v_run.cursor_user_id := v_ids[v_left + 1];
    v_left := v_left - people;
  end loop;

  update private.runs r
  set cursor_organization_id = v_run.cursor_organization_id, cursor_user_id = v_run.cursor_user_id,
      chunks = r.chunks + 1, people = r.people + p_chunk_size - v_left
  where r.id = p_run_id;
end;
$$;
comment on function private.take_chunk(bigint, uuid, integer) is
  'Locks a run its holder still has, moves its cursor by up to p_chunk_size people and returns them as ranges of one organisation each (from inclusive, to exclusive, null: open). At the end of everybody the cursor''s organisation is null. Belongs to one transaction with the work and private.finish_chunk. PT409 lease_lost.';
revoke all on function private.take_chunk(bigint, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function private.take_chunk(bigint, uuid, integer) to service_role;

create function private.time_zone_of_user(p_organization_id uuid, p_user_id uuid) returns text
language sql stable parallel safe
set search_path = ''
as $$
  select coalesce(u.time_zone, o.time_zone, 'UTC')
  from public.users u
  join public.organizations o on o.id = u.organization_id
  where u.organization_id = p_organization_id and u.id = p_user_id;
$$;
comment on function private.time_zone_of_user(uuid, uuid) is 'A person''s time zone: their own, else the organisation''s, else UTC (rules.md §1).';
revoke all on function private.time_zone_of_user(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.time_zone_of_user(uuid, uuid) to service_role;

-- Tenancy and people (rules.md §1), and what the functions' runs leave behind.
-- organization_id leads every key: a reference into another organisation cannot even be written.

create table public.organizations (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint organization_name_is_not_blank check (btrim(name) <> ''),
  time_zone text not null default 'UTC' constraint organization_time_zone_is_known check (private.is_time_zone(time_zone)),
  created_at timestamptz not null default now()
);
comment on table public.organizations is 'A tenant. Nobody reads another organisation''s rows through anything.';

create table public.org_settings_kv (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  key text not null,
  value jsonb not null,
  primary key (organization_id, key),
  constraint setting_value_fits_its_key check (private.is_setting_valid(key, value))
);
comment on table public.org_settings_kv is 'Settings of an organisation. A known key takes only values that make sense (private.is_setting_valid).';

create table public.users (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  full_name text not null constraint full_name_is_not_blank check (btrim(full_name) <> ''),
  role public.user_role not null,
  joined_at timestamptz not null default now(),
  is_active boolean not null default true,
  reactivated_at timestamptz,
  away_from timestamptz,
  away_until timestamptz,
  time_zone text constraint user_time_zone_is_known check (private.is_time_zone(time_zone)),
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  constraint away_until_is_after_away_from check (away_until > away_from),
  constraint away_until_needs_away_from check (away_until is null or away_from is not null)
);
comment on table public.users is 'A person of an organisation, with or without a login. One organisation for life.';
comment on column public.users.away_until is 'Exclusive end of the absence. Null with away_from set: away until further notice.';
-- The interfaces of the scenario engine name a person by id alone, and look the organisation up here.
create index users_id on public.users (id);

create table public.user_logins (
  auth_user_id uuid primary key references auth.users (id) on delete cascade,
  organization_id uuid not null,
  user_id uuid not null,
  linked_at timestamptz not null default now(),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  constraint user_has_one_login unique (organization_id, user_id)
);
comment on table public.user_logins is 'Which login is which person. Erasing a login erases no figure already reported: the person stays.';

create table public.invitations (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  email text not null
    constraint email_is_lower_case check (email = lower(email))
    constraint email_has_an_at check (email ~ '^[^@\s]+@[^@\s]+$'),
  invited_by uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  accepted_at timestamptz,
  revoked_at timestamptz,
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  foreign key (organization_id, invited_by) references public.users (organization_id, id) on delete set null (invited_by),
  constraint invitation_expires_after_it_was_made check (expires_at > created_at)
);
comment on table public.invitations is 'An admin''s invitation: the person exists from now on, the first confirmed sign-in with this address links them.';
create unique index invitations_one_pending on public.invitations (organization_id, email)
  where accepted_at is null and revoked_at is null;
create index invitations_pending_by_email on public.invitations (email) where accepted_at is null and revoked_at is null;
create index invitations_user_id on public.invitations (organization_id, user_id);
create index invitations_invited_by on public.invitations (organization_id, invited_by);

-- One row a function: when it was last rung, so that many writers ring about once a second.
create table private.bells (
  function_name text primary key,
  last_rung_at timestamptz not null default '-infinity',
  rung_again_at timestamptz not null default '-infinity',
  rung bigint not null default 0
);
comment on table private.bells is 'When each function was last rung by a writer, and how often.';
comment on column private.bells.rung_again_at is 'When a drain last rang once more, for those who stayed silent (private.ring_again).';

create table private.webhook_deliveries (
  id text primary key,
  answer jsonb not null,
  received_at timestamptz not null default now()
);
comment on table private.webhook_deliveries is 'Answers given, by webhook id: the same delivery twice gets the same answer and no new effect.';
create index webhook_deliveries_received_at on private.webhook_deliveries (received_at);

create table private.runs (
  id bigint generated always as identity primary key,
  kind text not null,
  state text not null default 'running' constraint run_state_is_known check (state in ('running', 'in_progress', 'finished')),
  as_of timestamptz not null,
  holder uuid not null,
  lease_until timestamptz not null,
  cursor_organization_id uuid,
  cursor_user_id uuid,
  chunks integer not null default 0,
  people bigint not null default 0,
  counts jsonb not null default '{}',
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint finished_runs_say_when check ((state = 'finished') = (finished_at is not null))
);
comment on table private.runs is 'The run ledger: one row a run of a whole population. The truth about what ran; a schedule''s own log only knows what was queued.';
comment on column private.runs.as_of is 'The clock that decides in this run; set anew when another holder takes the run over.';
comment on column private.runs.cursor_user_id is 'First person not yet worked on; null at the end of an organisation.';
create unique index runs_one_open_per_kind on private.runs (kind) where state <> 'finished';

create table private.schedules (
  name text primary key,
  description text not null,
  expected_interval interval constraint expected_interval_is_positive check (expected_interval > interval '0'),
  last_rung_at timestamptz,
  last_started_at timestamptz,
  last_succeeded_at timestamptz,
  last_result jsonb
);
comment on column private.schedules.expected_interval is 'How often it is due; null: only when somebody asks for it.';
comment on table private.schedules is 'Every schedule with what is expected of it and what it last did.';

alter table public.organizations enable row level security;
alter table public.org_settings_kv enable row level security;
alter table public.users enable row level security;
alter table public.user_logins enable row level security;
alter table public.invitations enable row level security;
alter table private.bells enable row level security;
alter table private.webhook_deliveries enable row level security;
alter table private.runs enable row level security;
alter table private.schedules enable row level security;

create policy "people read their organisation" on public.organizations for select to authenticated
  using (id = (select private.current_organization_id()));

create policy "people read their organisation's settings" on public.org_settings_kv for select to authenticated
  using (organization_id = (select private.current_organization_id()));
create policy "admins add settings" on public.org_settings_kv for insert to authenticated
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins change settings" on public.org_settings_kv for update to authenticated
  using (organization_id = (select private.organization_as('{admin}')))
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins remove settings" on public.org_settings_kv for delete to authenticated
  using (organization_id = (select private.organization_as('{admin}')));

create policy "people read themselves, staff read their organisation" on public.users for select to authenticated
  using (
    organization_id = (select private.organization_as('{coordinator,manager,admin}'))
    or (organization_id = (select private.current_organization_id()) and id = (select private.current_user_id()))
  );
create policy "people change themselves" on public.users for update to authenticated
  using (organization_id = (select private.current_organization_id()) and id = (select private.current_user_id()))
  with check (organization_id = (select private.current_organization_id()) and id = (select private.current_user_id()));

create policy "people read their own login" on public.user_logins for select to authenticated
  using (auth_user_id = (select auth.uid()));

create policy "admins read invitations" on public.invitations for select to authenticated
  using (organization_id = (select private.organization_as('{admin}')));

revoke all on public.organizations, public.org_settings_kv, public.users, public.user_logins, public.invitations
  from public, anon, authenticated, service_role;
revoke all on private.bells, private.webhook_deliveries, private.runs, private.schedules
  from public, anon, authenticated, service_role;

grant select on public.organizations, public.users, public.user_logins, public.invitations to authenticated;
-- Only these columns: role, organisation, activity and dates of joining are not the person's to change.
grant update (time_zone, away_from, away_until) on public.users to authenticated;
grant select, insert, update, delete on public.org_settings_kv to authenticated;
grant select, insert, update, delete
  on public.organizations, public.org_settings_kv, public.users, public.user_logins, public.invitations to service_role;
grant select, update on private.bells to service_role;
grant select, insert on private.webhook_deliveries to service_role;
grant select, insert, update on private.runs to service_role;
grant select, update on private.schedules to service_role;

create trigger users_stamp_reactivation before update of is_active on public.users
  for each row when (new.is_active and not old.is_active and new.reactivated_at is not distinct from old.reactivated_at)
  execute function private.stamp_reactivation();

-- The platform's own table, hence the name that says whose trigger it is. It fires when an address
-- becomes confirmed and at every sign-in, so that a login older than its invitation is linked too.
create trigger attend_link_invited_login after insert or update of email, email_confirmed_at, last_sign_in_at on auth.users
  for each row when (new.email_confirmed_at is not null)
  execute function private.link_invited_login();
