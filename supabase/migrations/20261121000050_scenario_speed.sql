-- The engine's constant factors: plans made once, outcomes that name what they are about, no second look where nobody came between.
set check_function_bodies = off;

alter type private.claim_outcome add attribute rule_id uuid, add attribute crossed_at timestamptz, add attribute context jsonb;
comment on type private.claim_outcome is
  'What became of a claim (private.claim_notifications), with what it was about, so that nobody has to join it to the claims.';

drop index public.activity_statistics_quiet;
create index activity_statistics_quiet on public.activity_statistics (organization_id, last_activity_date) include (user_id)
  where period_type = 'all_time' and last_activity_date is not null;
create index activity_statistics_never_active on public.activity_statistics (organization_id, user_id)
  where period_type = 'all_time' and last_activity_date is null;
drop index public.user_coordinators_coordinator_id;
create index user_coordinators_coordinator_id on public.user_coordinators (organization_id, coordinator_id)
  where coordinator_id is not null;

drop function private.record_achievements(uuid, private.scenario_match[], private.claim_outcome[], timestamptz);
drop function private.record_findings(uuid, private.scenario_match[], private.claim_outcome[], bigint);
drop function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.claim_outcome[], private.scenario_rule[], timestamptz);

create or replace function private.next_people(
  p_from_organization uuid, p_from_user uuid, p_to_organization uuid, p_to_user uuid, p_limit integer)
returns table (organization_id uuid, people integer, next_user uuid)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'chunk_size_out_of_range',
      detail = jsonb_build_object('chunk_size', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  -- One statement, so that the people counted and the person who follows them are of one snapshot. Where the range ends is
  -- asked outside: as a condition of the index it would be read to the end of the organisation in search of one more. (Read twice,
  -- for numbering the rows takes longer than reading them.)
  return query
    select p.organization_id, sum(p.people)::integer, (array_agg(p.next_user) filter (where p.next_user is not null))[1]
    from (
      select c.organization_id, count(*) as people, null::uuid as next_user
      from (
        select u.organization_id, u.id from public.users u
        where (u.organization_id, u.id) >= (p_from_organization, p_from_user)
        order by u.organization_id, u.id limit p_limit
      ) c
      where p_to_organization is null or (c.organization_id, c.id) < (p_to_organization, p_to_user)
      group by c.organization_id
      union all
      select n.organization_id, 0, n.id
      from (
        select u.organization_id, u.id from public.users u
        where (u.organization_id, u.id) >= (p_from_organization, p_from_user)
        order by u.organization_id, u.id offset p_limit limit 1
      ) n
      where p_to_organization is null or (n.organization_id, n.id) < (p_to_organization, p_to_user)
    ) p
    group by p.organization_id
    order by p.organization_id;
end;
$$;
comment on function private.next_people(uuid, uuid, uuid, uuid, integer) is
  'The next p_limit people of a range (from inclusive, to exclusive, null: open) in key order, counted by organisation; next_user is who follows them, in their own organisation''s row. PT400 chunk_size_out_of_range.';
revoke all on function private.next_people(uuid, uuid, uuid, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function private.next_people(uuid, uuid, uuid, uuid, integer) to service_role;

create function private.certification_expiry_candidates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_after timestamptz, p_until timestamptz)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select array_agg(distinct c.user_id)
    from public.certificates c
    where c.organization_id = p_organization_id and c.revoked_at is null and c.replaced_by is null
      and c.expires_at > p_after and c.expires_at <= p_until
      and (p_from_user is null or c.user_id >= p_from_user) and (p_to_user is null or c.user_id < p_to_user));
end;
$$;
comment on function private.certification_expiry_candidates(uuid, uuid, uuid, timestamptz, timestamptz) is
  'Everybody of a range with a certificate that expires after p_after and not after p_until; null: nobody.';
