-- A full evaluation leaves out, together, those for whom it can do nothing: who was told in this spell and still cools down.
set check_function_bodies = off;

alter table private.cooldowns add column spell_from timestamptz, add column told_in_spell integer;
alter table private.cooldowns drop constraint cooldowns_pkey,
  add primary key (organization_id, user_id, scenario, subject) include (last_triggered_at, spell_from, told_in_spell);
comment on column private.cooldowns.spell_from is 'Inactivity: since when the person had been quiet when they were last told.';
comment on column private.cooldowns.told_in_spell is 'How often they have been told since then, at most: what was taken back counts. Null: not known.';

create index users_set_apart on public.users (organization_id, id) include (role, is_active, reactivated_at, away_from, away_until)
  where role <> 'peer_mentor' or not is_active or reactivated_at is not null or away_from is not null;
drop index public.users_joined_at;
create index users_joined_at on public.users (organization_id, joined_at) include (id) where joined_at is not null;
drop index public.notification_preferences_opted_out;
create index notification_preferences_opted_out on public.notification_preferences (organization_id, user_id)
  include (scenario, channel) where not is_enabled;

comment on type private.scenario_match is
  'What an evaluator says of a person and one subject of a rule. gate: why it does not match, or null. later_gate: why a match is not worth telling, judged after before_effective. told_with: the subject that is told in its place. eligible_at: when it would match, if that is known. context: the values compared. Without user_id it stands for context.people of them (private.sweep_matches).';

drop function private.delivery_gates(uuid, private.notification_claim[], timestamptz, timestamptz, uuid[]);
create function private.allowed_setting(p_key text) returns text
language sql immutable parallel safe
set search_path = ''
as $$
  select case p_key
    when 'absence_alert_threshold' then 'a whole number from 1 to 9999'
    when 'recase_after_days' then 'a whole number from 1 to 999'
    when 'engagement_weights' then
      'an object of numbers from 0 to 1000000, not all of them 0, by attendance, groups, volunteering, classes, donations'
    when 'engagement_targets' then
      'an object of numbers from 0.01 to 1000000 by attendance, groups, volunteering, classes, donations'
    when 'notification_daily_cap' then 'a whole number from 1 to 100'
    when 'quiet_hours' then 'two local times that differ, such as {"from": "21:00", "to": "08:00"}'
    when 'panel_time_zone' then 'the name of a time zone, such as "America/Guayaquil"'
    when 'panel_session_target' then 'a whole number from 1 to 999'
    when 'learning_stuck_days' then 'a whole number from 1 to 999'
    when 'learning_weekly_lessons' then 'a whole number from 1 to 999'
    when 'learning_pass_score' then 'a whole number from 0 to 100'
    when 'language' then 'a BCP 47 tag, such as "nb" or "es-MX"'
    when 'push_deadline_hours' then 'a whole number from 1 to 168'
    else 'any value, under a key that is not blank'
  end;
$$;
comment on function private.allowed_setting(text) is 'What private.is_setting_valid allows for a key, in words.';
revoke all on function private.allowed_setting(text) from public, anon, authenticated, service_role;
grant execute on function private.allowed_setting(text) to authenticated, service_role;

create or replace function private.next_people(
  p_from_organization uuid, p_from_user uuid, p_to_organization uuid, p_to_user uuid, p_limit integer)
returns table (organization_id uuid, people integer, next_user uuid)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_next record;
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'chunk_size_out_of_range',
      detail = jsonb_build_object('chunk_size', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  -- Where the range ends is asked afterwards: as a condition of the index it would be read to the end of the organisation in search
  -- of one more.
  select u.organization_id, u.id into v_next
  from public.users u
  where (u.organization_id, u.id) >= (p_from_organization, p_from_user)
  order by u.organization_id, u.id offset p_limit limit 1;
  -- Within one organisation, having passed them is having counted them.
  if v_next.organization_id = p_from_organization
    and (p_to_organization is null or (v_next.organization_id, v_next.id) <= (p_to_organization, p_to_user))
  then
    organization_id := p_from_organization;
    people := p_limit;
    next_user := case when p_to_organization is null or (v_next.organization_id, v_next.id) < (p_to_organization, p_to_user)
      then v_next.id end;
    return next;
    return;
  end if;
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
      select v_next.organization_id, 0, v_next.id
      where v_next.id is not null
        and (p_to_organization is null or (v_next.organization_id, v_next.id) < (p_to_organization, p_to_user))
    ) p
    group by p.organization_id
    order by p.organization_id;
