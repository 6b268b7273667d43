-- Scenarios: see supabase/schemas/40_scenarios/, to which the migrations are proven equal.
set check_function_bodies = off;

-- The scenario engine (rules.md §3): rules, marks of what changed, and the one claim that tells a person something.

create type private.notification_claim as (
  user_id uuid,
  scenario text,
  subject text,
  rule_id uuid,
  cooldown_days integer,
  crossed_at timestamptz,
  context jsonb
);
comment on type private.notification_claim is 'A wish to tell a person something; private.claim_notifications decides.';

create function private.claim_notifications(
  p_organization_id uuid, p_claims private.notification_claim[], p_now timestamptz)
returns table (user_id uuid, scenario text, subject text, outcome text, notification_id uuid, cooldown_until timestamptz)
language sql volatile
set search_path = ''
as $$
  with claimed as materialized (
    -- Locked in the order of the key, so that two evaluators never wait for each other in a circle, and so that a person
    -- deleted this moment drops out here instead of failing the whole chunk on a foreign key.
    select c.user_id, c.scenario, c.subject, c.rule_id, c.cooldown_days, c.crossed_at, c.context, u.is_active
    from unnest(p_claims) as c
    join public.users u on u.organization_id = p_organization_id and u.id = c.user_id
    order by c.user_id, c.scenario, c.subject
    for key share of u
  ), judged as materialized (
    select c.*, coalesce(np.from_all, false) as is_opted_out, coalesce(np.from_push, false) as is_push_opted_out
    from claimed c
    left join lateral (
      select bool_or(p.channel = 'all') as from_all, bool_or(p.channel = 'push') as from_push
      from public.notification_preferences p
      where p.organization_id = p_organization_id and p.user_id = c.user_id
        and p.scenario in ('all', c.scenario) and not p.is_enabled
    ) np on true
  ), cooled as (
    -- The race is settled here: of two evaluators one finds the cooldown taken, and gets no row back.
    insert into private.cooldowns as cd (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)
    select p_organization_id, j.user_id, j.scenario, j.subject, p_now, j.cooldown_days
    from judged j
    where j.is_active and not j.is_opted_out
    order by j.user_id, j.scenario, j.subject
    on conflict (organization_id, user_id, scenario, subject) do update
      set last_triggered_at = excluded.last_triggered_at, cooldown_days = excluded.cooldown_days
      where cd.last_triggered_at + make_interval(hours => 24 * excluded.cooldown_days) <= excluded.last_triggered_at
    returning cd.user_id, cd.scenario, cd.subject
  ), notified as (
    insert into public.notifications (organization_id, user_id, scenario, subject, rule_id, context, crossed_at, triggered_at)
    select p_organization_id, j.user_id, j.scenario, j.subject, j.rule_id, j.context, j.crossed_at, p_now
    from cooled
    join judged j on j.user_id = cooled.user_id and j.scenario = cooled.scenario and j.subject = cooled.subject
    returning id, user_id, scenario, subject
  ), queued as (
    insert into private.outbox (organization_id, notification_id, user_id, channel)
    select p_organization_id, n.id, n.user_id, 'push'
    from notified n
    join judged j on j.user_id = n.user_id and j.scenario = n.scenario and j.subject = n.subject
    where not j.is_push_opted_out
  )
  select c.user_id, c.scenario, c.subject,
    case
      when n.id is not null then 'sent'
      when j.user_id is null or not j.is_active then 'person_inactive'
      when j.is_opted_out then 'opted_out'
      else 'cooling_down'
    end,
    n.id,
    case when n.id is not null then p_now + make_interval(hours => 24 * c.cooldown_days)
         -- A subquery, for a join would read every cooldown of the organisation while statistics are young.
         when j.is_active and not j.is_opted_out then (
           select cd.last_triggered_at + make_interval(hours => 24 * c.cooldown_days)
           from private.cooldowns cd
           where cd.organization_id = p_organization_id and cd.user_id = c.user_id
             and cd.scenario = c.scenario and cd.subject = c.subject)
    end
  from unnest(p_claims) as c
  left join judged j on j.user_id = c.user_id and j.scenario = c.scenario and j.subject = c.subject
  left join notified n on n.user_id = c.user_id and n.scenario = c.scenario and n.subject = c.subject;
