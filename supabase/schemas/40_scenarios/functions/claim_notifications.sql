create function private.claim_notifications(
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