end;
$$;
comment on function private.next_people(uuid, uuid, uuid, uuid, integer) is
  'The next p_limit people of a range (from inclusive, to exclusive, null: open) in key order, counted by organisation; next_user is who follows them, in their own organisation''s row. PT400 chunk_size_out_of_range.';
revoke all on function private.next_people(uuid, uuid, uuid, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function private.next_people(uuid, uuid, uuid, uuid, integer) to service_role;

create function private.refuse(p_table text, p_constraint text, p_value jsonb, p_allowed text) returns boolean
language plpgsql stable
set search_path = ''
as $$
begin
  raise exception using errcode = '23514', schema = 'public', table = p_table, constraint = p_constraint,
    message = format('new row for relation "%s" violates check constraint "%s"', p_table, p_constraint),
    detail = jsonb_build_object('value', p_value, 'allowed', p_allowed)::text,
    hint = 'Allowed: ' || p_allowed || '.';
end;
$$;
comment on function private.refuse(text, text, jsonb, text) is
  'The last word of a check constraint whose name cannot say what is allowed: "check (is_valid or private.refuse(…))". Raises what Postgres would, with the allowed range as hint and in the detail, to whoever writes by whatever way. Never returns.';
revoke all on function private.refuse(text, text, jsonb, text) from public, anon, authenticated, service_role;
grant execute on function private.refuse(text, text, jsonb, text) to authenticated, service_role;

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

create or replace function private.count_gates(p_matches private.scenario_match[]) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_object_agg(s.scenario, s.gates), '{}')
    from (
      select g.scenario, jsonb_object_agg(g.gate, g.n) as gates
      from (select m.scenario, m.gate, sum(case when m.user_id is null then (m.context ->> 'people')::integer else 1 end) as n
            from unnest(p_matches) as m where m.gate is not null group by m.scenario, m.gate) g
      group by g.scenario
    ) s);
end;
$$;
comment on function private.count_gates(private.scenario_match[]) is 'How many are held by which gate: {"scenario": {"gate": n}}.';
revoke all on function private.count_gates(private.scenario_match[]) from public, anon, authenticated, service_role;
grant execute on function private.count_gates(private.scenario_match[]) to service_role;

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
  if p_user_ids is null then
    v_matches := array(
      select m from private.sweep_matches(p_organization_id, p_from_user, p_to_user, v_rules, p_now) m
      where not exists (select from private.quarantine q where q.organization_id = p_organization_id and q.user_id = m.user_id));
  else
    v_matches := array(
      select m from private.scenario_matches(
        p_organization_id, p_from_user, p_to_user, p_user_ids, v_rules, p_now, null, false) m
      where not exists (select from private.quarantine q where q.organization_id = p_organization_id and q.user_id = m.user_id));
  end if;
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

create function private.delivery_gates(
  p_organization_id uuid, p_claims private.notification_claim[], p_now timestamptz, p_as_of timestamptz,
  p_leaving uuid[] default '{}')
returns private.judged_claim[]
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
      select case when g.gate is not null then null
        when z.time_zone = v_time_zone then v_release_on
        else private.local_date(r.release_at, z.time_zone) end as release_on) d);

  if v_cap is null then
    return v_judged;
  end if;
  return array(
    select row(r.user_id, r.scenario, r.subject, r.rule_id, r.cooldown_days, r.crossed_at, r.context, r.rule_version, r.priority,
      r.is_mandatory, r.informs_coordinators, case when r.is_capped then 'capped' else r.gate end,
      r.opted_out_of, r.is_push_opted_out, r.cooldown_until, r.release_at, r.release_on,
      case when r.is_capped then r.look_again_at end)::private.judged_claim
    from (
      select j.*, j.release_on is not null and v_cap <
          row_number() over (partition by j.user_id, j.release_on order by j.priority desc nulls last, j.crossed_at, j.subject)
          + (select count(*) from public.notifications n
             where n.organization_id = p_organization_id and n.user_id = j.user_id and n.release_on = j.release_on
               and (n.retracted_at is null or n.retracted_at > p_as_of) and (p_as_of is null or n.triggered_at < p_as_of)
               and not (n.id = any (p_leaving) and n.read_at is null and n.dismissed_at is null)) as is_capped
      from unnest(v_judged) as j
    ) r);