revoke all on function private.certification_expiry_candidates(uuid, uuid, uuid, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.certification_expiry_candidates(uuid, uuid, uuid, timestamptz, timestamptz) to service_role;

create or replace function private.certification_expiry_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_user_ids uuid[] := p_user_ids;
  v_longest interval := (select make_interval(hours => 24 * max(l)) from unnest(p_rules) r, unnest(r.lead_days) l where r.type = 'certification_expiry');
begin
  if v_longest is null then
    return;
  end if;
  if p_matched_only and p_user_ids is null and p_as_of is null then
    v_user_ids := private.certification_expiry_candidates(p_organization_id, p_from_user, p_to_user, p_now, p_now + v_longest);
    if v_user_ids is null then
      return;
    end if;
  end if;
  return query
  with judged as materialized (
    select f.user_id, f.away_until, r.id as rule_id, c.certificate_id, c.name, c.expires_at, c.is_valid, l.lead, s.crosses_at,
      case
        when not r.is_enabled then 'rule_disabled'
        when not f.is_active then 'person_inactive'
        when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
        when (c.is_valid and s.crosses_at <= p_now and p_now < c.expires_at) is not true then 'not_matched'
      end as gate,
      min(l.lead) filter (where s.crosses_at <= p_now) over (partition by r.id, c.certificate_id) as shortest_due
    from private.facts(p_organization_id, p_from_user, p_to_user, v_user_ids, p_as_of) f
    cross join unnest(p_rules) r
    cross join unnest(r.lead_days) as l (lead)
    left join private.certificates_as_of(p_organization_id, p_from_user, p_to_user, v_user_ids, p_as_of) c on c.user_id = f.user_id
    cross join lateral (select c.expires_at - make_interval(hours => 24 * l.lead) as crosses_at) s
    where r.type = 'certification_expiry'
  )
  select j.user_id, 'certification_expiry', j.rule_id, concat_ws(':', j.rule_id, j.certificate_id, j.lead), j.gate,
    case when j.gate is null then j.crosses_at end,
    case when j.gate is null and j.lead > j.shortest_due then 'superseded' end,
    case when j.gate is null and j.lead > j.shortest_due then concat_ws(':', j.rule_id, j.certificate_id, j.shortest_due) end,
    case j.gate when 'away' then j.away_until when 'not_matched' then case when j.is_valid and j.crosses_at > p_now then j.crosses_at end end,
    jsonb_strip_nulls(jsonb_build_object('certificate_id', j.certificate_id, 'name', j.name, 'expires_at', j.expires_at,
      'lead_days', j.lead, 'is_valid', case when j.gate is not null then j.is_valid end,
      'away_until', case when j.gate = 'away' then j.away_until end,
      'would_cross_at', case when j.gate is not null then j.crosses_at end))
  from judged j
  where j.gate is null or not p_matched_only;
end;
$$;
comment on function private.certification_expiry_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'The certification expiry evaluator: for everybody of a range or list, each of these rules of the type, each certificate and lead, whether the certificate is about to expire. Of several leads due the shortest is told. Arguments as private.inactivity_matches (rules.md §3).';
revoke all on function private.certification_expiry_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.certification_expiry_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;

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
  v_taken text[];
  v_lost private.judged_claim[];
  v_ids uuid[];
begin
  if p_claims is null then
    return;
  end if;
  v_snapshot := pg_current_snapshot();
  v_judged := array(select g from private.delivery_gates(p_organization_id, p_claims, p_now, null) g);
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
    v_judged := case when v_snapshot = pg_current_snapshot()::text then v_judged else array(
      select g from unnest(v_judged) as g where g.gate not in ('would_send', 'quiet_hours')
      union all
      select g from private.delivery_gates(p_organization_id, array(
        select row(c.user_id, c.scenario, c.subject, c.rule_id, c.cooldown_days, c.crossed_at, c.context, c.rule_version, c.priority,
          c.is_mandatory, c.informs_coordinators)::private.notification_claim
        from unnest(v_judged) as c where c.gate in ('would_send', 'quiet_hours')), p_now, null) g) end;
    v_passed := array(
      select g from unnest(v_judged) as g where g.gate in ('would_send', 'quiet_hours') order by g.user_id, g.scenario, g.subject);
  end if;

  -- One statement a table, each reading the array alone: joins between what they return would be planned for ten rows.
  if v_passed <> '{}' then
    with cooled as (
      insert into private.cooldowns as cd (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)
      select p_organization_id, p.user_id, p.scenario, p.subject, p_now, p.cooldown_days
      from unnest(v_passed) as p
      on conflict (organization_id, user_id, scenario, subject) do update
        set last_triggered_at = excluded.last_triggered_at, cooldown_days = excluded.cooldown_days
        where cd.last_triggered_at + make_interval(hours => 24 * excluded.cooldown_days) <= excluded.last_triggered_at
      returning cd.user_id, cd.scenario, cd.subject
    )
    select array_agg(concat_ws(' ', c.user_id, c.scenario, c.subject)) into v_taken from cooled c;
    if cardinality(v_taken) is distinct from cardinality(v_passed) then
      -- A sender outside, who asks for no lock, took some of them this moment (public.record_last_triggered).
      v_lost := array(
        select p from unnest(v_passed) as p
        where (concat_ws(' ', p.user_id, p.scenario, p.subject) = any (v_taken)) is not true);
      v_passed := array(
        select p from unnest(v_passed) as p where concat_ws(' ', p.user_id, p.scenario, p.subject) = any (v_taken));
    end if;
    v_ids := array(select gen_random_uuid() from unnest(v_passed));
    insert into public.notifications (
      organization_id, id, user_id, scenario, subject, rule_id, rule_version, context, crossed_at, triggered_at, release_on, is_mandatory)
    select p_organization_id, p.id, p.user_id, p.scenario, p.subject, p.rule_id, p.rule_version, p.context, p.crossed_at, p_now,
      p.release_on, coalesce(p.is_mandatory, false)
    from rows from (unnest(v_ids), unnest(v_passed)) as p (id);
    insert into private.outbox (organization_id, notification_id, user_id, channel, state, release_at)
    select p_organization_id, p.id, p.user_id, 'push',
      case when p.release_at > p_now then 'deferred' else 'pending' end::public.outbox_state, p.release_at
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

create or replace function private.claims_of(p_matches private.scenario_match[], p_rules private.scenario_rule[])
returns private.notification_claim[]
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select array_agg(row(
        m.user_id, m.scenario, m.subject, m.rule_id,
        -- Only inactivity reminds: a milestone and a certificate's lead are told once.
        case when m.scenario = 'inactivity' then r.cooldown_days end,
        m.crossed_at, m.context, r.version, r.priority, r.is_mandatory, r.informs_coordinators)::private.notification_claim)
    from unnest(p_matches) as m
    join unnest(p_rules) as r on r.id = m.rule_id
    where m.gate is null);
end;
$$;
comment on function private.claims_of(private.scenario_match[], private.scenario_rule[]) is
  'The claims that follow from those matches that nothing but the person speaks against; null: none.';
revoke all on function private.claims_of(private.scenario_match[], private.scenario_rule[]) from public, anon, authenticated, service_role;
grant execute on function private.claims_of(private.scenario_match[], private.scenario_rule[]) to service_role;

create or replace function private.count_gates(p_matches private.scenario_match[]) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_object_agg(s.scenario, s.gates), '{}')
    from (
      select g.scenario, jsonb_object_agg(g.gate, g.n) as gates
      from (select m.scenario, m.gate, count(*) as n from unnest(p_matches) as m where m.gate is not null group by m.scenario, m.gate) g
      group by g.scenario
    ) s);
end;
$$;
comment on function private.count_gates(private.scenario_match[]) is 'How many are held by which gate: {"scenario": {"gate": n}}.';
revoke all on function private.count_gates(private.scenario_match[]) from public, anon, authenticated, service_role;
grant execute on function private.count_gates(private.scenario_match[]) to service_role;

create or replace function private.crossed_milestone_at(
  p_organization_id uuid, p_user_id uuid, p_metric text, p_period text, p_period_start timestamptz, p_threshold integer, p_at timestamptz)
