-- Edges: where a clock or a year changes, one of two devices is left, a case goes to and fro, or a snapshot is older than a lock.
set check_function_bodies = off;

create function private.need_read_committed() returns void
language plpgsql stable parallel safe
set search_path = ''
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'invalid_transaction_state', message = 'read_committed_is_needed',
      detail = jsonb_build_object('transaction_isolation', current_setting('transaction_isolation'))::text,
      hint = 'This takes a lock and then looks at what was committed until then, which no other isolation level shows.';
  end if;
end;
$$;
comment on function private.need_read_committed() is
  'Refuses (25000 read_committed_is_needed) where somebody locks first and reads afterwards: a snapshot of before the lock would let two decide side by side.';
revoke all on function private.need_read_committed() from public, anon, authenticated, service_role;
grant execute on function private.need_read_committed() to service_role;

create or replace function public.drain_statistics_marks(p_limit integer default 2000, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_marks integer;
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_days date[];
  v_organization_id uuid;
  v_rows bigint := 0;
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  perform private.mark_ended_streaks(p_now);
  -- In the order of the key, so that one drain takes one person's marks together. By row address: a join with a limit for
  -- parameter is planned as a scan of the table. A day that has not begun by this clock waits (a phone's may be a minute ahead, and
  -- a drain that began before midnight is behind): it would move the last day on, and the streak that midnight breaks would stay.
  with claimed as (
    delete from private.statistics_marks m
    where m.ctid = any (array(
      select w.ctid from private.statistics_marks w
      where w.day is null or w.day <= (p_now at time zone 'UTC')::date
      order by w.organization_id, w.user_id, w.id
      limit p_limit
      for update skip locked))
    returning m.organization_id, m.user_id, m.day
  )
  select count(*), array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day)
    into v_marks, v_organization_ids, v_user_ids, v_days
  from claimed c;

  for v_organization_id in select distinct o.id from unnest(v_organization_ids) as o (id) order by o.id loop
    v_rows := v_rows + coalesce((
      select sum(r.rows_changed)
      from (select array_agg(c.user_id) as user_ids, array_agg(c.day) as days
            from unnest(v_organization_ids, v_user_ids, v_days) as c (organization_id, user_id, day)
            where c.organization_id = v_organization_id) m
      cross join lateral private.recompute_statistics(v_organization_id, m.user_ids, m.days, p_now) r), 0);
  end loop;
  return jsonb_build_object('marks', v_marks, 'rows', v_rows, 'more', v_marks = p_limit,
    'people', (select count(distinct (c.o, c.u)) from unnest(v_organization_ids, v_user_ids) as c (o, u)),
    'rang_again', v_marks < p_limit and private.ring_again('statistics-recompute', 'public', 'activities'));
end;
$$;
comment on function public.drain_statistics_marks(integer, timestamptz) is
  'Claims up to p_limit marks and recomputes the buckets they name; marks and rows change in one transaction, so a crash leaves the marks. Any number may drain at once. Marks of people who are gone are dropped. Also ends the streaks that yesterday broke.';