end;
$$;
comment on function private.delivery_gates(uuid, private.notification_claim[], timestamptz, timestamptz, uuid[]) is
  'Preference, cooldown, cap and quiet hours for claims of one organisation, at p_now; with p_as_of as they stood then, and without p_leaving, notifications about to be taken back. Every claim has its row; who is gone is person_inactive. Dry-run and claim read this and nothing else (rules.md §3 "Gates").';
revoke all on function private.delivery_gates(uuid, private.notification_claim[], timestamptz, timestamptz, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.delivery_gates(uuid, private.notification_claim[], timestamptz, timestamptz, uuid[]) to service_role;

create function private.inactivity_at_rest(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_rule private.scenario_rule, p_now timestamptz,
  out awake uuid[], out cooling_down integer, out opted_out integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
-- A range of uuids is taken for a handful of rows: loops over two such handfuls grow with the square of the chunk.
set enable_nestloop = off
-- What a run fills is not to be read whole by each of its chunks because it was empty when it began.
set enable_seqscan = off
-- Workers take longer to start than this takes.
set max_parallel_workers_per_gather = 0
as $$
declare
  v_quiet_since constant timestamptz := p_now - make_interval(hours => 24 * p_rule.threshold_days);
  v_told_after constant timestamptz := p_now - make_interval(hours => 24 * p_rule.cooldown_days);
  -- From here on a crossing is one that the rule's activation has nothing to say about (private.scenario_matches).
  v_active_since constant timestamptz := case
    when p_rule.activation = 'all' then '-infinity'
    when p_rule.activation = 'spread' and p_rule.effective_from + make_interval(hours => 24 * p_rule.spread_days) <= p_now then '-infinity'
    else p_rule.effective_from - make_interval(hours => 24 * p_rule.threshold_days) end;
  v_muted uuid[];
  v_muted_active_at timestamptz[];
begin
  select coalesce(array_agg(p.user_id) filter (where p.is_muted is false), '{}'), count(*) filter (where p.is_muted is null),
      array_agg(p.user_id) filter (where p.is_muted), array_agg(p.last_activity_date) filter (where p.is_muted)
    into awake, cooling_down, v_muted, v_muted_active_at
  from (
    select s.user_id, s.last_activity_date, case
      -- Of these more has to be known, or something may have to be taken back.
      when s.last_activity_date < v_active_since or s.user_id in (
        select u.id from public.users u
        where u.organization_id = p_organization_id
          and (u.role <> 'peer_mentor' or not u.is_active or u.reactivated_at is not null or u.away_from is not null)
          and (u.role <> 'peer_mentor' or not u.is_active or u.reactivated_at > v_quiet_since
            or (u.away_from is not null and coalesce(u.away_until, 'infinity') > v_quiet_since))
          and (p_from_user is null or u.id >= p_from_user) and (p_to_user is null or u.id < p_to_user)
        union all
        select u.id from public.users u
        where u.organization_id = p_organization_id and u.joined_at > v_quiet_since
          and (p_from_user is null or u.id >= p_from_user) and (p_to_user is null or u.id < p_to_user)
        union all
        select m.user_id from private.statistics_marks m
        where m.organization_id = p_organization_id
          and (p_from_user is null or m.user_id >= p_from_user) and (p_to_user is null or m.user_id < p_to_user)
        union all
        select o.user_id from private.outbox o
        where o.organization_id = p_organization_id and o.state in ('pending', 'deferred', 'failed')
          and (p_from_user is null or o.user_id >= p_from_user) and (p_to_user is null or o.user_id < p_to_user)
        union all
        select q.user_id from private.quarantine q
        where q.organization_id = p_organization_id
          and (p_from_user is null or q.user_id >= p_from_user) and (p_to_user is null or q.user_id < p_to_user)
      ) then false
      when s.user_id in (
        select np.user_id from public.notification_preferences np
        where np.organization_id = p_organization_id and not np.is_enabled and np.channel = 'all' and np.scenario in ('all', 'inactivity')
          and not p_rule.is_mandatory
          and (p_from_user is null or np.user_id >= p_from_user) and (p_to_user is null or np.user_id < p_to_user)
      ) then true
      when c.user_id is null then false
      -- Nobody asks about the others: they cool down.
      end as is_muted
    from public.activity_statistics s
    -- Told not long ago, in this spell, and less often than the rule allows. (An anchor later than this day of activity only makes
    -- fewer of them count.)
    left join private.cooldowns c
      on c.organization_id = p_organization_id and c.user_id = s.user_id and c.scenario = 'inactivity' and c.subject = p_rule.id::text
      and c.last_triggered_at > v_told_after
      and c.spell_from <= s.last_activity_date and c.told_in_spell < p_rule.max_reminders
      and (p_from_user is null or c.user_id >= p_from_user) and (p_to_user is null or c.user_id < p_to_user)
    where s.organization_id = p_organization_id and s.period_type = 'all_time' and s.last_activity_date <= v_quiet_since
      and (p_from_user is null or s.user_id >= p_from_user) and (p_to_user is null or s.user_id < p_to_user)
    union all
    select s.user_id, null::timestamptz, false
    from public.activity_statistics s
    where s.organization_id = p_organization_id and s.period_type = 'all_time' and s.last_activity_date is null
      and (p_from_user is null or s.user_id >= p_from_user) and (p_to_user is null or s.user_id < p_to_user)
    union all
    -- Whose row may be stale is looked at in any case.
    select m.user_id, null::timestamptz, false
    from private.statistics_marks m
    where m.organization_id = p_organization_id
      and (p_from_user is null or m.user_id >= p_from_user) and (p_to_user is null or m.user_id < p_to_user)
  ) p;
  opted_out := 0;
  if v_muted is not null then
    opted_out := cardinality(v_muted);
    v_muted := private.muted_and_awake(p_rule, v_muted, v_muted_active_at, p_now);
    opted_out := opted_out - cardinality(v_muted);
    awake := awake || v_muted;
  end if;
end;
$$;
comment on function private.inactivity_at_rest(uuid, uuid, uuid, private.scenario_rule, timestamptz) is
  'Of everybody of a range who may match an inactivity rule: how many certainly do, and cool down or have opted out, with nothing to be written or taken back; and all others (awake), whom an evaluation looks at one by one. From what is, never from what a tick has found.';
revoke all on function private.inactivity_at_rest(uuid, uuid, uuid, private.scenario_rule, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.inactivity_at_rest(uuid, uuid, uuid, private.scenario_rule, timestamptz) to service_role;

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
    case when m.gate is null and m.last_activity_at is not null
      then jsonb_build_object('threshold_days', m.threshold_days, 'last_activity_at', m.last_activity_at, 'anchor_at', m.anchor_at)
      else jsonb_strip_nulls(jsonb_build_object('threshold_days', m.threshold_days, 'last_activity_at', m.last_activity_at,
        'anchor_at', m.anchor_at, 'role', case when m.gate is not null then m.role end,
        'away_until', case when m.gate = 'away' then m.away_until end,
        'would_cross_at', case when m.gate is not null then m.crosses_at end)) end
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

create function private.mark_capped() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_row constant jsonb := to_jsonb(coalesce(new, old));
  v_organization_id constant uuid := coalesce(v_row ->> 'organization_id', v_row ->> 'id');
begin
  if coalesce(v_row ->> 'key', 'notification_daily_cap') not in ('notification_daily_cap', 'quiet_hours') then
    return null;
  end if;
  perform private.mark_people(array_agg(c.organization_id), array_agg(c.user_id))
  from (
    select distinct h.organization_id, h.user_id from private.held_decisions h
    where h.organization_id = v_organization_id and h.look_again_at is not null and h.gate = 'capped'
  ) c;
  return null;
end;
$$;
-- Definer because whoever sets an organisation's cap, quiet hours or time zone may not see whom it holds up.
comment on function private.mark_capped() is
  'Trigger on settings and organisations: whose day was full is looked at now, for the day or what fits in it has changed. (What waits to be pushed is judged at its release.)';
revoke all on function private.mark_capped() from public, anon, authenticated, service_role;

create function private.muted_and_awake(
  p_rule private.scenario_rule, p_user_ids uuid[], p_active_at timestamptz[], p_now timestamptz)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_nestloop = on
as $$
begin
  return array(
    select q.user_id
    from unnest(p_user_ids, p_active_at) as q (user_id, active_at)
    where not exists (
      select from public.users u
      join private.held_decisions h on h.organization_id = u.organization_id and h.user_id = u.id and h.subject = p_rule.id::text
      where u.organization_id = p_rule.organization_id and u.id = q.user_id
        and h.gate = 'opted_out' and h.rule_version = p_rule.version and h.look_again_at is null
        and h.crossed_at = make_interval(hours => 24 * p_rule.threshold_days)
          + greatest(q.active_at, u.joined_at, u.reactivated_at, case when u.away_until <= p_now then u.away_until end)
        -- Having had enough reminders comes before having opted out. Who was never told has had none.
        and not exists (
          select from private.cooldowns c
          where c.organization_id = p_rule.organization_id and c.user_id = q.user_id and c.scenario = 'inactivity'
            and c.subject = p_rule.id::text
            and (c.spell_from <= q.active_at and c.told_in_spell < p_rule.max_reminders) is not true)
      offset 0));
end;
$$;
comment on function private.muted_and_awake(private.scenario_rule, uuid[], timestamptz[], timestamptz) is
  'Of people who match an inactivity rule, were last active at p_active_at and have opted out: those of whom this is not written down as it is now (private.held_decisions). For private.inactivity_at_rest, which knows the rest about them.';
revoke all on function private.muted_and_awake(private.scenario_rule, uuid[], timestamptz[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.muted_and_awake(private.scenario_rule, uuid[], timestamptz[], timestamptz) to service_role;

create or replace function private.record_held(
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
    -- What is written down already, as it is of those at rest, is left alone: to find it in conflict would lock it, and write.
    and m.user_id is not null and not exists (
      select from private.held_decisions d
      where d.organization_id = p_organization_id and d.user_id = m.user_id and d.subject = m.subject
        and (d.rule_version, d.gate, d.crossed_at, d.look_again_at) is not distinct from (r.version, m.gate, m.crossed_at, m.eligible_at)
      offset 0)
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

create or replace function public.save_rule(
  p_organization_id uuid, p_rule jsonb, p_added integer, p_removed integer, p_activation text default null,
  p_spread_days integer default null, p_tolerance integer default 0, p_now timestamptz default now())
returns jsonb
language plpgsql security definer
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_preview jsonb;
  v_rule private.scenario_rule;
begin
  if p_rule ? 'id' then
    perform from public.scenario_rules r where r.organization_id = p_organization_id and r.id::text = p_rule ->> 'id' for no key update;
  end if;
  v_preview := public.preview_rule(p_organization_id, p_rule, p_now);
  if p_added is null or p_removed is null or p_tolerance is null or p_tolerance < 0
    or abs((v_preview ->> 'added')::integer - p_added) > p_tolerance or abs((v_preview ->> 'removed')::integer - p_removed) > p_tolerance
  then
    raise exception using errcode = 'PT409', message = 'counts_have_drifted',
      detail = jsonb_build_object('acknowledged', jsonb_build_object('added', p_added, 'removed', p_removed),
        'now', jsonb_build_object('added', v_preview -> 'added', 'removed', v_preview -> 'removed'))::text,
      hint = 'Look at preview_rule again, and acknowledge what it says now.';
  end if;
  v_rule := jsonb_populate_record(null::private.scenario_rule, v_preview -> 'rule');
  if (v_preview ->> 'needs_activation')::boolean or p_activation is not null then
    v_rule := private.activate_rule(v_rule, p_activation, p_spread_days, p_now);
  elsif v_rule.activation is null then
    -- Switched off for now; switching it on will ask.
    v_rule.activation := 'all';
    v_rule.effective_from := p_now;
  end if;
  begin
    if v_rule.version = 0 then
      insert into public.scenario_rules (
        organization_id, id, type, name, is_enabled, threshold_days, cooldown_days, priority, effective_from, activation,
        spread_days, max_reminders, metric, period, thresholds, max_age_days, lead_days, is_mandatory, informs_coordinators)
      values (
        v_rule.organization_id, v_rule.id, v_rule.type, v_rule.name, v_rule.is_enabled, v_rule.threshold_days, v_rule.cooldown_days,
        v_rule.priority, v_rule.effective_from, v_rule.activation, v_rule.spread_days, v_rule.max_reminders, v_rule.metric,
        v_rule.period, v_rule.thresholds, v_rule.max_age_days, v_rule.lead_days, v_rule.is_mandatory, v_rule.informs_coordinators);
    else
      update public.scenario_rules r
      set name = v_rule.name, is_enabled = v_rule.is_enabled, threshold_days = v_rule.threshold_days,
          cooldown_days = v_rule.cooldown_days, priority = v_rule.priority, effective_from = v_rule.effective_from,
          activation = v_rule.activation, spread_days = v_rule.spread_days, max_reminders = v_rule.max_reminders,
          metric = v_rule.metric, period = v_rule.period, thresholds = v_rule.thresholds, max_age_days = v_rule.max_age_days,
          lead_days = v_rule.lead_days, is_mandatory = v_rule.is_mandatory, informs_coordinators = v_rule.informs_coordinators
      where r.organization_id = p_organization_id and r.id = v_rule.id;
    end if;
  exception when unique_violation then
    -- Somebody else was quicker since private.check_rule looked.
    raise exception using errcode = 'PT409', message = 'rule_name_is_taken', detail = jsonb_build_object('name', v_rule.name)::text;
  end;
  return (select to_jsonb(r) from public.scenario_rules r where r.organization_id = p_organization_id and r.id = v_rule.id);
end;
$$;
-- Definer because nobody may write rules but by way of this check: service_role, the only one who may call it, included.
comment on function public.save_rule(uuid, jsonb, integer, integer, text, integer, integer, timestamptz) is
  'Makes a rule, or with "id" a new version of it, after p_added and p_removed (people, from public.preview_rule) were acknowledged; p_tolerance allows for as many more or fewer. Where it starts to concern somebody, p_activation says what becomes of those who match already: skip, all, or spread over p_spread_days. Returns the rule. PT409 counts_have_drifted with the present numbers, PT400 activation_is_needed, and what private.draft_rule raises.';
revoke all on function public.save_rule(uuid, jsonb, integer, integer, text, integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.save_rule(uuid, jsonb, integer, integer, text, integer, integer, timestamptz) to service_role;

create or replace function private.scenario_gates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz)
returns table (
  user_id uuid, scenario text, rule_id uuid, rule_version integer, subject text, gate text, crossed_at timestamptz,
  eligible_again_at timestamptz, release_at timestamptz, detail jsonb)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_matches private.scenario_match[] := array(
    select m from private.scenario_matches(p_organization_id, p_from_user, p_to_user, p_user_ids, p_rules, p_now, p_as_of, false) m);
  -- What an evaluation would take back makes room in a day before anybody is told.
  v_leaving constant uuid[] := array(
    select n.id
    from unnest(private.unmatched_notifications(p_organization_id, p_from_user, p_to_user, p_user_ids, v_matches, p_now)) as l (id)
    join public.notifications n on n.organization_id = p_organization_id and n.id = l.id
    -- Not those of rules that are not asked about.
    where n.rule_id in (select r.id from unnest(p_rules) r)
      or not exists (select from public.scenario_rules s where s.organization_id = p_organization_id and s.id = n.rule_id));
  v_judged constant private.judged_claim[] := private.delivery_gates(
    p_organization_id, private.claims_of(v_matches, p_rules), p_now, p_as_of, v_leaving);
begin
  return query
  select m.user_id, m.scenario, m.rule_id, r.version, m.subject,
    case when q.user_id is not null then 'quarantined' else coalesce(m.gate, g.gate) end, m.crossed_at,
    case
      when q.user_id is not null then null
      when m.gate is not null then m.eligible_at
      when g.gate = 'cooling_down' then coalesce(nullif(g.cooldown_until, 'infinity'), (m.context ->> 'expires_at')::timestamptz)
      when g.gate = 'capped' then g.look_again_at
    end,
    case when q.user_id is null and g.gate in ('would_send', 'quiet_hours') then g.release_at end,
    m.context || jsonb_strip_nulls(jsonb_build_object('told_with', m.told_with, 'opted_out_of', g.opted_out_of,
      'cooldown_until', case when g.gate = 'cooling_down' then nullif(g.cooldown_until, 'infinity') end))
  from unnest(v_matches) as m
  join unnest(p_rules) as r on r.id = m.rule_id
  left join unnest(v_judged) as g
    on m.gate is null and g.user_id = m.user_id and g.scenario = m.scenario and g.subject = m.subject
  left join private.quarantine q on q.organization_id = p_organization_id and q.user_id = m.user_id and p_as_of is null;
end;
$$;
comment on function private.scenario_gates(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz) is
  'Every scenario, whole: for everybody of a range (from inclusive, to exclusive, null: open) or list and every subject of these rules the first gate that holds at p_now, or would_send, with the values it compared and when it ends, if that is known. Dry-run, explanation and the preview of a rule read this; live is the same functions with effects (private.decide).';
revoke all on function private.scenario_gates(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.scenario_gates(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz) to service_role;

create function private.sweep_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_rules private.scenario_rule[], p_now timestamptz)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
as $$
declare
  v_rule private.scenario_rule;
  v_rest record;
begin
  return query
  select m.* from private.scenario_matches(p_organization_id, p_from_user, p_to_user, null,
    array(select r from unnest(p_rules) as r where r.type <> 'inactivity'), p_now, null, true) m;
  -- Rule by rule, for somebody may be at rest by one and awake by another.
  foreach v_rule in array p_rules loop
    if v_rule.type = 'inactivity' and v_rule.is_enabled then
      select r.* into v_rest from private.inactivity_at_rest(p_organization_id, p_from_user, p_to_user, v_rule, p_now) r;
      if v_rest.awake <> '{}' then
        return query
        select m.* from private.scenario_matches(p_organization_id, null, null, v_rest.awake, array[v_rule], p_now, null, true) m;
      end if;
      return query
      select null::uuid, v_rule.type, v_rule.id, v_rule.id::text, g.gate, null::timestamptz, null::text, null::text, null::timestamptz,
        jsonb_build_object('people', g.people)
      from (values ('cooling_down', v_rest.cooling_down), ('opted_out', v_rest.opted_out)) as g (gate, people)
      where g.people > 0;
    end if;
  end loop;
end;
$$;
comment on function private.sweep_matches(uuid, uuid, uuid, private.scenario_rule[], timestamptz) is
  'What private.scenario_matches says of everybody of a range who matches, but those for whom an evaluation can do nothing today come as one row a rule and gate without a person: how many they are.';
revoke all on function private.sweep_matches(uuid, uuid, uuid, private.scenario_rule[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.sweep_matches(uuid, uuid, uuid, private.scenario_rule[], timestamptz) to service_role;

alter table public.organizations drop constraint organization_time_zone_is_known,
  add constraint organization_time_zone_is_known
    check (private.is_time_zone(time_zone) or private.refuse('organizations', 'organization_time_zone_is_known',
      to_jsonb(time_zone), 'the name of a time zone, such as Europe/Oslo or UTC'));
alter table public.org_settings_kv drop constraint setting_value_fits_its_key,
  add constraint setting_value_fits_its_key check (private.is_setting_valid(key, value)
    or private.refuse('org_settings_kv', 'setting_value_fits_its_key', jsonb_build_object(key, value), private.allowed_setting(key)));
alter table public.users drop constraint user_time_zone_is_known,
  add constraint user_time_zone_is_known
    check (time_zone is null or private.is_time_zone(time_zone) or private.refuse('users', 'user_time_zone_is_known',
      to_jsonb(time_zone), 'the name of a time zone, such as Europe/Oslo or UTC'));
alter table public.notification_preferences drop constraint preference_scenario_is_known, drop constraint preference_channel_is_known,
  add constraint preference_scenario_is_known
    check (scenario = 'all' or private.is_scenario_type(scenario) or private.refuse('notification_preferences',
      'preference_scenario_is_known', to_jsonb(scenario), 'all, ' || array_to_string(private.scenario_types(), ', '))),
  add constraint preference_channel_is_known
    check (channel in ('all', 'push') or private.refuse('notification_preferences',
      'preference_channel_is_known', to_jsonb(channel), 'all, push'));
alter table public.scenario_rules drop constraint rule_type_is_known, drop constraint activation_is_known, drop constraint metric_is_known, drop constraint period_is_known,
  add constraint rule_type_is_known
    check (type = any (private.rule_types()) or private.refuse('scenario_rules', 'rule_type_is_known', to_jsonb(type), array_to_string(private.rule_types(), ', '))),
  add constraint activation_is_known
    check (activation in ('skip', 'all', 'spread') or private.refuse('scenario_rules', 'activation_is_known', to_jsonb(activation), 'skip, all, spread')),
  add constraint metric_is_known
    check (metric in ('sessions', 'hours', 'contacts') or private.refuse('scenario_rules', 'metric_is_known', to_jsonb(metric), 'sessions, hours, contacts')),
  add constraint period_is_known
    check (period in ('year', 'all_time') or private.refuse('scenario_rules', 'period_is_known', to_jsonb(period), 'year, all_time'));

create trigger org_settings_kv_mark_capped after insert or update or delete on public.org_settings_kv
  for each row execute function private.mark_capped();
create trigger organizations_mark_capped after update of time_zone on public.organizations
  for each row when (old.time_zone is distinct from new.time_zone) execute function private.mark_capped();
