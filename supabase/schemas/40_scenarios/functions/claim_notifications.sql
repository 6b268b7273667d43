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
