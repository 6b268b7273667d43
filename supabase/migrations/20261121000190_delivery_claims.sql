-- Claims that cost what they must: one look at each thing, words as text; what was read in the app is not pushed; lists by time.
set check_function_bodies = off; -- every body is exercised by the tests

alter table private.outbox drop constraint skipped_reason_is_known;
alter table private.outbox add constraint skipped_reason_is_known
  check (skipped_reason in ('retracted', 'read', 'opted_out', 'person_inactive', 'stale', 'condition_gone', 'no_device'));
drop index private.outbox_done;
create index outbox_done on private.outbox (created_at, id) where state in ('sent', 'skipped', 'retracted', 'dead');

alter type private.push_release add attribute scenario text, add attribute rule_id uuid;
comment on type private.push_release is
  'A claimed push (private.outbox), and what speaks against sending it now, or null. release_at, release_on: when and on which of the person''s days it goes. problem: what went wrong in judging it. scenario, rule_id: of its notification.';

drop function public.claim_outbox(uuid, integer, integer, timestamptz);
drop function private.gone_notifications(uuid, uuid[], timestamptz);
drop function private.judge_conditions(uuid, uuid[], timestamptz);
drop function private.push_messages(private.push_release[]);

create or replace function private.instant_of(p_text text) returns timestamptz
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  return case when pg_catalog.pg_input_is_valid(p_text, 'timestamptz') then nullif(nullif(p_text::timestamptz, 'infinity'), '-infinity') end;
end;
$$;
comment on function private.instant_of(text) is 'The instant that a text names, null where it names none: what senders outside put into a context is theirs to get wrong.';
revoke all on function private.instant_of(text) from public, anon, authenticated, service_role;
grant execute on function private.instant_of(text) to authenticated, service_role;

create or replace function private.keep_outcomes(p_outcomes private.push_outcome[], p_now timestamptz) returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = auto
as $$
declare
  v_deactivated integer;
begin
  insert into private.outbox_devices as d (
    organization_id, outbox_id, device_id, verdict, provider_id, reason, attempted_at, receipt_due_at)
  select o.organization_id, o.outbox_id, o.device_id, o.verdict, o.provider_id, left(o.reason, 500), p_now,
    -- A push service has no receipt before it has tried; Expo asks for a quarter of an hour.
    case when o.verdict = 'sent' and o.awaits_receipt and o.provider_id is not null then p_now + interval '15 minutes' end
  from unnest(p_outcomes) as o
  order by o.organization_id, o.outbox_id, o.device_id
  on conflict (organization_id, outbox_id, device_id) do update
    set verdict = excluded.verdict, provider_id = coalesce(excluded.provider_id, d.provider_id), reason = excluded.reason,
        attempted_at = excluded.attempted_at, receipt_due_at = excluded.receipt_due_at, attempts = d.attempts + 1;
  if not exists (select from unnest(p_outcomes) as o where o.verdict = 'device_gone') then
    return 0;
  end if;
  -- In the order of the key: two dispatchers may hear of one phone at once.
  perform from public.devices d
  join unnest(p_outcomes) as o on o.organization_id = d.organization_id and o.device_id = d.id
  where o.verdict = 'device_gone' and d.is_active
  order by d.organization_id, d.id
  for no key update of d;
  update public.devices d
  set is_active = false, deactivated_at = p_now, deactivated_reason = coalesce(left(o.reason, 500), 'gone')
  from unnest(p_outcomes) as o
  where o.verdict = 'device_gone' and d.organization_id = o.organization_id and d.id = o.device_id and d.is_active;
  get diagnostics v_deactivated = row_count;
  return v_deactivated;
end;
$$;
comment on function private.keep_outcomes(private.push_outcome[], timestamptz) is
  'Writes what became of pushes on devices, and takes devices out of use whose token is nobody''s any more. Returns how many.';