$$;
comment on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) is
  'The atomic act: preference, cooldown, notification and outbox row, together or not at all, for people of one organisation. One outcome a claim: sent, opted_out, cooling_down or person_inactive (also: no longer there). (user, scenario, subject) must be unique among the claims.';
revoke all on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.claim_notifications(uuid, private.notification_claim[], timestamptz) to service_role;

create function private.decide(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_gates jsonb;
  v_claims private.notification_claim[];
  v_outcomes jsonb;
begin
  with gates as materialized (
    select g.* from private.inactivity_gates(p_organization_id, p_from_user, p_to_user, p_user_ids, p_now) g
  )
  select
    (select jsonb_object_agg(c.gate, c.n)
     from (select g.gate, count(*) as n from gates g where g.gate <> 'would_send' group by g.gate) c),
    (select array_agg(row(g.user_id, 'inactivity', g.subject, g.rule_id, g.cooldown_days, g.crossed_at,
        jsonb_build_object('threshold_days', g.threshold_days, 'last_activity_at', g.last_activity_at, 'anchor_at', g.anchor_at)
      )::private.notification_claim)
     from gates g where g.gate = 'would_send')
    into v_gates, v_claims;

  if v_claims is not null then
    select jsonb_object_agg(o.outcome, o.n) into v_outcomes
    from (
      select c.outcome, count(*) as n
      from private.claim_notifications(p_organization_id, v_claims, p_now) c
      group by c.outcome
    ) o;
  end if;
  return private.add_counts(
    jsonb_build_object('inactivity', coalesce(v_gates, '{}')), jsonb_build_object('inactivity', coalesce(v_outcomes, '{}')));
end;
$$;
comment on function private.decide(uuid, uuid, uuid, uuid[], timestamptz) is
  'Evaluates a range (from inclusive, to exclusive, null: open) or list of people of one organisation, with all effects, in the caller''s transaction. Returns {"scenario": {"gate": n}}.';
revoke all on function private.decide(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.decide(uuid, uuid, uuid, uuid[], timestamptz) to service_role;

create function public.drain_scenario_marks(p_limit integer default 2000, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_marks integer;
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_organization_id uuid;
  v_people integer := 0;
  v_counts jsonb := '{}';
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  -- Any mark nobody else holds. By row address: a join with a limit for parameter is planned as a scan of the table.
  with claimed as (
    delete from private.scenario_marks m
    where m.ctid = any (array(
      select w.ctid from private.scenario_marks w
      order by w.organization_id, w.id
      limit p_limit
      for update skip locked))
    returning m.organization_id, m.user_id
  )
  select count(*), array_agg(c.organization_id), array_agg(c.user_id) into v_marks, v_organization_ids, v_user_ids from claimed c;

  for v_organization_id in select distinct o.id from unnest(v_organization_ids) as o (id) order by o.id loop
    v_counts := private.add_counts(v_counts, public.evaluate_people(v_organization_id, (
      select array_agg(distinct c.user_id)
      from unnest(v_organization_ids, v_user_ids) as c (organization_id, user_id)
      where c.organization_id = v_organization_id), p_now) -> 'counts');
  end loop;
  select count(distinct (c.organization_id, c.user_id)) into v_people
  from unnest(v_organization_ids, v_user_ids) as c (organization_id, user_id);

  return jsonb_build_object('marks', v_marks, 'people', v_people, 'more', v_marks = p_limit, 'counts', v_counts,
    'rang_again', v_marks < p_limit and private.ring_again('scenario-trigger-engine', 'public', 'activities'));
end;
$$;
comment on function public.drain_scenario_marks(integer, timestamptz) is
  'Claims up to p_limit marks and evaluates the people they name; marks and effects go in one transaction, so a crash leaves the marks. Drainers never wait for each other. Marks of people who are gone are dropped.';
revoke all on function public.drain_scenario_marks(integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.drain_scenario_marks(integer, timestamptz) to service_role;

create function public.dry_run_scenarios(
  p_organization_id uuid, p_now timestamptz default now(), p_after_user uuid default null, p_limit integer default 500)
returns jsonb
language plpgsql stable
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_ids uuid[];
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 10000)::text;
  end if;
  if not exists (select from public.organizations o where o.id = p_organization_id) then
    raise exception using errcode = 'PT404', message = 'unknown_organization',
      detail = jsonb_build_object('organization_id', p_organization_id)::text;
  end if;
  select array_agg(p.id) into v_ids
  from (
    select u.id from public.users u
    where u.organization_id = p_organization_id and (p_after_user is null or u.id > p_after_user)
    order by u.id limit p_limit
  ) p;
  if v_ids is null then
    return '[]';
  end if;
  return private.explanations(p_organization_id, null, null, v_ids, p_now);
end;
$$;
comment on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer) is
  'What an evaluation at p_now would do, on the facts as they are now, without effects: one row per person and rule with its gate, for the p_limit people after p_after_user. Page until []. One JSON value, so no row limit of the API cuts it.';
revoke all on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer) to service_role;

create function public.enqueue_notification(
  p_user_id uuid, p_scenario text, p_context jsonb default '{}', p_subject text default null,
  p_cooldown_days integer default null, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_outcome jsonb;
begin
  perform private.check_scenario_type(p_scenario);
  if jsonb_typeof(p_context) is distinct from 'object' then
    raise exception using errcode = 'PT400', message = 'context_is_not_an_object', hint = 'Pass a JSON object, or leave it out.';
  end if;
  if p_cooldown_days is not null and p_cooldown_days not between 1 and 3650 then
    raise exception using errcode = 'PT400', message = 'cooldown_days_out_of_range',
      detail = jsonb_build_object('cooldown_days', p_cooldown_days, 'minimum', 1, 'maximum', 3650)::text;
  end if;
  select jsonb_build_object('outcome', c.outcome, 'notification_id', c.notification_id, 'until', c.cooldown_until)
    into v_outcome
  from private.claim_notifications(v_organization_id, array[row(
      p_user_id, p_scenario, coalesce(p_subject, p_scenario), null, coalesce(p_cooldown_days, 14), null, p_context
    )::private.notification_claim], p_now) c;
  return v_outcome;
end;
$$;
comment on function public.enqueue_notification(uuid, text, jsonb, text, integer, timestamptz) is
  'The atomic claim for one person: preference, cooldown (default 14 days), notification and outbox in one transaction. The outcome is a value: sent, opted_out, cooling_down, person_inactive. The subject defaults to the scenario. Repeating a call within the cooldown tells nobody twice.';
revoke all on function public.enqueue_notification(uuid, text, jsonb, text, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.enqueue_notification(uuid, text, jsonb, text, integer, timestamptz) to service_role;

create function public.evaluate_chunk(
  p_run_id bigint, p_holder uuid, p_chunk_size integer default 2000, p_lease_seconds integer default 60)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_slice record;
  v_people integer := 0;
  v_counts jsonb := '{}';
begin
  for v_slice in select t.* from private.take_chunk(p_run_id, p_holder, p_chunk_size) t loop
    v_counts := private.add_counts(v_counts,
      private.decide(v_slice.organization_id, v_slice.from_user, v_slice.to_user, null, v_slice.as_of));
    v_people := v_people + v_slice.people;
  end loop;
  return private.finish_chunk(p_run_id, v_people, v_counts, p_lease_seconds);
end;
$$;
comment on function public.evaluate_chunk(bigint, uuid, integer, integer) is
  'Evaluates the next people of a run, with all effects and the cursor in one transaction: a crash repeats nothing and skips nobody. Returns done, people and counts of this chunk. PT409 lease_lost when somebody else holds the run.';
revoke all on function public.evaluate_chunk(bigint, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_chunk(bigint, uuid, integer, integer) to service_role;

create function public.evaluate_inactivity(p_user_id uuid, p_threshold_days integer, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_answer jsonb;
begin
  if p_threshold_days is null or p_threshold_days not between 1 and 3650 then
    raise exception using errcode = 'PT400', message = 'threshold_days_out_of_range',
      detail = jsonb_build_object('threshold_days', p_threshold_days, 'minimum', 1, 'maximum', 3650)::text;
  end if;
  select jsonb_build_object('user_id', f.user_id, 'organization_id', v_organization_id, 'threshold_days', p_threshold_days,
      'matched', e.gate = 'matched', 'gate', e.gate, 'last_activity_at', f.last_activity_at, 'anchor_at', n.anchor_at,
      'crossed_at', c.crossed_at, 'days_inactive', round(extract(epoch from p_now - n.anchor_at) / 86400, 3))
    into v_answer
  from private.inactivity_facts f
  cross join lateral (select greatest(f.anchor_at, case when f.away_until <= p_now then f.away_until end) as anchor_at) n
  cross join lateral (select n.anchor_at + make_interval(hours => 24 * p_threshold_days) as crossed_at) c
  cross join lateral (
    select case
      when not f.is_active then 'person_inactive'
      when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
      when f.role <> 'peer_mentor' or (c.crossed_at <= p_now) is not true then 'not_matched'
      else 'matched'
    end as gate) e
  where f.organization_id = v_organization_id and f.user_id = p_user_id;
  return v_answer;
end;
$$;
comment on function public.evaluate_inactivity(uuid, integer, timestamptz) is
  'The inactivity evaluator alone: whether a person has been quiet for this many days of 24 hours, with the values compared. No rule, preference or cooldown is asked, nothing is written. PT404 unknown_user, PT400 threshold_days_out_of_range (1 to 3650).';
revoke all on function public.evaluate_inactivity(uuid, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_inactivity(uuid, integer, timestamptz) to service_role;

create function public.evaluate_people(p_organization_id uuid, p_user_ids uuid[], p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
begin
  return jsonb_build_object(
    'people', coalesce(cardinality(p_user_ids), 0),
    -- No list is nobody; to private.decide it would mean everybody.
    'counts', private.decide(p_organization_id, null, null, coalesce(p_user_ids, '{}'), p_now));
end;
$$;
comment on function public.evaluate_people(uuid, uuid[], timestamptz) is
  'Evaluates these people of one organisation, with all effects. people counts the ids given; those that are not of the organisation are ignored.';
revoke all on function public.evaluate_people(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_people(uuid, uuid[], timestamptz) to service_role;

create function public.explain_scenarios(p_organization_id uuid, p_user_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  if not exists (select from public.users u where u.organization_id = p_organization_id and u.id = p_user_id) then
    raise exception using errcode = 'PT404', message = 'unknown_user',
      detail = jsonb_build_object('organization_id', p_organization_id, 'user_id', p_user_id)::text;
  end if;
  return private.explanations(p_organization_id, null, null, array[p_user_id], p_now);
end;
$$;
comment on function public.explain_scenarios(uuid, uuid, timestamptz) is
  'Why a person would or would not be told something at p_now, on the facts as they are now, matched or not: one row per rule with its gate and the values compared.';
revoke all on function public.explain_scenarios(uuid, uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.explain_scenarios(uuid, uuid, timestamptz) to service_role;

create function private.explanations(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz)
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
      'user_id', g.user_id, 'scenario', 'inactivity', 'rule_id', g.rule_id, 'subject', g.subject, 'gate', g.gate,
      'crossed_at', case when g.crossed_at <= p_now then g.crossed_at end,
      'detail', jsonb_strip_nulls(jsonb_build_object(
        'role', g.role, 'threshold_days', g.threshold_days,
        'days_inactive', round(extract(epoch from p_now - g.anchor_at) / 86400, 3),
        'last_activity_at', g.last_activity_at, 'anchor_at', g.anchor_at, 'would_cross_at', g.crossed_at,
        'away_until', g.away_until, 'opted_out_of', g.opted_out_of, 'cooldown_until', g.cooldown_until)))
    order by g.user_id, g.rule_id), '[]')
  from private.inactivity_gates(p_organization_id, p_from_user, p_to_user, p_user_ids, p_now) g;
$$;
comment on function private.explanations(uuid, uuid, uuid, uuid[], timestamptz) is
  'The gates of a range or list of people as readable rows, ordered by person and rule: [{user_id, scenario, rule_id, subject, gate, crossed_at, detail}].';
revoke all on function private.explanations(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.explanations(uuid, uuid, uuid, uuid[], timestamptz) to service_role;

create function private.inactivity_gates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz)
returns table (
  user_id uuid, rule_id uuid, subject text, gate text, role public.user_role, away_until timestamptz,
  last_activity_at timestamptz, anchor_at timestamptz, threshold_days integer, crossed_at timestamptz, opted_out_of text,
  cooldown_days integer, cooldown_until timestamptz)
language plpgsql stable
set search_path = ''
-- The arguments decide the plan: a range of people, a list of them, or one. (plpgsql, because a function in SQL is planned
-- without knowing its arguments, whatever the plan cache is told.)
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select m.user_id, m.rule_id, m.rule_id::text,
    case
      when m.unmatched_gate is not null then m.unmatched_gate
      when p.opted_out_of is not null then 'opted_out'
      when p.cooldown_until > p_now then 'cooling_down'
      else 'would_send'
    end,
    m.role, m.away_until, m.last_activity_at, m.anchor_at, m.threshold_days, m.crossed_at, p.opted_out_of,
    m.cooldown_days, p.cooldown_until
  from (
    select f.user_id, f.role, f.away_until, f.last_activity_at, n.anchor_at,
      r.id as rule_id, r.threshold_days, r.cooldown_days, c.crossed_at,
      case
        when not r.is_enabled then 'rule_disabled'
        when not f.is_active then 'person_inactive'
        when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
        when f.role <> 'peer_mentor' or (c.crossed_at <= p_now) is not true then 'not_matched'
      end as unmatched_gate
    from public.scenario_rules r
    join private.inactivity_facts f on f.organization_id = r.organization_id
    -- An absence still ahead is not yet a reason to wait; one under way is the gate "away".
    cross join lateral (select greatest(f.anchor_at, case when f.away_until <= p_now then f.away_until end) as anchor_at) n
    -- Days are 24 hours: a threshold does not move with anybody's clock change.
    cross join lateral (select n.anchor_at + make_interval(hours => 24 * r.threshold_days) as crossed_at) c
    where r.organization_id = p_organization_id and r.type = 'inactivity'
      and f.organization_id = p_organization_id
      and (p_from_user is null or f.user_id >= p_from_user)
      and (p_to_user is null or f.user_id < p_to_user)
      and (p_user_ids is null or f.user_id = any (p_user_ids))
    offset 0
  ) m
  -- Two probes for each of the few who match, so that a chunk costs the same however many have been told before.
  left join lateral (
    select
      (select min(np.scenario) from public.notification_preferences np
       where np.organization_id = p_organization_id and np.user_id = m.user_id
         and np.scenario in ('all', 'inactivity') and np.channel = 'all' and not np.is_enabled) as opted_out_of,
      (select cd.last_triggered_at + make_interval(hours => 24 * m.cooldown_days) from private.cooldowns cd
       where cd.organization_id = p_organization_id and cd.user_id = m.user_id
         and cd.scenario = 'inactivity' and cd.subject = m.rule_id::text) as cooldown_until
    -- Without "offset 0" the planner lifts this condition into the join, where it is judged after both probes were made,
    -- and writes out every expression of m as often as it is named.
    where m.unmatched_gate is null
    offset 0
  ) p on true;
end;
$$;
comment on function private.inactivity_gates(uuid, uuid, uuid, uuid[], timestamptz) is
  'The inactivity scenario, whole: for every person of a range (from inclusive, to exclusive, null: open) or list and every rule of the organisation, the first gate that holds at p_now, or would_send, with the values it compared. Live, dry-run and explanation read this and nothing else (rules.md §3).';
revoke all on function private.inactivity_gates(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.inactivity_gates(uuid, uuid, uuid, uuid[], timestamptz) to service_role;

create function private.mark_scenarios() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_rings boolean;
begin
  select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
  from (select distinct n.organization_id, n.user_id from new_rows n) c;
  -- One bell a transaction. The setting is local, so a rollback to a savepoint that takes the mark takes it too.
  v_rings := coalesce(current_setting('attend.scenario_bell', true), '') <> 'requested';
  if v_rings then
    perform set_config('attend.scenario_bell', 'requested', true);
  end if;
  insert into private.scenario_marks (organization_id, user_id, rings)
  select m.organization_id, m.user_id, v_rings and m.position = 1
  from unnest(v_organization_ids, v_user_ids) with ordinality as m (organization_id, user_id, position);
  return null;
end;
$$;
-- Definer because whoever changes an activity may not see marks.
comment on function private.mark_scenarios() is
  'Trigger on private.statistics_marks: whoever''s figures changed is to be evaluated. One rule about what a change is, for both.';
revoke all on function private.mark_scenarios() from public, anon, authenticated, service_role;

create function public.record_last_triggered(
  p_user_id uuid, p_scenario text, p_subject text default null, p_at timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_last_triggered_at timestamptz;
begin
  perform private.check_scenario_type(p_scenario);
  insert into private.cooldowns as cd (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)
  values (v_organization_id, p_user_id, p_scenario, coalesce(p_subject, p_scenario), p_at, 14)
  on conflict (organization_id, user_id, scenario, subject) do update
    set last_triggered_at = greatest(cd.last_triggered_at, excluded.last_triggered_at)
  returning cd.last_triggered_at into v_last_triggered_at;
  return jsonb_build_object('last_triggered_at', v_last_triggered_at);
end;
$$;
comment on function public.record_last_triggered(uuid, text, text, timestamptz) is
  'For senders outside: notes that a person was told about a subject (default: the scenario) at p_at. Idempotent, and never moves backwards.';
revoke all on function public.record_last_triggered(uuid, text, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.record_last_triggered(uuid, text, text, timestamptz) to service_role;

create function public.should_notify(
  p_user_id uuid, p_scenario text, p_subject text default null, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_reason text;
  v_until timestamptz;
begin
  perform private.check_scenario_type(p_scenario);
  -- A rule's cooldown is what it says today, as in the gates; other subjects keep the one they were told with.
  select max(cd.last_triggered_at + make_interval(hours => 24 * coalesce(r.cooldown_days, cd.cooldown_days))) into v_until
  from private.cooldowns cd
  left join public.scenario_rules r on r.organization_id = cd.organization_id and r.id::text = cd.subject
  where cd.organization_id = v_organization_id and cd.user_id = p_user_id and cd.scenario = p_scenario
    and (p_subject is null or cd.subject = p_subject);
  select case
      when not u.is_active then 'person_inactive'
      when exists (
        select from public.notification_preferences np
        where np.organization_id = v_organization_id and np.user_id = p_user_id
          and np.scenario in ('all', p_scenario) and np.channel = 'all' and not np.is_enabled) then 'opted_out'
      when v_until > p_now then 'cooling_down'
    end into v_reason
  from public.users u
  where u.organization_id = v_organization_id and u.id = p_user_id;
  return jsonb_build_object('allowed', v_reason is null, 'reason', v_reason,
    'until', case when v_reason = 'cooling_down' then v_until end);
end;
$$;
comment on function public.should_notify(uuid, text, text, timestamptz) is
  'Advice: whether a notification would pass activity, preference and cooldown now; without a subject, any cooldown of the scenario counts. Only enqueue_notification decides. PT404 unknown_user, PT400 unknown_scenario.';
revoke all on function public.should_notify(uuid, text, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.should_notify(uuid, text, text, timestamptz) to service_role;

create table public.scenario_rules (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  type text not null constraint rule_type_is_known check (private.is_scenario_type(type)),
  name text not null constraint rule_name_is_not_blank check (btrim(name) <> ''),
  is_enabled boolean not null,
  threshold_days integer not null default 21 constraint threshold_days_is_between_1_and_3650 check (threshold_days between 1 and 3650),
  cooldown_days integer not null default 14 constraint cooldown_days_is_between_1_and_3650 check (cooldown_days between 1 and 3650),
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  constraint rule_name_is_unique_per_type unique (organization_id, type, name)
);
comment on table public.scenario_rules is 'What an organisation wants noticed. Several rules of a type are allowed; without an enabled rule nobody is told anything.';
comment on column public.scenario_rules.threshold_days is 'Inactivity: days of 24 hours without a completed activity.';
comment on column public.scenario_rules.cooldown_days is 'Days of 24 hours before the same person may be told about this rule again.';

create table private.scenario_marks (
  organization_id uuid not null,
  id bigint generated always as identity,
  user_id uuid not null,
  rings boolean not null,
  marked_at timestamptz not null default now(),
  primary key (organization_id, id)
)
-- A queue lives from being vacuumed often: dead rows are all that makes claiming slow.
with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
comment on table private.scenario_marks is
  'Append-only: people whose facts changed, written in the transaction that changed them. Whoever drains deletes the mark in the transaction that evaluates the person.';
comment on column private.scenario_marks.rings is 'The first mark of its transaction: at commit it rings the bell.';

alter table public.scenario_rules enable row level security;
alter table private.scenario_marks enable row level security;

create policy "staff read their organisation's rules" on public.scenario_rules for select to authenticated
  using (organization_id = (select private.organization_as('{coordinator,manager,admin}')));

revoke all on public.scenario_rules from public, anon, authenticated, service_role;
revoke all on private.scenario_marks from public, anon, authenticated, service_role;
grant select on public.scenario_rules to authenticated;
grant select, insert, update, delete on public.scenario_rules to service_role;
grant select, update, delete on private.scenario_marks to service_role;

create trigger statistics_marks_mark_scenarios after insert on private.statistics_marks
  referencing new table as new_rows for each statement execute function private.mark_scenarios();

-- The bell is a trigger of its own: dropping it loses seconds, never work. The condition is judged as each mark is
-- written, so a million marks queue one deferred call.
create constraint trigger scenario_marks_ring_bell after insert on private.scenario_marks
  deferrable initially deferred
  for each row when (new.rings)
  execute function private.ring_bell_at_commit('scenario-trigger-engine', 'public', 'activities');

insert into private.bells (function_name) values ('scenario-trigger-engine');

create view private.inactivity_facts with (security_invoker = true) as
  select u.organization_id, u.id as user_id, u.role, u.is_active, u.away_from, u.away_until, activity.last_activity_at,
    greatest(activity.last_activity_at, u.joined_at, u.reactivated_at) as anchor_at
  from public.users u
  left join public.activity_statistics s
    on s.organization_id = u.organization_id and s.user_id = u.id and s.period_type = 'all_time'
  cross join lateral (
    -- Nobody is decided on stale aggregates: whoever has a mark waiting, or no row yet, is looked up in the activities.
    select case
      when s.user_id is null
        or exists (select from private.statistics_marks m where m.organization_id = u.organization_id and m.user_id = u.id)
      then (select a.occurred_at from public.activities a
            where a.organization_id = u.organization_id and a.user_id = u.id and a.status = 'completed'
            order by a.occurred_at desc limit 1)
      else s.last_activity_date
    end as last_activity_at
  ) activity;
comment on view private.inactivity_facts is
  'What the inactivity scenario knows of each person, right at this moment whatever still waits to be recomputed. anchor_at: latest of the last completed activity, joined_at and reactivated_at; a past away_until is the reader''s to add, who has the clock.';
revoke all on private.inactivity_facts from public, anon, authenticated, service_role;
grant select on private.inactivity_facts to service_role;