returns timestamptz
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_from timestamptz := coalesce(p_period_start, '-infinity');
  v_to timestamptz := case when p_period = 'year' then ((p_period_start at time zone 'UTC') + interval '1 year') at time zone 'UTC' else 'infinity' end;
begin
  if p_metric = 'contacts' then
    return (
      select f.first_at
      from (
        select min(a.occurred_at) as first_at
        from public.activities a
        cross join lateral (
          select c.contact_id from public.activity_contacts c
          where c.organization_id = p_organization_id and c.activity_id = a.id
          offset 0
        ) ac
        where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status = 'completed'
          and a.occurred_at >= v_from and a.occurred_at < v_to and a.occurred_at <= p_at and a.recorded_at <= p_at
        group by ac.contact_id
      ) f
      order by f.first_at offset p_threshold - 1 limit 1);
  end if;
  return (
    select min(c.occurred_at)
    from (
      select a.occurred_at,
        case when p_metric = 'sessions' then count(*) over w else sum(a.duration_minutes) over w end as reached
      from public.activities a
      where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status = 'completed'
        and a.occurred_at >= v_from and a.occurred_at < v_to and a.occurred_at <= p_at and a.recorded_at <= p_at
      window w as (order by a.occurred_at, a.id rows unbounded preceding)
    ) c
    where c.reached >= p_threshold * case when p_metric = 'hours' then 60 else 1 end);
end;
$$;
comment on function private.crossed_milestone_at(uuid, uuid, text, text, timestamptz, integer, timestamptz) is
  'When the activity took place that reached a milestone, counted in the order in which activities took place; null if none has by p_at.';
revoke all on function private.crossed_milestone_at(uuid, uuid, text, text, timestamptz, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.crossed_milestone_at(uuid, uuid, text, text, timestamptz, integer, timestamptz) to service_role;

create or replace function private.decide(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz, p_run_id bigint default null)
returns jsonb
language plpgsql
set search_path = ''
-- What one function hands to the next is not to go through files.
set work_mem = '32MB'
as $$
declare
  v_rules private.scenario_rule[] := private.rules_of(p_organization_id, null);
  v_matches private.scenario_match[];
  v_decided private.scenario_match[];
  v_counts jsonb;
begin
  -- Of a list every gate is counted; of a range only those who match are looked at, for there may be millions of others.
  v_matches := array(
    select m from private.scenario_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, v_rules, p_now, null, p_user_ids is null) m
    where not exists (select from private.quarantine q where q.organization_id = p_organization_id and q.user_id = m.user_id));
  -- Before anybody is told, so that what no longer holds makes room in their day.
  perform private.retract_unmatched(p_organization_id, p_from_user, p_to_user, p_user_ids, v_matches, p_now);
  -- What matched has now been claimed, and what became of that is its gate.
  v_decided := array(
    select m from unnest(v_matches) as m where m.gate is not null
    union all
    select row(o.user_id, o.scenario, o.rule_id, o.subject, o.outcome, o.crossed_at, null, null, o.look_again_at, o.context)::private.scenario_match
    from private.claim_notifications(p_organization_id, private.claims_of(v_matches, v_rules), p_now) o);
  perform private.record_achievements(p_organization_id, v_decided, v_rules, p_now);
  perform private.record_held(p_organization_id, p_from_user, p_to_user, p_user_ids, v_decided, v_rules, p_now);
  v_counts := private.count_gates(v_decided);
  if p_run_id is not null then
    v_counts := private.add_counts(v_counts, private.record_findings(p_organization_id, v_decided, p_run_id));
  end if;
  return v_counts;
end;
$$;
comment on function private.decide(uuid, uuid, uuid, uuid[], timestamptz, bigint) is
  'Evaluates a range (from inclusive, to exclusive, null: open) or list of people of one organisation, with all effects, in the caller''s transaction. With p_run_id, a full evaluation, what the ticks should have told before is reported in private.sweep_findings. Returns {"scenario": {"gate": n}}.';
revoke all on function private.decide(uuid, uuid, uuid, uuid[], timestamptz, bigint) from public, anon, authenticated, service_role;
grant execute on function private.decide(uuid, uuid, uuid, uuid[], timestamptz, bigint) to service_role;

create or replace function private.delivery_gates(
  p_organization_id uuid, p_claims private.notification_claim[], p_now timestamptz, p_as_of timestamptz,
  p_leaving uuid[] default '{}')
returns setof private.judged_claim
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_time_zone text;
  v_cap integer;
  v_quiet_from time;
  v_quiet_to time;
  v_release_at timestamptz;
  v_release_on date;
  v_judged private.judged_claim[];