revoke all on function private.keep_outcomes(private.push_outcome[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.keep_outcomes(private.push_outcome[], timestamptz) to service_role;

create or replace function public.list_outbox(
  p_organization_id uuid default null, p_states text[] default null, p_scenario text default null, p_user_id uuid default null,
  p_from timestamptz default null, p_to timestamptz default null, p_after jsonb default null, p_limit integer default 100)
returns jsonb
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_states public.outbox_state[];
  v_found private.outbox[];
  v_last private.outbox;
begin
  perform private.check_limit(p_limit, 1000);
  if exists (select from unnest(p_states) as s where not pg_catalog.pg_input_is_valid(s, 'public.outbox_state')) then
    raise exception using errcode = 'PT400', message = 'unknown_state',
      detail = jsonb_build_object('states', p_states, 'allowed', enum_range(null::public.outbox_state))::text;
  end if;
  v_states := p_states::public.outbox_state[];
  if p_scenario is not null then
    perform private.check_scenario_type(p_scenario);
  end if;
  -- What is over comes off its index, newest first; of what is not, there is only as much as waits.
  v_found := array(
    with asked as not materialized (
      select o.*
      from private.outbox o
      where (p_organization_id is null or o.organization_id = p_organization_id)
        and (v_states is null or o.state = any (v_states))
        and (p_user_id is null or o.user_id = p_user_id)
        and (p_from is null or o.created_at >= p_from) and (p_to is null or o.created_at < p_to)
        and (p_after is null or (o.created_at, o.id) < ((p_after ->> 'created_at')::timestamptz, (p_after ->> 'outbox_id')::uuid))
        and (p_scenario is null or exists (
          select from public.notifications n
          where n.organization_id = o.organization_id and n.id = o.notification_id and n.scenario = p_scenario))
    ), over as (
      select * from asked a where a.state in ('sent', 'skipped', 'retracted', 'dead') order by a.created_at desc, a.id desc limit p_limit
    ), open as (
      select * from asked a where a.state in ('pending', 'deferred', 'failed', 'claimed') order by a.created_at desc, a.id desc limit p_limit
    )
    select f::private.outbox from (select * from over union all select * from open) f order by f.created_at desc, f.id desc limit p_limit);
  v_last := v_found[p_limit];
  return jsonb_build_object(
    'rows', (select coalesce(jsonb_agg(private.outbox_row(f.organization_id, f.id) order by f.created_at desc, f.id desc), '[]') from unnest(v_found) as f),
    'next', case when v_last.id is not null then jsonb_build_object('created_at', v_last.created_at, 'outbox_id', v_last.id) end);
end;
$$;
comment on function public.list_outbox(uuid, text[], text, uuid, timestamptz, timestamptz, jsonb, integer) is
  'The outbox, newest first: {rows, next}. Hand next back as p_after for the rows that follow; null: these were the last. PT400 unknown_state, unknown_scenario.';
revoke all on function public.list_outbox(uuid, text[], text, uuid, timestamptz, timestamptz, jsonb, integer) from public, anon, authenticated, service_role;
grant execute on function public.list_outbox(uuid, text[], text, uuid, timestamptz, timestamptz, jsonb, integer) to service_role;

create function private.lock_held_pushes(p_holder uuid, p_outcomes private.push_outcome[])
returns table (organization_id uuid, id uuid, retry_after double precision)
language plpgsql
set search_path = ''
as $$
begin
  return query
  select o.organization_id, o.id, r.retry_after
  from (
    select c.organization_id, c.outbox_id, c.lease, max(c.retry_after) filter (where c.verdict = 'retry') as retry_after
    from unnest(p_outcomes) as c
    group by c.organization_id, c.outbox_id, c.lease
  ) r
  join private.outbox o on o.organization_id = r.organization_id and o.id = r.outbox_id and o.lease = r.lease
  where o.holder = p_holder and o.state = 'claimed'
  -- In the order of the key, as whoever takes back: locks are never waited for in a circle.
  order by o.organization_id, o.id
  for no key update of o;
end;
$$;
comment on function private.lock_held_pushes(uuid, private.push_outcome[]) is
  'Of the pushes that outcomes speak of, those that the holder still has by the lease they name, locked until the end of the transaction; with the longest that any of their devices is to be left alone, in seconds.';
revoke all on function private.lock_held_pushes(uuid, private.push_outcome[]) from public, anon, authenticated, service_role;
grant execute on function private.lock_held_pushes(uuid, private.push_outcome[]) to service_role;

create or replace function public.record_outbox(
  p_holder uuid, p_outcomes jsonb, p_now timestamptz default now(), p_max_attempts integer default 8,
  p_first_retry_seconds integer default 30, p_longest_retry_seconds integer default 3600)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
as $$
declare
  v_outcomes private.push_outcome[] := private.push_outcomes(p_outcomes, false);
  v_organization_ids uuid[];
  v_ids uuid[];
  v_retry_after double precision[];
  v_others private.push_outcome[];
  v_lost uuid[] := '{}';
  v_deactivated integer := 0;
  v_states jsonb := '{}';
begin
  select array_agg(h.organization_id), array_agg(h.id), array_agg(h.retry_after) into v_organization_ids, v_ids, v_retry_after
  from private.lock_held_pushes(p_holder, v_outcomes) h;
  v_others := array(select c from unnest(v_outcomes) as c where (c.outbox_id = any (v_ids)) is not true);
  if v_others <> '{}' then
    v_outcomes := array(select c from unnest(v_outcomes) as c where c.outbox_id = any (v_ids));
    -- What this very lease recorded before, an answer having been lost on the way, is neither recorded again nor lost.
    v_lost := array(
      select distinct c.outbox_id from unnest(v_others) as c
      where not exists (
        select from private.outbox o
        where o.organization_id = c.organization_id and o.id = c.outbox_id and o.holder = p_holder and o.lease = c.lease));
  end if;
  if v_ids is not null then
    v_deactivated := private.keep_outcomes(v_outcomes, p_now);
    v_states := private.settle_pushes(v_organization_ids, v_ids, v_retry_after, 1, p_now,
      p_max_attempts, p_first_retry_seconds, p_longest_retry_seconds);
  end if;
  return jsonb_build_object('recorded', coalesce(cardinality(v_ids), 0), 'states', v_states, 'deactivated', v_deactivated, 'lost', to_jsonb(v_lost));
end;
$$;
comment on function public.record_outbox(uuid, jsonb, timestamptz, integer, integer, integer) is
  'Records what providers said, all devices of a push in one call: [{organization_id, outbox_id, lease, device_id, verdict: sent | device_gone | retry | refused, provider_id, reason, retry_after, awaits_receipt}]. Only for pushes that the holder still has by that lease: the others are in lost. Repeating a call changes nothing. Returns {recorded, states, deactivated, lost}.';
revoke all on function public.record_outbox(uuid, jsonb, timestamptz, integer, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.record_outbox(uuid, jsonb, timestamptz, integer, integer, integer) to service_role;

create or replace function private.settle_pushes(
  p_organization_ids uuid[], p_outbox_ids uuid[], p_retry_after double precision[], p_attempt integer, p_now timestamptz,
  p_max_attempts integer, p_first_retry_seconds integer, p_longest_retry_seconds integer)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = auto
as $$
declare
  v_counts jsonb;
begin
  with judged as materialized (
    select o.ctid as row_at, s.*,
      case
        when s.waits and o.attempts + p_attempt < p_max_attempts then 'failed'
        -- Whom it reached on one device has been told, whatever became of the others.
        when s.reached then 'sent'
        when s.waits or s.refused then 'dead'
        else 'skipped'
      end::public.outbox_state as state,
      -- Never at once, so that a service that recovers is not met by everybody who waited for it.
      p_now + make_interval(secs => greatest(c.retry_after,
        least(p_longest_retry_seconds, p_first_retry_seconds * 2 ^ least(o.attempts + p_attempt - 1, 20)) * (0.5 + random() / 2))) as again_at
    from rows from (unnest(p_organization_ids), unnest(p_outbox_ids), unnest(p_retry_after)) as c (organization_id, id, retry_after)
    join private.outbox o on o.organization_id = c.organization_id and o.id = c.id
    cross join lateral (
      select bool_or(d.verdict = 'sent') as reached, bool_or(d.verdict = 'retry') as waits, bool_or(d.verdict = 'refused') as refused,
        (array_agg(d.reason order by d.verdict = 'refused' desc, d.attempted_at desc) filter (where d.verdict <> 'sent' and d.reason is not null))[1] as reason
      from private.outbox_devices d
      where d.organization_id = o.organization_id and d.outbox_id = o.id
      offset 0
    ) s
  ), settled as (
    update private.outbox o
    set state = j.state, attempts = o.attempts + p_attempt, next_attempt_at = case when j.state = 'failed' then j.again_at else o.next_attempt_at end,
        last_error = coalesce(j.reason, o.last_error), skipped_reason = case when j.state = 'skipped' then 'no_device' end,
        settled_at = case when j.state <> 'failed' then p_now end, rings = false
    from judged j
    -- The caller has its lock: nobody moves it meanwhile.
    where o.ctid = j.row_at
    returning o.organization_id, o.id, o.state, o.last_error
  ), told as (
    insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
    select s.organization_id, s.id, s.state::text, s.last_error, p_now from settled s where s.state in ('failed', 'dead')
  )
  select coalesce(jsonb_object_agg(c.state, c.n), '{}') into v_counts
  from (select s.state, count(*) as n from settled s group by s.state) c;
  return v_counts;
end;
$$;
comment on function private.settle_pushes(uuid[], uuid[], double precision[], integer, timestamptz, integer, integer, integer) is
  'What follows for pushes from the outcomes on their devices: sent, failed (tried again: exponential, with jitter, not before the seconds the provider asked for), dead, or skipped because no device was left. p_attempt: 1 where they were tried, 0 where only more is known. Returns {"state": n}.';
revoke all on function private.settle_pushes(uuid[], uuid[], double precision[], integer, timestamptz, integer, integer, integer) from public, anon, authenticated, service_role;
grant execute on function private.settle_pushes(uuid[], uuid[], double precision[], integer, timestamptz, integer, integer, integer) to service_role;

create function public.claim_outbox(
  p_holder uuid, p_limit integer default 100, p_lease_seconds integer default 60, p_now timestamptz default now())
returns json
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_due private.outbox[];
  v_releases private.push_release[];
  v_held jsonb;
  -- As json: jsonb would sort and copy each of the messages three times on its way out.
  v_messages json := '[]';
begin
  perform private.check_limit(p_limit, 10000);
  if p_holder is null or p_lease_seconds is null or p_lease_seconds not between 1 and 3600 then
    raise exception using errcode = 'PT400', message = 'lease_seconds_out_of_range',
      detail = jsonb_build_object('lease_seconds', p_lease_seconds, 'minimum', 1, 'maximum', 3600)::text, hint = 'Name a holder and a lease.';
  end if;
  v_due := private.take_pushes(p_holder, p_limit, p_lease_seconds, p_now);
  if v_due = '{}' then
    return json_build_object('claimed', 0, 'messages', v_messages, 'held', '{}'::json, 'more', false,
      'rang_again', private.ring_again('push-notification-dispatcher', 'public', 'notifications'));
  end if;
  v_releases := array(
    select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease + 1, r.attempts,
      r.gate, r.release_at, r.planned_on, r.release_on, r.expires_at, r.problem, r.scenario, r.rule_id)::private.push_release
    from private.release_pushes(v_due, p_now) r);
  with worded as materialized (
    select m.* from private.push_messages(array(select r from unnest(v_releases) as r where r.gate is null)) m
  )
  select array(
      select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease, r.attempts,
        coalesce(r.gate, case when w.devices = 0 then 'no_device' when w.problem is not null then 'unrendered' end),
        r.release_at, r.planned_on, r.release_on, r.expires_at, coalesce(r.problem, case when w.devices > 0 then w.problem end),
        r.scenario, r.rule_id)::private.push_release
      from unnest(v_releases) as r
      left join (
        select m.organization_id, m.outbox_id, count(m.device_id) as devices, max(m.problem) as problem from worded m group by m.organization_id, m.outbox_id
      ) w on w.organization_id = r.organization_id and w.outbox_id = r.id),
    coalesce((
      select json_agg(x)
      from (
        select w.organization_id, w.outbox_id, w.lease, w.device_id, w.provider, w.token, w.title, w.body, w.collapse_key, w.expires_at, w.data
        from worded w
        join unnest(v_due) with ordinality d on d.organization_id = w.organization_id and d.id = w.outbox_id
        where w.problem is null and w.device_id is not null
        order by d.ordinality
      ) x), '[]')
    into v_releases, v_messages;
  v_held := private.hold_pushes(v_releases, p_now);
  return json_build_object('claimed', cardinality(v_due), 'messages', v_messages, 'held', v_held, 'more', cardinality(v_due) = p_limit,
    'rang_again', cardinality(v_due) < p_limit and private.ring_again('push-notification-dispatcher', 'public', 'notifications'));
end;
$$;
comment on function public.claim_outbox(uuid, integer, integer, timestamptz) is
  'Takes up to p_limit pushes that are due, of those whose holder has not been heard of for its lease, too, and judges each as of now. Returns {claimed, messages: [{organization_id, outbox_id, lease, device_id, provider, token, title, body, collapse_key, expires_at, data}], held: {"gate": n} (those not to be sent, already written), more, rang_again}, the oldest first. The messages are the holder''s until p_lease_seconds are over: public.record_outbox or public.give_back_outbox. Claims never wait for each other.';
revoke all on function public.claim_outbox(uuid, integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.claim_outbox(uuid, integer, integer, timestamptz) to service_role;

create function private.gone_notifications(p_organization_id uuid, p_releases private.push_release[], p_now timestamptz) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_ruled uuid[];
  v_rule_ids uuid[];
  v_user_ids uuid[];
  v_rules private.scenario_rule[];
  v_gone uuid[] := '{}';
begin
  select array_agg(r.notification_id), array_agg(distinct r.rule_id), array_agg(distinct r.user_id) into v_ruled, v_rule_ids, v_user_ids
  from unnest(p_releases) as r where r.rule_id is not null;
  if v_ruled is not null then
    v_rules := private.rules_of(p_organization_id, null);
    v_rules := array(select r from unnest(v_rules) as r where r.id = any (v_rule_ids));
    -- As of the end of time: from the raw rows, all that there are.
    v_gone := private.unmatched_notifications(p_organization_id, null, null, null,
      array(select m from private.scenario_matches(p_organization_id, null, null, v_user_ids, v_rules, p_now, 'infinity', false) m),
      p_now, v_ruled);
  end if;
  if exists (select from unnest(p_releases) as r where r.scenario = 'pastoral_case') then
    v_gone := v_gone || array(
      select n.id
      from unnest(p_releases) as r
      join public.notifications n on n.organization_id = p_organization_id and n.id = r.notification_id
      left join public.pastoral_cases c on c.organization_id = n.organization_id
        and c.id = case when pg_catalog.pg_input_is_valid(n.context ->> 'case_id', 'uuid') then (n.context ->> 'case_id')::uuid end
      where r.scenario = 'pastoral_case' and n.context ? 'case_id' and private.is_case_of(c.status, c.assigned_servant_id, n.user_id) is not true);
  end if;
  return v_gone;
end;
$$;
comment on function private.gone_notifications(uuid, private.push_release[], timestamptz) is
  'The notifications of these pushes of one organisation that would not be made any more: by the evaluators that made them, over raw rows. What somebody outside decided holds.';
revoke all on function private.gone_notifications(uuid, private.push_release[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.gone_notifications(uuid, private.push_release[], timestamptz) to service_role;

create or replace function private.hold_pushes(p_releases private.push_release[], p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = auto
as $$
begin
  if not exists (select from unnest(p_releases) as r where r.gate is not null) then
    return '{}';
  end if;
  update private.outbox o
  set state = h.state, rings = false,
      skipped_reason = case when h.state = 'skipped' then r.gate end,
      settled_at = case when h.state in ('sent', 'skipped', 'dead') then p_now end,
      last_error = coalesce(r.problem, o.last_error),
      attempts = o.attempts + (r.gate = 'unjudged')::integer,
      release_at = case when h.state = 'deferred' then r.release_at else o.release_at end,
      next_attempt_at = case
        when h.state = 'deferred' then r.release_at
        when r.gate = 'unjudged' then p_now + interval '10 minutes' * (o.attempts + 1)
        when r.gate = 'busy' then p_now + interval '1 second'
        else o.next_attempt_at end
  from unnest(p_releases) as r
  cross join lateral (
    select case
      when r.gate in ('quiet_hours', 'capped') then 'deferred'
      when r.gate = 'busy' then case when r.attempts > 0 then 'failed' else 'pending' end
      when r.gate = 'unjudged' then case when r.attempts >= 7 then 'dead' else 'failed' end
      when r.gate = 'unrendered' then 'dead'
      -- On one device it has arrived, before.
      when exists (
        select from private.outbox_devices d
        where d.organization_id = r.organization_id and d.outbox_id = r.id and d.verdict = 'sent') then 'sent'
      else 'skipped' end::public.outbox_state as state
    offset 0) h
  where r.gate is not null and o.organization_id = r.organization_id and o.id = r.id;
  insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
  select r.organization_id, r.id,
    case r.gate when 'unjudged' then case when r.attempts >= 7 then 'dead' else 'failed' end when 'unrendered' then 'dead' else r.gate end,
    r.problem, p_now
  from unnest(p_releases) as r
  where r.gate in ('quiet_hours', 'capped', 'unjudged', 'unrendered');
  return (
    select jsonb_object_agg(g.gate, g.n)
    from (select r.gate, count(*) as n from unnest(p_releases) as r where r.gate is not null group by r.gate) g);
end;
$$;
comment on function private.hold_pushes(private.push_release[], timestamptz) is
  'Writes why claimed pushes are not sent now: deferred (quiet_hours, capped), skipped for its reason, dead (unrendered), tried again (unjudged, busy). Returns {"gate": n}.';
revoke all on function private.hold_pushes(private.push_release[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.hold_pushes(private.push_release[], timestamptz) to service_role;

create function private.judge_conditions(p_organization_id uuid, p_releases private.push_release[], p_now timestamptz)
returns table (notification_id uuid, gate text, problem text)
language plpgsql stable
set search_path = ''
as $$
declare
  v_message text;
  v_state text;
  v_half integer := cardinality(p_releases) / 2;
  v_gone uuid[];
begin
  -- First, and by itself: inside unnest the planner would ask it too, to estimate how many there are.
  v_gone := private.gone_notifications(p_organization_id, p_releases, p_now);
  return query select g.id, 'condition_gone', null::text from unnest(v_gone) as g (id);
exception
  -- As in private.decide_safely: these are the moment's fault, and nobody's data.
  when syntax_error_or_access_rule_violation or query_canceled or serialization_failure or deadlock_detected or lock_not_available or operator_intervention
    or insufficient_resources or connection_exception then
    raise;
  when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    if v_half = 0 then
      return query select (p_releases[1]).notification_id, 'unjudged', 'condition_failed: ' || v_state || ' ' || left(v_message, 200);
      return;
    end if;
    return query
    select * from private.judge_conditions(p_organization_id, p_releases[:v_half], p_now)
    union all
    select * from private.judge_conditions(p_organization_id, p_releases[v_half + 1:], p_now);
end;
$$;
comment on function private.judge_conditions(uuid, private.push_release[], timestamptz) is
  'private.gone_notifications, in which one person''s bad row does not stop everybody: condition_gone, or unjudged with the problem. Those that hold have no row.';
revoke all on function private.judge_conditions(uuid, private.push_release[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.judge_conditions(uuid, private.push_release[], timestamptz) to service_role;

create function private.push_messages(p_releases private.push_release[])
returns table (
  organization_id uuid, outbox_id uuid, lease integer, device_id uuid, provider text, token text, title text, body text, collapse_key uuid,
  expires_at timestamptz, data json, problem text)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select r.organization_id, r.id, r.lease, d.id, d.provider, d.token, w.title, w.body, r.id, r.expires_at,
    json_build_object('notification_id', r.notification_id, 'scenario', r.scenario), w.problem
  from unnest(p_releases) as r
  join private.rendered_notifications(
      array(select r.organization_id from unnest(p_releases) as r), array(select r.notification_id from unnest(p_releases) as r)) w
    on w.organization_id = r.organization_id and w.id = r.notification_id
  left join public.devices d on d.organization_id = r.organization_id and d.user_id = r.user_id and d.is_active
    and not exists (
      select from private.outbox_devices x
      where x.organization_id = r.organization_id and x.outbox_id = r.id and x.device_id = d.id and x.verdict <> 'retry');
end;
$$;
comment on function private.push_messages(private.push_release[]) is
  'What is to be sent of these pushes: a row for each of the person''s devices that has not had it, and one without device where there is none. problem: why it cannot be put into words.';
revoke all on function private.push_messages(private.push_release[]) from public, anon, authenticated, service_role;
grant execute on function private.push_messages(private.push_release[]) to service_role;

create or replace function private.release_gates(p_pushes private.outbox[], p_now timestamptz) returns setof private.push_release
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  with settings as materialized (
    select o.id as organization_id, o.time_zone,
      max((s.value #>> '{}')::integer) filter (where s.key = 'notification_daily_cap') as cap,
      coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'push_deadline_hours'), 24) as deadline_hours,
      max(s.value ->> 'from') filter (where s.key = 'quiet_hours')::time as quiet_from,
      max(s.value ->> 'to') filter (where s.key = 'quiet_hours')::time as quiet_to
    from (select distinct p.organization_id from unnest(p_pushes) as p) d
    join public.organizations o on o.id = d.organization_id
    left join public.org_settings_kv s on s.organization_id = o.id and s.key in ('notification_daily_cap', 'push_deadline_hours', 'quiet_hours')
    group by o.id, o.time_zone
  ), asked as materialized (
    -- Else each of these would be computed wherever it is named.
    select p.*, n.scenario, n.rule_id, n.release_on as planned_on, n.triggered_at, n.retracted_at,
      n.read_at is not null or n.dismissed_at is not null as is_read, n.is_mandatory, u.is_active,
      z.time_zone, s.cap, s.quiet_from, s.quiet_to, e.expires_at,
      case when s.quiet_from is null then p_now else private.release_at(p_now, z.time_zone, s.quiet_from, s.quiet_to) end as quiet_until
    from unnest(p_pushes) as p
    join public.notifications n on n.organization_id = p.organization_id and n.id = p.notification_id
    join public.users u on u.organization_id = p.organization_id and u.id = p.user_id
    join settings s on s.organization_id = p.organization_id
    cross join lateral (select coalesce(u.time_zone, s.time_zone, 'UTC') as time_zone offset 0) z
    cross join lateral (select p.release_at + make_interval(hours => s.deadline_hours) as expires_at) e
  ), days as materialized (
    -- Once a time zone.
    select d.time_zone, private.local_date(p_now, d.time_zone) as today from (select distinct a.time_zone from asked a) d
  ), judged as (
    select a.*, d.today,
      case
        when a.retracted_at is not null then 'retracted'
        when a.is_read then 'read'
        when not a.is_active then 'person_inactive'
        when not a.is_mandatory and exists (
          select from public.notification_preferences np
          where np.organization_id = a.organization_id and np.user_id = a.user_id and np.scenario in ('all', a.scenario)
            and np.channel in ('all', a.channel) and not np.is_enabled) then 'opted_out'
        when a.expires_at <= p_now then 'stale'
        when a.quiet_until > p_now then 'quiet_hours'
      end as gate
    from asked a
    join days d on d.time_zone = a.time_zone
  ), counted as (
    select j.*,
      case when j.gate is null and j.cap is not null and j.planned_on is not null then
        j.cap <= (
          select count(*) from public.notifications m
          where m.organization_id = j.organization_id and m.user_id = j.user_id and m.release_on = j.today
            and m.retracted_at is null and m.id <> j.notification_id
            -- One that was planned for another day goes after all of this day's. One of this day, after those that were told
            -- already and those that were decided before.
            and (j.planned_on <> j.today or (m.triggered_at, m.id) < (j.triggered_at, j.notification_id)
              or not exists (
                select from private.outbox w
                where w.organization_id = m.organization_id and w.notification_id = m.id
                  and w.state in ('pending', 'deferred', 'failed', 'claimed'))))
          + case when j.planned_on <> j.today then row_number() over (
              partition by j.organization_id, j.user_id, j.gate is null, j.planned_on = j.today order by j.triggered_at, j.notification_id) - 1
            else 0 end
      end as is_capped
    from judged j
  )
  select c.organization_id, c.id, c.notification_id, c.user_id, c.lease, c.attempts, coalesce(c.gate, case when c.is_capped then 'capped' end),
    l.release_at, c.planned_on,
    case when c.planned_on is not null and (c.gate is null or c.gate = 'quiet_hours') then
      case when l.release_at = p_now then c.today else private.local_date(l.release_at, c.time_zone) end else c.planned_on end,
    c.expires_at, null::text, c.scenario, c.rule_id
  from counted c
  cross join lateral (
    select case
      when c.gate = 'quiet_hours' then c.quiet_until
      when c.is_capped then private.release_at(private.local_midnight(c.today + 1, c.time_zone), c.time_zone, c.quiet_from, c.quiet_to)
      else p_now end as release_at
    offset 0) l;
end;
$$;
comment on function private.release_gates(private.outbox[], timestamptz) is
  'What speaks against sending these pushes at p_now, the condition aside: retracted, read (in the app, or dismissed there), person_inactive, opted_out, stale (its deadline is over), quiet_hours and capped (until release_at), by the settings, preferences and time zones of this moment.';
revoke all on function private.release_gates(private.outbox[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.release_gates(private.outbox[], timestamptz) to service_role;

create or replace function private.release_pushes(p_pushes private.outbox[], p_now timestamptz) returns setof private.push_release
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_releases private.push_release[] := array(select g from private.release_gates(p_pushes, p_now) g);
  v_organization_id uuid;
  v_gone jsonb := '{}';
  v_locked text[];
begin
  for v_organization_id in
    select distinct r.organization_id from unnest(v_releases) as r where r.gate is null order by 1
  loop
    v_gone := v_gone || coalesce((
      select jsonb_object_agg(j.notification_id, jsonb_build_object('gate', j.gate, 'problem', j.problem))
      from private.judge_conditions(v_organization_id, array(
        select r from unnest(v_releases) as r where r.gate is null and r.organization_id = v_organization_id), p_now) j), '{}');
  end loop;
  if v_gone <> '{}' then
    v_releases := array(
      select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease, r.attempts,
        coalesce(r.gate, v_gone -> r.notification_id::text ->> 'gate'), r.release_at, r.planned_on, r.release_on, r.expires_at,
        v_gone -> r.notification_id::text ->> 'problem', r.scenario, r.rule_id)::private.push_release
      from unnest(v_releases) as r);
  end if;

  -- What changes the person's list or fills another of their days is done under their lock, as the engine does, and nobody is
  -- waited for: whoever has the lock may be waiting for a push that is held here.
  if exists (select from unnest(v_releases) as r where r.gate = 'condition_gone' or r.release_on <> r.planned_on) then
    v_locked := array(
      select u.organization_id || ' ' || u.id from public.users u
      where (u.organization_id, u.id) in (
        select r.organization_id, r.user_id from unnest(v_releases) as r where r.gate = 'condition_gone' or r.release_on <> r.planned_on)
      order by u.organization_id, u.id
      for no key update of u skip locked);
    -- A day is counted by a statement that sees what was committed before the lock.
    v_releases := array(
      select r from unnest(v_releases) as r where (r.gate is distinct from 'condition_gone' and r.release_on <> r.planned_on) is not true
      union all
      select g from private.release_gates(array(
        select p from unnest(p_pushes) as p
        where exists (
          select from unnest(v_releases) as r
          where r.organization_id = p.organization_id and r.id = p.id and r.gate is distinct from 'condition_gone' and r.release_on <> r.planned_on)), p_now) g);
    v_releases := array(
      select case when (r.gate = 'condition_gone' or r.release_on <> r.planned_on) and r.organization_id || ' ' || r.user_id <> all (v_locked)
        then row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease, r.attempts, 'busy', r.release_at, r.planned_on, r.planned_on,
          r.expires_at, null, r.scenario, r.rule_id)::private.push_release
        else r end
      from unnest(v_releases) as r);
    perform private.take_back(g.organization_id, g.ids, p_now)
    from (
      select r.organization_id, array_agg(r.notification_id) as ids from unnest(v_releases) as r where r.gate = 'condition_gone' group by r.organization_id
    ) g;
    update public.notifications n
    set release_on = r.release_on
    from unnest(v_releases) as r
    where n.organization_id = r.organization_id and n.id = r.notification_id and r.release_on <> r.planned_on
      and (r.gate is null or r.gate in ('quiet_hours', 'capped'));
  end if;
  return query select r.* from unnest(v_releases) as r;
end;
$$;
comment on function private.release_pushes(private.outbox[], timestamptz) is
  'Judges claimed pushes at their release: private.release_gates, then whether their conditions still hold. What no longer holds leaves the app, too; what moves to another day is counted there. Every push has its row; busy: its person is being decided about this moment.';
revoke all on function private.release_pushes(private.outbox[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.release_pushes(private.outbox[], timestamptz) to service_role;

create function private.take_pushes(p_holder uuid, p_limit integer, p_lease_seconds integer, p_now timestamptz) returns private.outbox[]
language plpgsql
set search_path = ''
set plan_cache_mode = auto
as $$
declare
  v_rows tid[];
  v_due private.outbox[];
begin
  -- By row address, and two statements: joined, the limit would be planned as a scan of the table.
  with due as (
    select o.ctid as row_at, o as push
    from private.outbox o
    where o.state in ('pending', 'deferred', 'failed', 'claimed') and o.next_attempt_at <= p_now
    order by o.next_attempt_at
    limit p_limit
    for update skip locked
  )
  select array_agg(d.row_at), array_agg(d.push order by (d.push).next_attempt_at) into v_rows, v_due from due d;
  if v_due is null then
    return '{}';
  end if;
  update private.outbox o
  set state = 'claimed', holder = p_holder, lease = o.lease + 1, next_attempt_at = p_now + make_interval(secs => p_lease_seconds), rings = false
  where o.ctid = any (v_rows);
  insert into private.outbox_history (organization_id, outbox_id, event, at)
  select d.organization_id, d.id, 'lease_lost', p_now from unnest(v_due) as d where d.state = 'claimed';
  return v_due;
end;
$$;
comment on function private.take_pushes(uuid, integer, integer, timestamptz) is
  'Claims up to p_limit pushes that are due, of those whose lease is over, too, without waiting for anybody. Returns them as they were, the oldest first.';
revoke all on function private.take_pushes(uuid, integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.take_pushes(uuid, integer, integer, timestamptz) to service_role;

create or replace function private.backlogs(p_now timestamptz)
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
  -- What may be taken by now: released, due again, or let go of by whoever had it.
  select 'outbox', 'push-notification-dispatcher', count(*), min(o.next_attempt_at), interval '15 minutes', 'outbox_old'
  from private.outbox o
  where o.state in ('pending', 'deferred', 'failed', 'claimed') and o.next_attempt_at <= p_now
  union all
  select 'receipts', 'push-notification-dispatcher', count(*), min(d.receipt_due_at), interval '1 hour', 'outbox_old'
  from private.outbox_devices d
  where d.receipt_due_at <= p_now
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

create or replace function private.finding_kinds() returns table (code text, severity text, says text, remedy text, runbook text)
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

create or replace function public.retry_outbox(p_outbox_id uuid, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  -- Not within the query: a scan that finds no row would never ask, and so never refuse.
  v_organization_id uuid := private.organization_of_push(p_outbox_id);
  v_push private.outbox;
begin
  select o.* into v_push from private.outbox o where o.organization_id = v_organization_id and o.id = p_outbox_id for no key update;
  if v_push.state in ('failed', 'dead') or v_push.skipped_reason in ('stale', 'no_device') then
    perform private.requeue_pushes(array[v_push.organization_id], array[p_outbox_id], 'retried', p_now);
    return jsonb_build_object('outbox_id', p_outbox_id, 'outcome', 'queued', 'was', v_push.state, 'skipped_reason', v_push.skipped_reason);
  end if;
  return jsonb_build_object('outbox_id', p_outbox_id, 'outcome', case
      when v_push.state in ('pending', 'deferred', 'claimed') then 'already_queued'
      when v_push.state = 'sent' then 'already_sent'
      else 'not_wanted' end,
    'was', v_push.state, 'skipped_reason', v_push.skipped_reason);
end;
$$;
comment on function public.retry_outbox(uuid, timestamptz) is
  'Tries a push again now that failed, is dead, was stale or found no device. Returns {outbox_id, outcome: queued | already_queued | already_sent | not_wanted (taken back, or switched off by the person), was, skipped_reason}. PT404 unknown_push.';
revoke all on function public.retry_outbox(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.retry_outbox(uuid, timestamptz) to service_role;

create or replace function public.show_outbox(p_outbox_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  -- Not within the query: a scan that finds no row would never ask, and so never refuse.
  v_organization_id uuid := private.organization_of_push(p_outbox_id);
  v_push private.outbox;
begin
  select o.* into v_push from private.outbox o where o.organization_id = v_organization_id and o.id = p_outbox_id;
  return private.outbox_row(v_push.organization_id, v_push.id)
    || jsonb_build_object('holder', v_push.holder, 'lease', v_push.lease, 'collapse_key', v_push.id)
    || (select jsonb_build_object('title', r.title, 'body', r.body, 'problem', r.problem)
        from private.rendered_notifications(array[v_push.organization_id], array[v_push.notification_id]) r)
    || jsonb_build_object(
      'devices', (
        select coalesce(jsonb_agg(jsonb_build_object('device_id', d.device_id, 'provider', v.provider, 'platform', v.platform, 'is_active', v.is_active,
          'verdict', d.verdict, 'reason', d.reason, 'attempts', d.attempts, 'attempted_at', d.attempted_at, 'provider_id', d.provider_id,
          'receipt_due_at', d.receipt_due_at) order by d.attempted_at, d.device_id), '[]')
        from private.outbox_devices d
        left join public.devices v on v.organization_id = d.organization_id and v.id = d.device_id
        where d.organization_id = v_push.organization_id and d.outbox_id = v_push.id),
      'history', (
        select coalesce(jsonb_agg(jsonb_build_object('at', h.at, 'event', h.event, 'reason', h.reason) order by h.id), '[]')
        from private.outbox_history h
        where h.organization_id = v_push.organization_id and h.outbox_id = v_push.id));
end;
$$;
comment on function public.show_outbox(uuid) is
  'One push, whole: its row as in public.list_outbox, its words (problem: why it has none), what became of it on each device, and its history. PT404 unknown_push.';
revoke all on function public.show_outbox(uuid) from public, anon, authenticated, service_role;
grant execute on function public.show_outbox(uuid) to service_role;