revoke all on function public.drain_statistics_marks(integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.drain_statistics_marks(integer, timestamptz) to service_role;

create or replace function private.mark_statistics_of_activity_type() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  perform private.need_read_committed();
  -- A drain holds the shared side of this lock: it ran before these marks were made, which see what it counted, or it waits
  -- for this commit and reads the new category. Deferred to the commit, so that nobody waits long.
  perform pg_advisory_xact_lock(hashtextextended('attend.statistics ' || new.organization_id::text, 0));
  perform private.mark_statistics(array_agg(d.organization_id), array_agg(d.user_id), array_agg(d.day))
  from (
    select distinct a.organization_id, a.user_id, (a.occurred_at at time zone 'UTC')::date as day
    from public.activities a
    where a.organization_id = new.organization_id and a.activity_type_id = new.id and a.status = 'completed'
  ) d;
  return null;
end;
$$;
-- Definer because admins who change a type may not see marks.
comment on function private.mark_statistics_of_activity_type() is 'Trigger: marks the days of activities of a type whose category changed.';
revoke all on function private.mark_statistics_of_activity_type() from public, anon, authenticated, service_role;

create or replace function private.mark_statistics_of_bufdir_rule() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_rule public.bufdir_rules;
  v_sides public.bufdir_rules[];
begin
  -- (Unless the organisation goes, and everything of it.)
  perform private.need_read_committed() from public.organizations o where o.id = coalesce(new.organization_id, old.organization_id);
  -- A drain holds the shared side of this lock: it ran before these marks were made, which see what it counted, or it waits
  -- for this commit and reads the new rule. Deferred to the commit, so that nobody waits long.
  perform pg_advisory_xact_lock(hashtextextended('attend.statistics ' || coalesce(new.organization_id, old.organization_id)::text, 0));
  -- Each side holds from its date until the next rule's; a rule that moved or went gives its span to the one before it,
  -- so the span between the two dates is touched as well, and both spans together cover it.
  v_sides := case
    when tg_op = 'INSERT' then array[new]
    when tg_op = 'DELETE' or old.effective_from = new.effective_from then array[old]
    else array[old, new]
  end;
  foreach v_rule in array v_sides loop
    perform private.mark_statistics(array_agg(d.organization_id), array_agg(d.user_id), array_agg(d.day))
    from (
      select distinct a.organization_id, a.user_id, (a.occurred_at at time zone 'UTC')::date as day
      from public.activities a
      where a.organization_id = v_rule.organization_id and a.status = 'completed'
        and a.occurred_at >= v_rule.effective_from::timestamp at time zone 'UTC'
        and a.occurred_at < coalesce(
          (select min(r.effective_from)::timestamp at time zone 'UTC' from public.bufdir_rules r
           where r.organization_id = v_rule.organization_id and r.effective_from > v_rule.effective_from),
          'infinity')
    ) d;
  end loop;
  return null;
end;
$$;
-- Definer because admins who change a rule may not see marks.
comment on function private.mark_statistics_of_bufdir_rule() is 'Trigger: marks exactly the days of activities that a changed Bufdir rule covers, before or after.';
revoke all on function private.mark_statistics_of_bufdir_rule() from public, anon, authenticated, service_role;

create function private.has_arrived(p_organization_id uuid, p_outbox_id uuid) returns boolean
language sql stable parallel safe
set search_path = ''
as $$
  select exists (
    select from private.outbox_devices d
    where d.organization_id = p_organization_id and d.outbox_id = p_outbox_id and d.verdict = 'sent');
$$;
comment on function private.has_arrived(uuid, uuid) is
  'Whether a push has reached its person on some device, while it may still wait for another: they have been told.';
revoke all on function private.has_arrived(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.has_arrived(uuid, uuid) to service_role;

create or replace function public.record_receipts(
  p_outcomes jsonb, p_now timestamptz default now(), p_max_attempts integer default 8,
  p_first_retry_seconds integer default 30, p_longest_retry_seconds integer default 3600)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_outcomes private.push_outcome[] := private.push_outcomes(p_outcomes, true);
  v_awaited private.push_outcome[];
  v_organization_ids uuid[];
  v_ids uuid[];
  v_retry_after double precision[];
  v_deactivated integer := 0;
  v_states jsonb := '{}';
begin
  -- The push first, as whoever records outcomes does.
  perform from private.outbox o
  where (o.organization_id, o.id) in (select c.organization_id, c.outbox_id from unnest(v_outcomes) as c)
  order by o.organization_id, o.id
  for no key update;
  -- Still awaited, and of this very message: a receipt that comes twice, or late, says nothing new.
  v_awaited := array(
    select case
      -- A receipt is about then. Whoever has registered since has the app (again), and has not had this push.
      when c.verdict = 'device_gone' and exists (
        select from public.devices v
        where v.organization_id = c.organization_id and v.id = c.device_id and v.is_active and v.last_seen_at > d.attempted_at
        offset 0)
      then row(c.organization_id, c.outbox_id, c.lease, c.device_id, 'retry', c.provider_id, c.reason, c.retry_after,
        c.awaits_receipt)::private.push_outcome
      else c end
    from unnest(v_outcomes) as c
    join private.outbox_devices d on d.organization_id = c.organization_id and d.outbox_id = c.outbox_id and d.device_id = c.device_id
    where d.receipt_due_at is not null and d.provider_id = c.provider_id);
  update private.outbox_devices d
  set receipt_due_at = case
        when c.verdict is not null then null
        -- Push services forget receipts after a day: then it stays at what they said first.
        when p_now - d.attempted_at >= interval '1 day' then null
        else p_now + interval '15 minutes' end,
      reason = case when c.verdict is null and p_now - d.attempted_at >= interval '1 day' then 'no_receipt' else d.reason end
  from unnest(v_awaited) as c
  where d.organization_id = c.organization_id and d.outbox_id = c.outbox_id and d.device_id = c.device_id;
  v_awaited := array(select c from unnest(v_awaited) as c where c.verdict <> 'sent');
  if v_awaited <> '{}' then
    v_deactivated := private.keep_outcomes(v_awaited, p_now);
    insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
    select c.organization_id, c.outbox_id, 'receipt', concat_ws(': ', c.verdict, left(c.reason, 500)), p_now from unnest(v_awaited) as c;
    -- What is being sent once more settles when that is recorded.
    select array_agg(s.organization_id), array_agg(s.id), array_agg(s.retry_after) into v_organization_ids, v_ids, v_retry_after
    from (
      select o.organization_id, o.id, max(c.retry_after) as retry_after
      from private.outbox o
      join unnest(v_awaited) as c on c.organization_id = o.organization_id and c.outbox_id = o.id
      where o.state in ('sent', 'failed')
      group by o.organization_id, o.id
    ) s;
    v_states := private.settle_pushes(v_organization_ids, v_ids, v_retry_after, 0, p_now,
      p_max_attempts, p_first_retry_seconds, p_longest_retry_seconds);
  end if;
  return jsonb_build_object('recorded', (select count(*) from unnest(v_outcomes) as c where c.verdict is not null), 'states', v_states, 'deactivated', v_deactivated);
end;
$$;
comment on function public.record_receipts(jsonb, timestamptz, integer, integer, integer) is
  'Records receipts: [{organization_id, outbox_id, device_id, provider_id, verdict, reason, retry_after}], verdict null where the provider does not know yet (asked again, for a day). A push that reached nobody after all is tried again, dead, or skipped. Repeating a call changes nothing.';
revoke all on function public.record_receipts(jsonb, timestamptz, integer, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.record_receipts(jsonb, timestamptz, integer, integer, integer) to service_role;

create or replace function private.claim_notifications(
  p_organization_id uuid, p_claims private.notification_claim[], p_now timestamptz)
returns setof private.claim_outcome
language plpgsql volatile
set search_path = ''
-- Foreign keys, too, are checked by plans that are made in here.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_snapshot text;
  v_judged private.judged_claim[];
  v_passed private.judged_claim[];
  v_taken record;
  v_lost private.judged_claim[];
  v_ids uuid[];
  v_ringing uuid;
begin
  if p_claims is null then
    return;
  end if;
  perform private.need_read_committed();
  v_snapshot := pg_current_snapshot();
  v_judged := private.delivery_gates(p_organization_id, p_claims, p_now, null);
  -- Whoever may be told is locked, in the order of the key, so that two evaluators never wait for each other in a circle, and
  -- then, if anybody committed anything meanwhile, judged again by a statement that sees it: a cooldown taken, a day filled, an
  -- opt-out.
  perform from public.users u
  where u.organization_id = p_organization_id and u.id in (
    select g.user_id from unnest(v_judged) as g where g.gate in ('would_send', 'quiet_hours')
    union
    select uc.coordinator_id from unnest(v_judged) as g
    cross join lateral (
      select w.coordinator_id from public.user_coordinators w
      where w.organization_id = p_organization_id and w.user_id = g.user_id
      offset 0
    ) uc
    where g.gate in ('would_send', 'quiet_hours') and g.informs_coordinators)
  order by u.id
  for no key update of u;
  if found then
    if v_snapshot <> pg_current_snapshot()::text then
      v_judged := array(select g from unnest(v_judged) as g where g.gate not in ('would_send', 'quiet_hours'))
        || private.delivery_gates(p_organization_id, array(
          select row(c.user_id, c.scenario, c.subject, c.rule_id, c.cooldown_days, c.crossed_at, c.context, c.rule_version, c.priority,
            c.is_mandatory, c.informs_coordinators)::private.notification_claim
          from unnest(v_judged) as c where c.gate in ('would_send', 'quiet_hours')), p_now, null);
    end if;
    v_passed := array(
      select g from unnest(v_judged) as g where g.gate in ('would_send', 'quiet_hours') order by g.user_id, g.scenario, g.subject);
  end if;

  -- One statement a table, each reading the array alone: joins between what they return would be planned for ten rows.
  if v_passed <> '{}' then
    with cooled as (
      insert into private.cooldowns as cd (
        organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days, spell_from, told_in_spell)
      select p_organization_id, p.user_id, p.scenario, p.subject, p_now, p.cooldown_days,
        -- What somebody outside calls so is not ours to read.
        case when p.rule_id is not null then (p.context ->> 'anchor_at')::timestamptz end, 1
      from unnest(v_passed) as p
      on conflict (organization_id, user_id, scenario, subject) do update
        set last_triggered_at = excluded.last_triggered_at, cooldown_days = excluded.cooldown_days, spell_from = excluded.spell_from,
            told_in_spell = case
              when excluded.spell_from > cd.last_triggered_at then 1
              when excluded.spell_from >= cd.spell_from then cd.told_in_spell + 1
            end
        where cd.last_triggered_at + make_interval(hours => 24 * excluded.cooldown_days) <= excluded.last_triggered_at
      returning cd.user_id, cd.scenario, cd.subject
    )
    select array_agg(c.user_id) as user_ids, array_agg(c.scenario) as scenarios, array_agg(c.subject) as subjects into v_taken from cooled c;
    if cardinality(v_taken.user_ids) is distinct from cardinality(v_passed) then
      -- A sender outside, who asks for no lock, took some of them this moment (public.record_last_triggered).
      v_lost := array(
        select p from unnest(v_passed) as p
        where (p.user_id, p.scenario, p.subject) not in (
          select t.user_id, t.scenario, t.subject
          from unnest(v_taken.user_ids, v_taken.scenarios, v_taken.subjects) as t (user_id, scenario, subject)));
      v_passed := array(
        select p from unnest(v_passed) as p
        where (p.user_id, p.scenario, p.subject) in (
          select t.user_id, t.scenario, t.subject
          from unnest(v_taken.user_ids, v_taken.scenarios, v_taken.subjects) as t (user_id, scenario, subject)));
    end if;
    v_ids := array(select gen_random_uuid() from unnest(v_passed));
    insert into public.notifications (
      organization_id, id, user_id, scenario, subject, rule_id, rule_version, context, crossed_at, triggered_at, release_on, is_mandatory)
    select p_organization_id, p.id, p.user_id, p.scenario, p.subject, p.rule_id, p.rule_version, p.context, p.crossed_at, p_now,
      p.release_on, coalesce(p.is_mandatory, false)
    from rows from (unnest(v_ids), unnest(v_passed)) as p (id);
    select p.id into v_ringing
    from rows from (unnest(v_ids), unnest(v_passed)) as p (id)
    where p.release_at <= p_now and (not p.is_push_opted_out or p.is_mandatory)
    limit 1;
    insert into private.outbox (organization_id, notification_id, user_id, channel, state, release_at, next_attempt_at, rings)
    select p_organization_id, p.id, p.user_id, 'push',
      case when p.release_at > p_now then 'deferred' else 'pending' end::public.outbox_state, p.release_at, p.release_at,
      -- One that may go at once rings for all; the time of the others is told by the clock.
      p.id is not distinct from v_ringing
    from rows from (unnest(v_ids), unnest(v_passed)) as p (id)
    where not p.is_push_opted_out or p.is_mandatory;
    perform private.inform_coordinators(p_organization_id, v_passed, p_now);
  end if;

  return query
  select p.user_id, p.scenario, p.subject, case p.gate when 'quiet_hours' then p.gate else 'sent' end, p.id,
    p_now + make_interval(hours => 24 * p.cooldown_days), null::timestamptz, p.rule_id, p.crossed_at, p.context
  from rows from (unnest(v_ids), unnest(v_passed)) as p (id)
  union all
  select g.user_id, g.scenario, g.subject, g.gate, null, g.cooldown_until, g.look_again_at, g.rule_id, g.crossed_at, g.context
  from unnest(v_judged) as g
  where g.gate not in ('would_send', 'quiet_hours')
  union all
  select l.user_id, l.scenario, l.subject, 'cooling_down', null, null, null, l.rule_id, l.crossed_at, l.context
  from unnest(v_lost) as l;
end;
$$;
comment on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) is
  'The atomic act: preference, cooldown, cap, notification and outbox row, together or not at all, for people of one organisation. One outcome a claim: sent, quiet_hours (made, pushed when they end), opted_out, cooling_down, capped (until look_again_at) or person_inactive (also: no longer there). (user, scenario, subject) must be unique among the claims.';
revoke all on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) to service_role;

create or replace function private.decide_safely(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz, p_run_id bigint default null)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_message text;
  v_state text;
  v_ids uuid[];
  v_half integer;
begin
  return private.decide(p_organization_id, p_from_user, p_to_user, p_user_ids, p_now, p_run_id);
exception
  -- These are the moment's fault and nobody's data: a cancelled statement, a lost race, a server going down; or the engine's
  -- own, which would put everybody into quarantine: a function or a right that is missing, a wrong isolation level.
  when syntax_error_or_access_rule_violation or invalid_transaction_state or query_canceled or serialization_failure or deadlock_detected or lock_not_available or operator_intervention
    or insufficient_resources or connection_exception then
    raise;
  when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    -- In halves, until it is one person's: the others are decided. In the order of the key, as locks are taken.
    v_ids := (
      select array_agg(distinct i.id order by i.id)
      from unnest(coalesce(p_user_ids, private.people(p_organization_id, p_from_user, p_to_user))) as i (id));
    v_half := cardinality(v_ids) / 2;
    if v_half is null then
      return '{}';
    elsif v_half = 0 then
      insert into private.quarantine (organization_id, user_id, reason, message)
      select u.organization_id, u.id, v_state, v_message
      from public.users u where u.organization_id = p_organization_id and u.id = v_ids[1]
      on conflict (organization_id, user_id) do update set reason = excluded.reason, message = excluded.message;
      return jsonb_build_object('quarantined', jsonb_build_object(v_state, 1));
    end if;
    return private.add_counts(
      private.decide_safely(p_organization_id, null, null, v_ids[:v_half], p_now, p_run_id),
      private.decide_safely(p_organization_id, null, null, v_ids[v_half + 1:], p_now, p_run_id));
end;
$$;
comment on function private.decide_safely(uuid, uuid, uuid, uuid[], timestamptz, bigint) is
  'private.decide, in which one person''s bad row does not stop everybody: whoever cannot be decided is put into private.quarantine with the reason. Returns the counts, and {"quarantined": {"sqlstate": n}}.';
revoke all on function private.decide_safely(uuid, uuid, uuid, uuid[], timestamptz, bigint) from public, anon, authenticated, service_role;
grant execute on function private.decide_safely(uuid, uuid, uuid, uuid[], timestamptz, bigint) to service_role;

create or replace function private.milestone_periods(p_period text, p_max_age_days integer, p_now timestamptz)
returns table (period text, period_start timestamptz, label text)
language sql stable
set search_path = ''
as $$
  select 'all_time', null::timestamptz, 'all' where p_period = 'all_time'
  union all
  -- At New Year a crossing of the old year is still new. (366 days back from 1 January is the year before that, and the old year
  -- lies between.)
  select 'year', y.starts_at, extract(year from y.starts_at at time zone 'UTC')::text
  from generate_series(
    date_trunc('year', p_now - make_interval(hours => 24 * p_max_age_days), 'UTC'), p_now, interval '1 year', 'UTC') as y (starts_at)
  where p_period = 'year';
$$;
comment on function private.milestone_periods(text, integer, timestamptz) is
  'The periods in which a milestone can have been reached that is not too old at p_now: this year (UTC), in its first days also the last one; or all time.';
revoke all on function private.milestone_periods(text, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.milestone_periods(text, integer, timestamptz) to service_role;

create or replace function private.release_at(p_now timestamptz, p_time_zone text, p_quiet_from time, p_quiet_to time) returns timestamptz
language plpgsql stable parallel safe
set search_path = ''
as $$
declare
  v_local timestamp := p_now at time zone p_time_zone;
  v_time time := v_local::time;
  v_ends_local timestamp;
  v_ends_at timestamptz;
  v_missing interval;
begin
  if p_quiet_from is null
    or (p_quiet_from < p_quiet_to and not (v_time >= p_quiet_from and v_time < p_quiet_to))
    or (p_quiet_from > p_quiet_to and v_time >= p_quiet_to and v_time < p_quiet_from)
  then
    return p_now;
  end if;
  v_ends_local := v_local::date + p_quiet_to + case when v_time >= p_quiet_to then interval '1 day' else interval '0' end;
  -- As far away as on the clock, if nobody changes it before: then it is also the first of two that the clock shows. (Less than a
  -- day, so that no session's zone has a say in the sum.)
  v_ends_at := p_now + (v_ends_local - v_local);
  v_missing := v_ends_local - (v_ends_at at time zone p_time_zone);
  if v_missing <> interval '0' then
    v_ends_at := v_ends_at + v_missing;
    -- The clock jumps over the end, which then comes with the jump: the first full minute that shows it or a later time. Which
    -- minute that is, and how far the clock goes, is every zone's own business (Chatham: at a quarter to three; Troll: two hours).
    if v_ends_at at time zone p_time_zone < v_ends_local then
      v_ends_at := (
        select min(m.at) from generate_series(v_ends_at, v_ends_at - v_missing, interval '1 minute') as m (at)
        where m.at at time zone p_time_zone >= v_ends_local);
    end if;
  end if;
  return v_ends_at;
end;
$$;
comment on function private.release_at(timestamptz, text, time, time) is
  'p_now, or where it is quiet in a time zone (from inclusive, to exclusive, over midnight if from is later; null: never), the instant at which it no longer is.';
revoke all on function private.release_at(timestamptz, text, time, time) from public, anon, authenticated, service_role;
grant execute on function private.release_at(timestamptz, text, time, time) to service_role;

create or replace function private.take_back(p_organization_id uuid, p_notification_ids uuid[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  with retracted as (
    update public.notifications n
    set retracted_at = p_now
    where n.organization_id = p_organization_id and n.id = any (p_notification_ids)
      and n.read_at is null and n.dismissed_at is null and n.retracted_at is null
      -- Whom the push has reached on one device has been told, though another device still waited for it.
      and not exists (
        select from private.outbox o
        where o.organization_id = n.organization_id and o.notification_id = n.id and private.has_arrived(o.organization_id, o.id)
        offset 0)
    returning n.user_id, n.scenario, n.subject, n.triggered_at
  ), retold as (
    -- A lead that nobody saw is told again where the certificate turns out to expire after all. (A milestone stays recorded, and
    -- inactivity cools down.)
    delete from private.cooldowns cd
    using retracted r
    where cd.organization_id = p_organization_id and cd.user_id = r.user_id and cd.scenario = r.scenario and cd.subject = r.subject
      and r.scenario = 'certification_expiry'
  )
  update public.notifications n
  set retracted_at = p_now
  from retracted r
  where n.organization_id = p_organization_id and n.about_user_id = r.user_id and n.scenario = r.scenario
    and n.subject = r.subject || '/' || r.user_id and n.triggered_at = r.triggered_at
    and n.read_at is null and n.dismissed_at is null and n.retracted_at is null;
end;
$$;
comment on function private.take_back(uuid, uuid[], timestamptz) is
  'Takes notifications out of the app that were not pushed and no longer hold. What has been read, or has arrived on a device, stays; what coordinators were told of it goes along. For whoever has taken back the push and holds the locks of the people (private.retract_unmatched).';
revoke all on function private.take_back(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.take_back(uuid, uuid[], timestamptz) to service_role;

create or replace function private.unmatched_notifications(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[], p_now timestamptz,
  p_notification_ids uuid[] default null)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  -- Asked of what waits, never of everything that was ever told: a chunk must not cost more as a run goes on. Mostly nothing does.
  v_waiting constant uuid[] := coalesce(p_notification_ids, array(
    select o.notification_id from private.outbox o
    where o.organization_id = p_organization_id and o.state in ('pending', 'deferred', 'failed')
      -- What waits for a second device only is settled at its next attempt.
      and (o.attempts = 0 or not private.has_arrived(o.organization_id, o.id))
      and (p_from_user is null or o.user_id >= p_from_user) and (p_to_user is null or o.user_id < p_to_user)
      and (p_user_ids is null or o.user_id = any (p_user_ids))));
begin
  if v_waiting = '{}' then
    return v_waiting;
  end if;
  return array(
    select n.id
    from public.notifications n
    where n.organization_id = p_organization_id and n.id = any (v_waiting)
      -- Of who is in quarantine nobody knows what matches.
      and not exists (select from private.quarantine q where q.organization_id = n.organization_id and q.user_id = n.user_id)
      -- Without a rule, somebody outside decided. What was decided later than p_now is not this evaluation's to judge, nor is a
      -- milestone of a year that is no longer looked at, while its rule is on.
      and n.rule_id is not null and n.triggered_at <= p_now
      and (coalesce((n.context ->> 'period_start')::timestamptz >= date_trunc('year', p_now, 'UTC'), true)
        or not exists (
          select from public.scenario_rules r
          where r.organization_id = n.organization_id and r.id = n.rule_id and r.is_enabled))
      and not exists (
        select from unnest(p_matches) as m
        where m.user_id = n.user_id and m.scenario = n.scenario and m.subject = n.subject
          and (m.gate is null or m.gate not in ('rule_disabled', 'person_inactive', 'away', 'not_matched')))
  );
end;
$$;
comment on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz, uuid[]) is
  'What was decided for these people, has not been sent, and no longer holds: p_matches are all they match at p_now. An evaluation takes it back, and a dry-run knows that it will. With p_notification_ids, which of these no longer hold, whoever is about to send them.';
revoke all on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz, uuid[]) to service_role;

create function private.forget_case_news(p_organization_id uuid, p_notification_ids uuid[]) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  delete from private.cooldowns cd
  using public.notifications n
  where n.organization_id = p_organization_id and n.id = any (p_notification_ids) and n.scenario = 'pastoral_case'
    and n.retracted_at is not null
    and cd.organization_id = n.organization_id and cd.user_id = n.user_id and cd.scenario = n.scenario and cd.subject = n.subject
    and cd.last_triggered_at = n.triggered_at
    -- Whoever has closed the case knows of it.
    and not exists (
      select from public.pastoral_cases c
      where c.organization_id = n.organization_id and c.status = 'closed'
        and c.id = case when pg_catalog.pg_input_is_valid(n.context ->> 'case_id', 'uuid') then (n.context ->> 'case_id')::uuid end
      offset 0);
end;
$$;
comment on function private.forget_case_news(uuid, uuid[]) is
  'Of these notifications, those that were news of a case and were taken back unseen have told nobody: the next news of that person is told without waiting for their cooldown.';
revoke all on function private.forget_case_news(uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.forget_case_news(uuid, uuid[]) to service_role;

create function private.move_midnights() returns trigger
language plpgsql security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  -- Whoever takes attendance holds the other side of this lock (private.share_absence_threshold): their midnights are seen below, or
  -- they read the new zone.
  perform pg_advisory_xact_lock(hashtextextended('attend.absence_alert_threshold ' || new.id::text, 0));
  perform private.recompute_attendance(array_agg(p.organization_id), array_agg(p.id))
  from public.people p
  where p.organization_id = new.id and p.last_present_on is not null;
  return null;
end;
$$;
-- Definer because whoever changes an organisation may not write what attendance says of people.
comment on function private.move_midnights() is
  'Trigger on public.organizations: in another time zone the days on which people came without a check-in time begin at another moment.';
revoke all on function private.move_midnights() from public, anon, authenticated, service_role;

create or replace function private.reflag_absences() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid;
  v_threshold integer;
begin
  for v_organization_id in
    select distinct k.organization_id
    from (values (old.organization_id, old.key), (new.organization_id, new.key)) as k (organization_id, key)
    join public.organizations o on o.id = k.organization_id
    where k.key = 'absence_alert_threshold'
    order by 1
  loop
    perform private.need_read_committed();
    perform pg_advisory_xact_lock(hashtextextended('attend.absence_alert_threshold ' || v_organization_id::text, 0));
    -- Changed in nothing, so that a writer whose snapshot is older than this is refused (private.share_absence_threshold).
    update public.organizations o set name = o.name where o.id = v_organization_id;
    v_threshold := private.absence_threshold(v_organization_id);
    update public.people p
    set at_risk_flag = p.consecutive_absences >= v_threshold
    where p.organization_id = v_organization_id and p.at_risk_flag <> (p.consecutive_absences >= v_threshold);
  end loop;
  return null;
end;
$$;
-- Definer because admins write settings and may not write what attendance says of people.
comment on function private.reflag_absences() is
  'Trigger on public.org_settings_kv: a changed absence_alert_threshold flags the organisation''s people anew, at once.';
revoke all on function private.reflag_absences() from public, anon, authenticated, service_role;

create or replace function private.retract_case_news(p_organization_id uuid, p_case_ids uuid[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_locked uuid[];
  v_taken uuid[];
begin
  -- The servant first and then their push, as whoever opts out does; and nobody is waited for, as the case is locked already and
  -- whoever has the servant may be waiting for it. What is left is judged at its release (private.gone_notifications).
  v_locked := array(
    select u.id from public.users u
    where u.organization_id = p_organization_id and u.id = any (private.servants_with_news(p_organization_id, p_case_ids))
    order by u.id
    for no key update skip locked);
  if v_locked = '{}' then
    return;
  end if;
  with taken as (
    update private.outbox o
    set state = 'retracted'
    from public.notifications n
    join public.pastoral_cases c on c.organization_id = n.organization_id and c.id::text = n.context ->> 'case_id'
    where n.organization_id = p_organization_id and n.scenario = 'pastoral_case' and n.context ->> 'case_id' = any (p_case_ids::text[])
      and o.organization_id = n.organization_id and o.notification_id = n.id and o.user_id = any (v_locked)
      and o.state in ('pending', 'deferred', 'failed') and (o.attempts = 0 or not private.has_arrived(o.organization_id, o.id))
      and not private.is_case_of(c.status, c.assigned_servant_id, n.user_id)
    returning o.notification_id
  )
  select array_agg(t.notification_id) into v_taken from taken t;
  perform private.take_back(p_organization_id, v_taken, p_now);
  perform private.forget_case_news(p_organization_id, v_taken);
end;
$$;
comment on function private.retract_case_news(uuid, uuid[], timestamptz) is
  'Takes back what has not reached a servant of these cases and no longer concerns them: they are done with, or somebody else''s.';
revoke all on function private.retract_case_news(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.retract_case_news(uuid, uuid[], timestamptz) to service_role;

create function private.servants_with_news(p_organization_id uuid, p_case_ids uuid[]) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return array(
    select distinct o.user_id
    from private.outbox o
    join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
    where o.organization_id = p_organization_id and o.state in ('pending', 'deferred', 'failed')
      and n.scenario = 'pastoral_case' and n.context ->> 'case_id' = any (p_case_ids::text[]));
end;
$$;
comment on function private.servants_with_news(uuid, uuid[]) is 'Who is still to be pushed news of these cases.';
revoke all on function private.servants_with_news(uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.servants_with_news(uuid, uuid[]) to service_role;

create or replace function private.share_absence_threshold(p_organization_id uuid) returns integer
language plpgsql
set search_path = ''
as $$
begin
  -- Whoever changes the threshold holds the other side of this lock: they see what is written under the old one, or they are
  -- waited for and the new one is read. In a statement of its own, so that the read comes after the wait.
  perform pg_advisory_xact_lock_shared(hashtextextended('attend.absence_alert_threshold ' || p_organization_id::text, 0));
  if current_setting('transaction_isolation') <> 'read committed' then
    -- A snapshot of before the wait would still show the old one. Whoever changed it has touched this row, which is a conflict
    -- (40001) to such a snapshot: it is tried again.
    perform from public.organizations o where o.id = p_organization_id for share;
  end if;
  return private.absence_threshold(p_organization_id);
end;
$$;
comment on function private.share_absence_threshold(uuid) is
  'The threshold, which nobody changes until this transaction has ended.';
revoke all on function private.share_absence_threshold(uuid) from public, anon, authenticated, service_role;

create or replace function private.tend_cases(p_organization_id uuid, p_person_ids uuid[], p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_person_ids uuid[] := p_person_ids;
  v_perhaps uuid[];
  v_changes private.case_change[];
  v_opened private.notification_claim[];
  v_left uuid[];
  v_counts jsonb := '{}';
begin
  if p_person_ids is null then
    select array_agg(t.person_id) filter (where t.is_certain), array_agg(t.person_id) filter (where not t.is_certain)
      into v_person_ids, v_perhaps
    from private.people_to_tend(p_organization_id) t;
    -- Judged without their locks, so that a case which waits for its servant and nothing else is not written to night after night.
    if v_perhaps <> '{}' then
      v_person_ids := v_person_ids || array(
        select distinct c.person_id from private.case_changes(p_organization_id, v_perhaps, p_now) c);
    end if;
  end if;
  if v_person_ids <> '{}' then
    -- Locked in the order of the key, and judged by a statement that sees what was committed meanwhile: of twenty generators at
    -- once one finds something to do.
    perform from public.people p
    where p.organization_id = p_organization_id and p.id = any (v_person_ids)
    order by p.id
    for no key update;
    v_changes := array(select c from private.case_changes(p_organization_id, v_person_ids, p_now) c);
    v_opened := private.apply_case_changes(p_organization_id, v_changes, p_now);
    v_left := array(select c.case_id from unnest(v_changes) as c where c.action in ('return', 'withdraw', 'assign'));
    if v_left <> '{}' then
      -- Before anybody is told, so that it makes room in their day; so whoever is about to be told is locked along, for all of
      -- these locks to be taken in the order of the key.
      perform from public.users u
      where u.organization_id = p_organization_id and u.id in (
        select unnest(private.servants_with_news(p_organization_id, v_left))
        union all
        select o.user_id from unnest(v_opened) as o
        union all
        select c.assigned_servant_id from public.pastoral_cases c where c.organization_id = p_organization_id and c.untold is not null)
      order by u.id
      for no key update;
      perform private.retract_case_news(p_organization_id, v_left, p_now);
    end if;
    select coalesce(jsonb_object_agg('cases', a.counts), '{}') into v_counts
    from (
      select jsonb_object_agg(n.action, n.n) as counts
      from (select c.action, count(*) as n from unnest(v_changes) as c group by c.action) n
    ) a
    where a.counts is not null;
  end if;
  return private.add_counts(v_counts, private.tell_servants(p_organization_id, p_person_ids, v_opened, p_now));
end;
$$;
comment on function private.tend_cases(uuid, uuid[], timestamptz) is
  'Brings the cases of an organisation''s people (null: of everybody) to what they should be, and tells the servants, in the caller''s transaction. Repeating it changes nothing. Returns {"cases": {"action": n}, "pastoral_case": {"outcome": n}}.';
revoke all on function private.tend_cases(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.tend_cases(uuid, uuid[], timestamptz) to service_role;

create or replace function private.update_person_attendance_stats() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_person_ids uuid[];
  v_first_day date[];
  v_present_on date[];
  v_attended_at timestamptz[];
  v_absences integer[];
  v_first_absent date[];
  v_last_absent date[];
  v_one record;
  v_lock text;
begin
  select n.organization_id, n.person_id, n.service_date, n.status, n.checked_in_at, exists (select from new_rows offset 1) as has_more
    into v_one
  from new_rows n limit 1;
  -- Most records come alone, at the door: what the general way costs to plan is many times what they take. It says the same.
  if v_one.has_more is false then
    if v_one.status = 'excused' then
      return null;
    end if;
    v_lock := pg_advisory_xact_lock_shared(hashtextextended('attend.absence_alert_threshold ' || v_one.organization_id::text, 0));
    if current_setting('transaction_isolation') <> 'read committed' then
      perform private.share_absence_threshold(v_one.organization_id);
    end if;
    if v_one.status = 'absent' then
      update public.people p
      set consecutive_absences = p.consecutive_absences + 1, absent_since = coalesce(p.absent_since, v_one.service_date),
          last_absent_on = v_one.service_date,
          at_risk_flag = p.consecutive_absences + 1 >= coalesce(
            (select (s.value #>> '{}')::integer from public.org_settings_kv s
             where s.organization_id = v_one.organization_id and s.key = 'absence_alert_threshold'),
            3)
      where p.organization_id = v_one.organization_id and p.id = v_one.person_id
        and v_one.service_date > coalesce(greatest(p.last_present_on, p.last_absent_on), '-infinity');
    else
      update public.people p
      set consecutive_absences = 0, absent_since = null, last_absent_on = null, at_risk_flag = false, last_present_on = v_one.service_date,
          -- private.local_midnight, spelled out: its calls take as long as all the rest.
          last_attendance_at = coalesce(v_one.checked_in_at, (
            select case
              when ((m.midnight - interval '1 hour') at time zone m.time_zone)::date = v_one.service_date then m.midnight - interval '1 hour'
              else m.midnight end
            from (select v_one.service_date::timestamp at time zone o.time_zone as midnight, o.time_zone
                  from public.organizations o where o.id = v_one.organization_id) m))
      where p.organization_id = v_one.organization_id and p.id = v_one.person_id
        and v_one.service_date > coalesce(greatest(p.last_present_on, p.last_absent_on), '-infinity');
    end if;
    if not found then
      perform private.recompute_attendance(array[v_one.organization_id], array[v_one.person_id]);
    end if;
    return null;
  end if;

  select array_agg(a.organization_id), array_agg(a.person_id), array_agg(a.first_day), array_agg(a.present_on), array_agg(a.attended_at),
      array_agg(a.absences), array_agg(a.first_absent), array_agg(a.last_absent)
    into v_organization_ids, v_person_ids, v_first_day, v_present_on, v_attended_at, v_absences, v_first_absent, v_last_absent
  from (
    -- Of who both came and did not, or came on several days, a sum does not tell which was when: history does, for no day is later
    -- than -infinity.
    select n.organization_id, n.person_id,
      case when max(n.service_date) filter (where n.status <> 'absent') is not null
          and (count(*) filter (where n.status = 'absent') > 0 or min(n.service_date) <> max(n.service_date)) then '-infinity'
        else min(n.service_date) end as first_day,
      max(n.service_date) filter (where n.status <> 'absent') as present_on,
      max(coalesce(n.checked_in_at, m.midnight)) filter (where n.status <> 'absent') as attended_at,
      (count(*) filter (where n.status = 'absent'))::integer as absences,
      min(n.service_date) filter (where n.status = 'absent') as first_absent,
      max(n.service_date) filter (where n.status = 'absent') as last_absent
    from new_rows n
    -- Once a day and not once a record: it costs more than all the rest.
    join (
      select s.organization_id, s.service_date, private.local_midnight(s.service_date, o.time_zone) as midnight
      from (select distinct r.organization_id, r.service_date from new_rows r) s
      join public.organizations o on o.id = s.organization_id
      offset 0
    ) m on m.organization_id = n.organization_id and m.service_date = n.service_date
    where n.status <> 'excused'
    group by n.organization_id, n.person_id
  ) a;
  if v_person_ids is not null then
    perform private.add_attendance(
      v_organization_ids, v_person_ids, v_first_day, v_present_on, v_attended_at, v_absences, v_first_absent, v_last_absent);
  end if;
  return null;
end;
$$;
-- Definer because whoever takes attendance may not write what it says of people.
comment on function private.update_person_attendance_stats() is
  'Trigger trg_update_attendance_stats: keeps what new attendance records say of people, whatever their order and number ("Engagement Scoring & At-Risk Automation").';
revoke all on function private.update_person_attendance_stats() from public, anon, authenticated, service_role;

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
        coalesce(r.gate, v_gone -> r.notification_id::text ->> 'gate'), r.release_at, r.planned_on,
        -- What does not go moves to no day, or it would be judged below as if nobody had asked for its condition.
        case when v_gone ? r.notification_id::text then r.planned_on else r.release_on end, r.expires_at,
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
    perform private.take_back(g.organization_id, g.ids, p_now), private.forget_case_news(g.organization_id, g.ids)
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

create trigger organizations_move_midnights after update of time_zone on public.organizations
  for each row when (old.time_zone is distinct from new.time_zone) execute function private.move_midnights();