begin
  select o.time_zone,
      (select (s.value #>> '{}')::integer from public.org_settings_kv s where s.organization_id = o.id and s.key = 'notification_daily_cap'),
      q.value ->> 'from', q.value ->> 'to'
    into v_time_zone, v_cap, v_quiet_from, v_quiet_to
  from public.organizations o
  left join public.org_settings_kv q on q.organization_id = o.id and q.key = 'quiet_hours'
  where o.id = p_organization_id;

  -- Most people live in their organisation's time zone.
  v_release_at := private.release_at(p_now, v_time_zone, v_quiet_from, v_quiet_to);
  v_release_on := private.local_date(v_release_at, v_time_zone);
  v_judged := array(
    select row(c.user_id, c.scenario, c.subject, c.rule_id, c.cooldown_days, c.crossed_at, c.context, c.rule_version, c.priority,
      c.is_mandatory, c.informs_coordinators,
      coalesce(g.gate, case when r.release_at > p_now then 'quiet_hours' else 'would_send' end),
      p.opted_out_of, p.is_push_opted_out, k.cooldown_until, r.release_at, d.release_on,
      -- The day is over where the next release is another day's: at midnight, or already where quiet hours begin that last over it.
      case when v_cap is null or g.gate is not null then null
        when v_quiet_from > v_quiet_to then (d.release_on + v_quiet_from) at time zone z.time_zone
        else private.local_midnight(d.release_on + 1, z.time_zone) end)::private.judged_claim
    from unnest(p_claims) as c
    left join public.users u on u.organization_id = p_organization_id and u.id = c.user_id
    left join lateral (
      select g.user_id, g.is_active, g.time_zone from private.user_history g
      where p_as_of is not null and g.organization_id = p_organization_id and g.user_id = c.user_id and g.valid_to > p_as_of
      order by g.valid_to, g.id limit 1
    ) h on true
    -- Probes for each who match, so that a chunk costs the same however many have been told before.
    cross join lateral (
      select min(o.scenario) filter (where o.channel = 'all') as opted_out_of, coalesce(bool_or(o.channel = 'push'), false) as is_push_opted_out
      from (
        select np.scenario, np.channel from public.notification_preferences np
        where p_as_of is null and np.organization_id = p_organization_id and np.user_id = c.user_id
          and np.scenario in ('all', c.scenario) and not np.is_enabled
        union all
        select t.scenario, v.channel from (values ('all'), ('push')) as v (channel)
        cross join lateral private.opted_out_of(p_organization_id, c.user_id, c.scenario, v.channel, p_as_of) t
        where p_as_of is not null
      ) o
      offset 0
    ) p
    cross join lateral (
      select case when p_as_of is null then (
            select coalesce(cd.last_triggered_at + make_interval(hours => 24 * c.cooldown_days), 'infinity')
            from private.cooldowns cd
            where cd.organization_id = p_organization_id and cd.user_id = c.user_id
              and cd.scenario = c.scenario and cd.subject = c.subject)
          else (
            select coalesce(max(t.triggered_at) + make_interval(hours => 24 * c.cooldown_days),
              case when count(*) > 0 then 'infinity'::timestamptz end)
            from (
              select n.triggered_at from public.notifications n
              where n.organization_id = p_organization_id and n.user_id = c.user_id and n.scenario = c.scenario
                and n.subject = c.subject and n.triggered_at < p_as_of
                -- What is told once and was taken back unseen is to be told again.
                and (c.cooldown_days is not null or n.retracted_at is null or n.retracted_at > p_as_of)
              union all
              -- What was told together with another has no notification of its own.
              select cd.last_triggered_at from private.cooldowns cd
              where cd.organization_id = p_organization_id and cd.user_id = c.user_id
                and cd.scenario = c.scenario and cd.subject = c.subject and cd.last_triggered_at < p_as_of
            ) t)
        end as cooldown_until
      offset 0
    ) k
    cross join lateral (
      select case
        when coalesce(h.is_active, u.is_active) is not true then 'person_inactive'
        when p.opted_out_of is not null and not coalesce(c.is_mandatory, false) then 'opted_out'
        when k.cooldown_until > p_now then 'cooling_down'
      end as gate
    ) g
    cross join lateral (
      select coalesce(case when h.user_id is null then u.time_zone else h.time_zone end, v_time_zone, 'UTC') as time_zone) z
    -- When, is asked of those who are to be told.
    left join lateral (
      select case when z.time_zone = v_time_zone then v_release_at
        else private.release_at(p_now, z.time_zone, v_quiet_from, v_quiet_to) end as release_at
      offset 0
    ) r on g.gate is null
    cross join lateral (
      select case when z.time_zone = v_time_zone and g.gate is null then v_release_on
        else private.local_date(r.release_at, z.time_zone) end as release_on) d);

  if v_cap is null then
    return query select j.* from unnest(v_judged) as j;
    return;
  end if;
  return query
  select r.user_id, r.scenario, r.subject, r.rule_id, r.cooldown_days, r.crossed_at, r.context, r.rule_version, r.priority,
    r.is_mandatory, r.informs_coordinators, case when r.is_capped then 'capped' else r.gate end,
    r.opted_out_of, r.is_push_opted_out, r.cooldown_until, r.release_at, r.release_on, case when r.is_capped then r.look_again_at end
  from (
    select j.*, j.release_on is not null and v_cap <
        row_number() over (partition by j.user_id, j.release_on order by j.priority desc nulls last, j.crossed_at, j.subject)
        + (select count(*) from public.notifications n
           where n.organization_id = p_organization_id and n.user_id = j.user_id and n.release_on = j.release_on
             and (n.retracted_at is null or n.retracted_at > p_as_of) and (p_as_of is null or n.triggered_at < p_as_of)
             and not (n.id = any (p_leaving) and n.read_at is null and n.dismissed_at is null)) as is_capped
    from unnest(v_judged) as j
  ) r;
end;
$$;
comment on function private.delivery_gates(uuid, private.notification_claim[], timestamptz, timestamptz, uuid[]) is
  'Preference, cooldown, cap and quiet hours for claims of one organisation, at p_now; with p_as_of as they stood then, and without p_leaving, notifications about to be taken back. Every claim has its row; who is gone is person_inactive. Dry-run and claim read this and nothing else (rules.md §3 "Gates").';
revoke all on function private.delivery_gates(uuid, private.notification_claim[], timestamptz, timestamptz, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.delivery_gates(uuid, private.notification_claim[], timestamptz, timestamptz, uuid[]) to service_role;

create or replace function private.facts_now(p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[])
returns table (
  user_id uuid, role public.user_role, is_active boolean, joined_at timestamptz, reactivated_at timestamptz,
  away_from timestamptz, away_until timestamptz, time_zone text, last_activity_at timestamptz)
language plpgsql stable
set search_path = ''
-- Everybody is found by key, so the plan is made once: planning took longer than looking one person up. It must not remember
-- that a table was empty.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_user_ids constant uuid[] := coalesce(p_user_ids, private.people(p_organization_id, p_from_user, p_to_user));
begin
  return query
  select u.id, u.role, u.is_active, u.joined_at, u.reactivated_at, u.away_from, u.away_until, u.time_zone,
    -- Nobody is decided on stale aggregates: whoever has a mark waiting, or no row yet, is looked up in the activities.
    case
      when s.user_id is null
        or exists (select from private.statistics_marks m where m.organization_id = u.organization_id and m.user_id = u.id)
      then (select a.occurred_at from public.activities a
            where a.organization_id = u.organization_id and a.user_id = u.id and a.status = 'completed'
            order by a.occurred_at desc limit 1)
      else s.last_activity_date
    end
  from public.users u
  left join lateral (
    select t.user_id, t.last_activity_date from public.activity_statistics t
    where t.organization_id = p_organization_id and t.user_id = u.id and t.period_type = 'all_time'
    offset 0
  ) s on true
  where u.organization_id = p_organization_id and u.id = any (v_user_ids)
    and (p_from_user is null or u.id >= p_from_user) and (p_to_user is null or u.id < p_to_user);
end;
$$;
comment on function private.facts_now(uuid, uuid, uuid, uuid[]) is
  'What the rules read of each person of a range (from inclusive, to exclusive, null: open) or list, right at this moment whatever still waits to be recomputed. Same columns as private.facts_as_of (rules.md §3 "Facts").';
revoke all on function private.facts_now(uuid, uuid, uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.facts_now(uuid, uuid, uuid, uuid[]) to service_role;

create or replace function private.inactivity_candidates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_quiet_since timestamptz)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select array_agg(c.user_id)
    from (
      select s.user_id
      from public.activity_statistics s
      where s.organization_id = p_organization_id and s.period_type = 'all_time'
        and s.last_activity_date <= p_quiet_since
        and (p_from_user is null or s.user_id >= p_from_user) and (p_to_user is null or s.user_id < p_to_user)
      union
      -- Apart, because no index answers "or" by itself.
      select s.user_id
      from public.activity_statistics s
      where s.organization_id = p_organization_id and s.period_type = 'all_time' and s.last_activity_date is null
        and (p_from_user is null or s.user_id >= p_from_user) and (p_to_user is null or s.user_id < p_to_user)
      union
      -- Whose row may be stale is looked at in any case.
      select m.user_id
      from private.statistics_marks m
      where m.organization_id = p_organization_id
        and (p_from_user is null or m.user_id >= p_from_user) and (p_to_user is null or m.user_id < p_to_user)
    ) c);
end;
$$;
comment on function private.inactivity_candidates(uuid, uuid, uuid, timestamptz) is
  'Everybody of a range who may have been inactive since p_quiet_since, and few others: read from covering indexes alone, so that a sweep looks closer at few.';
revoke all on function private.inactivity_candidates(uuid, uuid, uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.inactivity_candidates(uuid, uuid, uuid, timestamptz) to service_role;

create or replace function private.inactivity_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_user_ids uuid[] := p_user_ids;
  v_shortest integer := (select min(r.threshold_days) from unnest(p_rules) r where r.type = 'inactivity');
begin
  if v_shortest is null then
    return;
  end if;
  if p_matched_only and p_user_ids is null and p_as_of is null then
    v_user_ids := private.inactivity_candidates(
      p_organization_id, p_from_user, p_to_user, p_now - make_interval(hours => 24 * v_shortest));
    if v_user_ids is null then
      return;
    end if;
  end if;
  return query
  select m.user_id, 'inactivity', m.rule_id, m.rule_id::text, m.gate,
    case when m.gate is null then m.crosses_at end,
    case when m.gate is null and m.max_reminders <= m.skipped + (
        select count(*)
        from (
          select from public.notifications n
          where n.organization_id = p_organization_id and n.user_id = m.user_id and n.scenario = 'inactivity'
            and n.subject = m.rule_id::text and n.triggered_at >= m.anchor_at and (n.retracted_at is null or n.retracted_at > p_as_of)
            and (p_as_of is null or n.triggered_at < p_as_of)
          -- The order of the one index that has the whole key.
          order by n.triggered_at limit m.max_reminders
        ) told)
      then 'enough_reminders' end,
    null,
    case m.gate when 'away' then m.away_until when 'not_matched' then case when m.role = 'peer_mentor' then m.crosses_at end end,
    jsonb_strip_nulls(jsonb_build_object('threshold_days', m.threshold_days, 'last_activity_at', m.last_activity_at,
      'anchor_at', m.anchor_at, 'role', case when m.gate is not null then m.role end,
      'away_until', case when m.gate = 'away' then m.away_until end,
      'would_cross_at', case when m.gate is not null then m.crosses_at end))
  from (
    select f.user_id, f.role, f.away_until, f.last_activity_at, n.anchor_at,
      r.id as rule_id, r.threshold_days, r.max_reminders, c.crosses_at,
      -- A skipped rule acts as if it had been on all the time: what it would have sent before counts as sent.
      case when r.activation = 'skip' and c.crosses_at < r.effective_from
        then ceil(extract(epoch from r.effective_from - c.crosses_at) / (86400 * r.cooldown_days)) else 0 end as skipped,
      case
        when not r.is_enabled then 'rule_disabled'
        when not f.is_active then 'person_inactive'
        when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
        when f.role <> 'peer_mentor' or (c.crosses_at <= p_now) is not true then 'not_matched'
      end as gate
    from private.facts(p_organization_id, p_from_user, p_to_user, v_user_ids, p_as_of) f
    cross join unnest(p_rules) r
    -- An absence still ahead is not yet a reason to wait; one under way is the gate "away".
    cross join lateral (
      select greatest(f.last_activity_at, f.joined_at, f.reactivated_at, case when f.away_until <= p_now then f.away_until end) as anchor_at) n
    -- Days are 24 hours: a threshold does not move with anybody's clock change.
    cross join lateral (select n.anchor_at + make_interval(hours => 24 * r.threshold_days) as crosses_at) c
    where r.type = 'inactivity'
    offset 0
  ) m
  where m.gate is null or not p_matched_only;
end;
$$;
comment on function private.inactivity_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'The inactivity evaluator: for everybody of a range (from inclusive, to exclusive, null: open) or list and each of these rules of the type, whether they match at p_now, with the values compared. p_as_of: facts of then instead of now. p_matched_only: only those who match (rules.md §3).';
revoke all on function private.inactivity_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.inactivity_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;

create or replace function private.inform_coordinators(p_organization_id uuid, p_told private.judged_claim[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not exists (select from unnest(p_told) as t where t.informs_coordinators) then
    return;
  end if;
  insert into public.notifications (
    organization_id, user_id, scenario, subject, rule_id, rule_version, context, crossed_at, triggered_at, about_user_id)
  select p_organization_id, uc.coordinator_id, t.scenario, t.subject || '/' || t.user_id, t.rule_id, t.rule_version, t.context,
    t.crossed_at, p_now, t.user_id
  from unnest(p_told) as t
  cross join lateral (
    select w.coordinator_id from public.user_coordinators w
    where w.organization_id = p_organization_id and w.user_id = t.user_id
    offset 0
  ) uc
  join public.users u on u.organization_id = p_organization_id and u.id = uc.coordinator_id
  where t.informs_coordinators and u.is_active
    and not exists (
      select from public.notification_preferences np
      where np.organization_id = p_organization_id and np.user_id = uc.coordinator_id and np.scenario in ('all', t.scenario)
        and np.channel = 'all' and not np.is_enabled);
end;
$$;
comment on function private.inform_coordinators(uuid, private.judged_claim[], timestamptz) is
  'Tells the coordinators of those who were told, where the rule says so and they have not opted out: in the app only and beyond the cap, so that what they see of others does not use up what concerns themselves. For private.claim_notifications, which holds the locks.';
revoke all on function private.inform_coordinators(uuid, private.judged_claim[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.inform_coordinators(uuid, private.judged_claim[], timestamptz) to service_role;

create or replace function private.milestone_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_user_ids uuid[] := p_user_ids;
begin
  if not exists (select from unnest(p_rules) r where r.type = 'milestone') then
    return;
  end if;
  if p_user_ids is null then
    v_user_ids := case when p_matched_only and p_as_of is null
      then private.milestone_candidates(p_organization_id, p_from_user, p_to_user, p_rules, p_now)
      else private.people(p_organization_id, p_from_user, p_to_user) end;
  end if;
  if v_user_ids is null then
    return;
  end if;
  return query
  with target as materialized (
    select r.id as rule_id, r.is_enabled, r.metric, r.max_age_days, r.activation, r.effective_from, p.period, p.period_start, t.threshold,
      t.threshold * case r.metric when 'hours' then 60 else 1 end as needed,
      concat_ws(':', r.id, t.threshold, p.label) as subject
    from unnest(p_rules) r
    cross join lateral private.milestone_periods(r.period, r.max_age_days, p_now) p
    cross join unnest(r.thresholds) as t (threshold)
    where r.type = 'milestone'
  ), total as materialized (
    select p.period, p.period_start, t.*
    from (select distinct g.period, g.period_start from target g) p
    cross join lateral private.totals(p_organization_id, v_user_ids, p.period, p.period_start, p_as_of) t
  ), judged as materialized (
    select f.user_id, f.away_until, g.*, v.value,
      max(case when v.value >= g.needed then g.threshold end)
        over (partition by f.user_id, g.rule_id, g.period_start) as highest,
      case
        when not g.is_enabled then 'rule_disabled'
        when not f.is_active then 'person_inactive'
        when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
        when v.value < g.needed then 'not_matched'
      end as gate
    from private.facts(p_organization_id, null, null, v_user_ids, p_as_of) f
    cross join target g
    left join total t on t.user_id = f.user_id and t.period = g.period and t.period_start is not distinct from g.period_start
    cross join lateral (
      select coalesce(case g.metric when 'sessions' then t.sessions when 'hours' then t.minutes else t.contacts end, 0) as value) v
  )
  select j.user_id, 'milestone', j.rule_id, j.subject, j.gate, c.crossed_at,
    case
      when c.is_recorded then 'already_celebrated'
      when j.threshold < j.highest then 'superseded'
      -- Whoever is told days later because the rule is spread was not too late when it was switched on.
      when c.crossed_at < case when j.activation = 'spread' and c.crossed_at < j.effective_from then j.effective_from else p_now end
        - make_interval(hours => 24 * j.max_age_days) then 'crossing_too_old'
    end,
    case when j.gate is null and j.threshold < j.highest
      then replace(j.subject, ':' || j.threshold || ':', ':' || j.highest || ':') end,
    case j.gate when 'away' then j.away_until end,
    jsonb_strip_nulls(jsonb_build_object('metric', j.metric, 'period', j.period, 'period_start', j.period_start,
      'threshold', j.threshold, 'value', case j.metric when 'hours' then round(j.value / 60.0, 2) else j.value end,
      'away_until', case when j.gate = 'away' then j.away_until end))
  from judged j
  left join lateral (
    select a.subject is not null as is_recorded,
      coalesce(a.crossed_at, private.crossed_milestone_at(
        p_organization_id, j.user_id, j.metric, j.period, j.period_start, j.threshold, coalesce(p_as_of, 'infinity'))) as crossed_at
    from (values (true)) as one
    left join public.achievements a on a.organization_id = p_organization_id and a.user_id = j.user_id and a.subject = j.subject
      and (p_as_of is null or a.recorded_at < p_as_of)
    where j.gate is null
    offset 0
  ) c on true
  where j.gate is null or not p_matched_only;
end;
$$;
comment on function private.milestone_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'The milestone evaluator: for everybody of a range or list, each of these rules of the type, each of its thresholds and periods, whether it is reached, when it was crossed, and whether it is recorded already. Of several reached at once the highest is told. Arguments as private.inactivity_matches (rules.md §3).';
revoke all on function private.milestone_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.milestone_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;

create or replace function private.raw_totals(
  p_organization_id uuid, p_user_id uuid, p_period text, p_period_start timestamptz, p_at timestamptz)
returns table (sessions integer, minutes integer, contacts integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_from timestamptz := coalesce(p_period_start, '-infinity');
  v_to timestamptz := case when p_period = 'year' then ((p_period_start at time zone 'UTC') + interval '1 year') at time zone 'UTC' else 'infinity' end;
begin
  return query
  select count(*)::integer, coalesce(sum(a.duration_minutes), 0)::integer,
    (select count(distinct ac.contact_id)::integer
     from public.activities b
     -- Probed, never joined the other way round: that would read the whole organisation's contacts for one person.
     cross join lateral (
       select c.contact_id from public.activity_contacts c
       where c.organization_id = p_organization_id and c.activity_id = b.id
       offset 0
     ) ac
     where b.organization_id = p_organization_id and b.user_id = p_user_id and b.status = 'completed'
       and b.occurred_at >= v_from and b.occurred_at < v_to and b.occurred_at <= p_at and b.recorded_at <= p_at)
  from public.activities a
  where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status = 'completed'
    and a.occurred_at >= v_from and a.occurred_at < v_to and a.occurred_at <= p_at and a.recorded_at <= p_at;
end;
$$;
comment on function private.raw_totals(uuid, uuid, text, timestamptz, timestamptz) is
  'A person''s sessions, minutes and different contacts of a period, from the activities that had taken place and been recorded at p_at.';
revoke all on function private.raw_totals(uuid, uuid, text, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.raw_totals(uuid, uuid, text, timestamptz, timestamptz) to service_role;

create function private.record_achievements(
  p_organization_id uuid, p_decided private.scenario_match[], p_rules private.scenario_rule[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_told text[];
begin
  if not exists (select from unnest(p_rules) as r where r.type in ('milestone', 'certification_expiry')) then
    return;
  end if;
  -- In the order of the key, as everywhere: rivals wait for each other, and never in a circle.
  insert into public.achievements (
    organization_id, user_id, subject, rule_id, metric, period, period_start, threshold, crossed_at, outcome, recorded_at)
  select p_organization_id, m.user_id, m.subject, m.rule_id, m.context ->> 'metric', m.context ->> 'period',
    (m.context ->> 'period_start')::timestamptz, (m.context ->> 'threshold')::integer, m.crossed_at, r.outcome, p_now
  from unnest(p_decided) as m
  cross join lateral (
    select case
      when m.gate in ('sent', 'quiet_hours') then 'celebrated'
      when m.gate in ('opted_out', 'crossing_too_old') then m.gate
      -- Never to be told, unlike one that is spread over days and only waits.
      when m.gate = 'before_effective' and m.eligible_at is null then m.gate
    end as outcome) r
  where m.scenario = 'milestone' and r.outcome is not null
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, subject) do nothing;

  -- What is told with another is recorded when that other one is.
  insert into public.achievements (
    organization_id, user_id, subject, rule_id, metric, period, period_start, threshold, crossed_at, outcome, recorded_at)
  select p_organization_id, m.user_id, m.subject, m.rule_id, m.context ->> 'metric', m.context ->> 'period',
    (m.context ->> 'period_start')::timestamptz, (m.context ->> 'threshold')::integer, m.crossed_at, m.gate, p_now
  from unnest(p_decided) as m
  cross join lateral (
    select from public.achievements a
    where a.organization_id = p_organization_id and a.user_id = m.user_id and a.subject = m.told_with
    offset 0
  ) recorded
  where m.scenario = 'milestone' and m.gate = 'superseded'
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, subject) do nothing;
  -- A certificate's lead names the certificate, and so the person.
  v_told := array(
    select m.subject from unnest(p_decided) as m where m.scenario = 'certification_expiry' and m.gate in ('sent', 'quiet_hours'));
  insert into private.cooldowns (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)
  select p_organization_id, m.user_id, m.scenario, m.subject, p_now, null
  from unnest(p_decided) as m
  where m.scenario = 'certification_expiry' and m.gate = 'superseded' and m.told_with = any (v_told)
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, scenario, subject) do nothing;
end;
$$;
comment on function private.record_achievements(uuid, private.scenario_match[], private.scenario_rule[], timestamptz) is
  'Records what is told once and never again: milestones with what became of them, and the leads and thresholds told together with another (rules.md §3). Capped ones are left for another day.';
revoke all on function private.record_achievements(uuid, private.scenario_match[], private.scenario_rule[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.record_achievements(uuid, private.scenario_match[], private.scenario_rule[], timestamptz) to service_role;

create function private.record_findings(
  p_organization_id uuid, p_decided private.scenario_match[], p_run_id bigint)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_found jsonb;
begin
  with found as (
    insert into private.sweep_findings (organization_id, user_id, run_id, scenario, subject, crossed_at)
    select p_organization_id, m.user_id, p_run_id, m.scenario, m.subject, m.crossed_at
    from unnest(p_decided) as m
    where m.gate in ('sent', 'quiet_hours')
      and not exists (select from private.scenario_marks k where k.organization_id = p_organization_id and k.user_id = m.user_id)
    returning scenario
  )
  select jsonb_object_agg(g.scenario, jsonb_build_object('missed_by_ticks', g.n)) into v_found
  from (select f.scenario, count(*) as n from found f group by f.scenario) g;
  return coalesce(v_found, '{}');
end;
$$;
comment on function private.record_findings(uuid, private.scenario_match[], bigint) is
  'Whom a full evaluation told although a tick just before it (public.evaluate_chunk) had not marked them: the ticks miss them. Returns the counts of a run: {"scenario": {"missed_by_ticks": n}}.';
revoke all on function private.record_findings(uuid, private.scenario_match[], bigint) from public, anon, authenticated, service_role;
grant execute on function private.record_findings(uuid, private.scenario_match[], bigint) to service_role;

create function private.record_held(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_decided private.scenario_match[],
  p_rules private.scenario_rule[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  -- These have been looked at now, whatever comes of it.
  update private.held_decisions h
  set look_again_at = null
  where h.organization_id = p_organization_id and h.look_again_at <= p_now
    and (p_from_user is null or h.user_id >= p_from_user) and (p_to_user is null or h.user_id < p_to_user)
    and (p_user_ids is null or h.user_id = any (p_user_ids));
  -- By row address, found by the whole key: as a join, all that the organisation holds would be read for each chunk.
  delete from private.held_decisions h
  where h.ctid = any (array(
    select k.address
    from unnest(p_decided) as m
    cross join lateral (
      select d.ctid as address from private.held_decisions d
      where d.organization_id = p_organization_id and d.user_id = m.user_id and d.subject = m.subject
      offset 0
    ) k
    where m.gate in ('sent', 'quiet_hours')));
  insert into private.held_decisions as h (
    organization_id, user_id, subject, scenario, rule_id, rule_version, gate, crossed_at, decided_at, look_again_at)
  select p_organization_id, m.user_id, m.subject, m.scenario, m.rule_id, r.version, m.gate, m.crossed_at, p_now, m.eligible_at
  from unnest(p_decided) as m
  join unnest(p_rules) as r on r.id = m.rule_id
  where m.gate in ('before_effective', 'crossing_too_old', 'enough_reminders', 'opted_out', 'capped')
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, subject) do update
    set rule_version = excluded.rule_version, gate = excluded.gate, crossed_at = excluded.crossed_at, decided_at = excluded.decided_at,
        look_again_at = excluded.look_again_at
    where (h.rule_version, h.gate, h.crossed_at, h.look_again_at)
      is distinct from (excluded.rule_version, excluded.gate, excluded.crossed_at, excluded.look_again_at);
end;
$$;
comment on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.scenario_rule[], timestamptz) is
  'Keeps who matched and was not told, by which gate, and when a gate that ends by itself is to be looked at again.';
revoke all on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.scenario_rule[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.record_held(uuid, uuid, uuid, uuid[], private.scenario_match[], private.scenario_rule[], timestamptz) to service_role;

create or replace function private.scenario_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  select m.user_id, m.scenario, m.rule_id, m.subject,
    -- The record answers better than the date of the rule.
    case
      when m.gate is not null then m.gate
      when m.later_gate = 'already_celebrated' then m.later_gate
      when e.eligible_at > p_now then 'before_effective'
      else m.later_gate
    end,
    m.crossed_at, m.later_gate, m.told_with,
    case when m.gate is null and m.later_gate is distinct from 'already_celebrated' and e.eligible_at > p_now
      then nullif(e.eligible_at, 'infinity') else m.eligible_at end,
    m.context
  from (
    -- A new scenario adds its evaluator here.
    select * from private.inactivity_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, p_matched_only)
    union all
    select * from private.milestone_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, p_matched_only)
    union all
    select * from private.certification_expiry_matches(
      p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, p_matched_only)
  ) m
  join unnest(p_rules) r on r.id = m.rule_id
  cross join lateral (
    select case
      when m.gate is not null or r.activation = 'all' or m.crossed_at >= r.effective_from then '-infinity'::timestamptz
      -- Everybody's hour within the days follows from who they are, so that it is the same whenever it is asked.
      when r.activation = 'spread' then r.effective_from + make_interval(
        hours => (abs(hashtextextended(m.user_id::text || m.rule_id::text, 0) % (24 * r.spread_days)))::integer)
      when m.scenario = 'inactivity' then m.crossed_at + make_interval(hours => 24 * r.cooldown_days)
        * ceil(extract(epoch from r.effective_from - m.crossed_at) / (86400 * r.cooldown_days))
      else 'infinity'
    end as eligible_at
  ) e;
end;
$$;
comment on function private.scenario_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'All evaluators together, and what a rule''s activation makes of crossings before it took effect. A row without gate is worth telling, if the person may be told (private.delivery_gates).';
revoke all on function private.scenario_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.scenario_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;

create or replace function private.totals_now(p_organization_id uuid, p_user_ids uuid[], p_period text, p_period_start timestamptz)
returns table (user_id uuid, sessions integer, minutes integer, contacts integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  return query
  select p.id, t.sessions, t.minutes, t.contacts
  from unnest(p_user_ids) as p (id)
  cross join lateral (
    select s.total_activities as sessions, s.total_duration_minutes as minutes, s.unique_contacts_reached as contacts
    from public.activity_statistics s
    where (s.organization_id = p_organization_id) is true and s.user_id = p.id and s.period_type = p_period::public.statistics_period
      and s.period_start is not distinct from p_period_start
      and not exists (select from private.statistics_marks m where m.organization_id = p_organization_id and m.user_id = p.id)
    union all
    select r.sessions, r.minutes, r.contacts
    from private.raw_totals(p_organization_id, p.id, p_period, p_period_start, 'infinity') r
    where exists (select from private.statistics_marks m where m.organization_id = p_organization_id and m.user_id = p.id)
    offset 0
  ) t;
end;
$$;
comment on function private.totals_now(uuid, uuid[], text, timestamptz) is
  'Sessions, minutes and different contacts of people in a year (p_period_start: its first instant, UTC) or all time (null), right at this moment whatever still waits to be recomputed. Who has none may be missing. Same columns as private.totals_as_of.';
revoke all on function private.totals_now(uuid, uuid[], text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.totals_now(uuid, uuid[], text, timestamptz) to service_role;

create or replace function private.unmatched_notifications(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_matches private.scenario_match[], p_now timestamptz)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  -- Asked of what waits, never of everything that was ever told: a chunk must not cost more as a run goes on. Mostly nothing does.
  v_waiting constant uuid[] := array(
    select o.notification_id from private.outbox o
    where o.organization_id = p_organization_id and o.state in ('pending', 'deferred')
      and (p_from_user is null or o.user_id >= p_from_user) and (p_to_user is null or o.user_id < p_to_user)
      and (p_user_ids is null or o.user_id = any (p_user_ids)));
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
comment on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) is
  'What was decided for these people, has not been sent, and no longer holds: p_matches are all they match at p_now. An evaluation takes it back, and a dry-run knows that it will.';
revoke all on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.unmatched_notifications(uuid, uuid, uuid, uuid[], private.scenario_match[], timestamptz) to service_role;
