-- Conditions asked once a claim, and pushes that wait for their next attempt among those that a changed rule concerns.
set check_function_bodies = off;

create or replace function private.due_of_rule(p_rule private.scenario_rule, p_from timestamptz, p_to timestamptz) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_threshold constant interval := make_interval(hours => 24 * p_rule.threshold_days);
  v_cooldown constant interval := make_interval(hours => 24 * p_rule.cooldown_days);
  v_due uuid[] := '{}';
begin
  if p_from = '-infinity' then
    -- What the rule as it was told, and as it is would not, is to be taken back.
    v_due := array(
      select o.user_id
      from private.outbox o
      join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
      where o.organization_id = p_rule.organization_id and o.state in ('pending', 'deferred', 'failed') and n.rule_id = p_rule.id);
  end if;
  if not p_rule.is_enabled then
    return v_due;
  end if;

  case p_rule.type
  when 'inactivity' then
    if p_from = '-infinity' then
      return v_due || private.inactivity_candidates(p_rule.organization_id, null, null, p_to - v_threshold);
    end if;
    -- Whoever's anchor lies in the range has one of these dates in it; whoever has may have a later anchor, and is looked at.
    return v_due || array(
      select s.user_id from public.activity_statistics s
      where s.organization_id = p_rule.organization_id and s.period_type = 'all_time'
        and s.last_activity_date > p_from - v_threshold and s.last_activity_date <= p_to - v_threshold
      union
      -- Whose row may be stale is looked up in the activities.
      select m.user_id
      from (select distinct w.user_id from private.statistics_marks w where w.organization_id = p_rule.organization_id) m
      cross join lateral (
        select max(a.occurred_at) as last_at from public.activities a
        where a.organization_id = p_rule.organization_id and a.user_id = m.user_id and a.status = 'completed') l
      where l.last_at > p_from - v_threshold and l.last_at <= p_to - v_threshold
      union
      select u.id from public.users u
      where u.organization_id = p_rule.organization_id
        and u.joined_at > p_from - v_threshold and u.joined_at <= p_to - v_threshold
      union
      select u.id from public.users u
      where u.organization_id = p_rule.organization_id
        and u.reactivated_at > p_from - v_threshold and u.reactivated_at <= p_to - v_threshold
      union
      select u.id from public.users u
      where u.organization_id = p_rule.organization_id
        and u.away_until > p_from - v_threshold and u.away_until <= p_to - v_threshold
      union
      select cd.user_id from private.cooldowns cd
      where cd.organization_id = p_rule.organization_id and cd.subject = p_rule.id::text and cd.cooldown_days is not null
        and cd.last_triggered_at > p_from - v_cooldown and cd.last_triggered_at <= p_to - v_cooldown);
  when 'milestone' then
    -- Only activities reach milestones, and mark; a rule that is new has those who were there before it.
    if p_from = '-infinity' then
      return v_due || private.milestone_candidates(p_rule.organization_id, null, null, array[p_rule], p_to);
    end if;
  when 'certification_expiry' then
    return v_due || array(
      select distinct c.user_id
      from unnest(p_rule.lead_days) as l (lead)
      join public.certificates c on c.organization_id = p_rule.organization_id and c.revoked_at is null and c.replaced_by is null
        and c.expires_at > p_from + make_interval(hours => 24 * l.lead) and c.expires_at <= p_to + make_interval(hours => 24 * l.lead)
        and c.expires_at > p_to
      union
      -- What was told of one that has expired meanwhile, and waits to be pushed, is to be taken back.
      select c.user_id
      from public.certificates c
      where c.organization_id = p_rule.organization_id and c.revoked_at is null and c.replaced_by is null
        and c.expires_at > p_from and c.expires_at <= p_to and p_from > '-infinity');
  end case;
  return v_due;
end;
$$;
comment on function private.due_of_rule(private.scenario_rule, timestamptz, timestamptz) is
  'Whom to look at because of a rule, when it was last looked at p_from (exclusive; -infinity: never, as it is now) and is at p_to: everybody who crossed meanwhile, and few others. From index ranges alone. A new scenario says here which of its crossings come with time.';
revoke all on function private.due_of_rule(private.scenario_rule, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.due_of_rule(private.scenario_rule, timestamptz, timestamptz) to service_role;

create or replace function private.keep_rule_version() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if tg_op <> 'INSERT' then
    if tg_op = 'UPDATE' and new.version = old.version then
      return null;
    end if;
    update private.rule_clocks c set evaluated_until = '-infinity'
    where tg_op = 'UPDATE' and c.organization_id = old.organization_id and c.rule_id = old.id;
    update public.scenario_rule_versions v set valid_to = now()
    where v.organization_id = old.organization_id and v.rule_id = old.id and v.valid_to = 'infinity';
  end if;
  if tg_op = 'DELETE' then
    -- What it decided and is not sent yet is to be taken back.
    perform private.mark_people(array_agg(p.organization_id), array_agg(p.user_id))
    from (
      select distinct o.organization_id, o.user_id
      from private.outbox o
      join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
      where o.organization_id = old.organization_id and o.state in ('pending', 'deferred', 'failed') and n.rule_id = old.id
    ) p;
  else
    insert into public.scenario_rule_versions (organization_id, rule_id, version, rule)
    values (new.organization_id, new.id, new.version, to_jsonb(new));
    if tg_op = 'INSERT' then
      insert into private.rule_clocks (organization_id, rule_id) values (new.organization_id, new.id);
    end if;
  end if;
  return null;
end;
$$;
-- Definer because whoever may change rules may not rewrite their history.
comment on function private.keep_rule_version() is
  'Trigger on public.scenario_rules: keeps every version, and makes everybody the rule concerns due for the next tick.';
revoke all on function private.keep_rule_version() from public, anon, authenticated, service_role;

create or replace function private.gone_notifications(p_organization_id uuid, p_notification_ids uuid[], p_now timestamptz) returns uuid[]
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
  select array_agg(n.id), array_agg(distinct n.rule_id), array_agg(distinct n.user_id) into v_ruled, v_rule_ids, v_user_ids
  from public.notifications n
  where n.organization_id = p_organization_id and n.id = any (p_notification_ids) and n.rule_id is not null;
  if v_ruled is not null then
    v_rules := private.rules_of(p_organization_id, null);
    v_rules := array(select r from unnest(v_rules) as r where r.id = any (v_rule_ids));
    -- As of the end of time: from the raw rows, all that there are.
    v_gone := private.unmatched_notifications(p_organization_id, null, null, null,
      array(select m from private.scenario_matches(p_organization_id, null, null, v_user_ids, v_rules, p_now, 'infinity', false) m),
      p_now, v_ruled);
  end if;
  return v_gone || array(
    select n.id
    from public.notifications n
    left join public.pastoral_cases c on c.organization_id = n.organization_id and c.id::text = n.context ->> 'case_id'
    where n.organization_id = p_organization_id and n.id = any (p_notification_ids) and n.scenario = 'pastoral_case'
      and n.context ? 'case_id' and private.is_case_of(c.status, c.assigned_servant_id, n.user_id) is not true);
end;
$$;
comment on function private.gone_notifications(uuid, uuid[], timestamptz) is
  'Which of these notifications would not be made any more: by the evaluators that made them, over raw rows. What somebody outside decided holds.';
revoke all on function private.gone_notifications(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.gone_notifications(uuid, uuid[], timestamptz) to service_role;

create or replace function private.judge_conditions(p_organization_id uuid, p_notification_ids uuid[], p_now timestamptz)
returns table (notification_id uuid, gate text, problem text)
language plpgsql stable
set search_path = ''
as $$
declare
  v_message text;
  v_state text;
  v_half integer := cardinality(p_notification_ids) / 2;
  v_gone uuid[];
begin
  -- First, and by itself: inside unnest the planner would ask it too, to estimate how many there are.
  v_gone := private.gone_notifications(p_organization_id, p_notification_ids, p_now);
  return query select g.id, 'condition_gone', null::text from unnest(v_gone) as g (id);
exception
  -- As in private.decide_safely: these are the moment's fault, and nobody's data.
  when syntax_error_or_access_rule_violation or query_canceled or serialization_failure or deadlock_detected or lock_not_available or operator_intervention
    or insufficient_resources or connection_exception then
    raise;
  when others then
    get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
    if v_half = 0 then
      return query select p_notification_ids[1], 'unjudged', 'condition_failed: ' || v_state || ' ' || left(v_message, 200);
      return;
    end if;
    return query
    select * from private.judge_conditions(p_organization_id, p_notification_ids[:v_half], p_now)
    union all
    select * from private.judge_conditions(p_organization_id, p_notification_ids[v_half + 1:], p_now);
end;
$$;
comment on function private.judge_conditions(uuid, uuid[], timestamptz) is
  'private.gone_notifications, in which one person''s bad row does not stop everybody: condition_gone, or unjudged with the problem. Those that hold have no row.';
revoke all on function private.judge_conditions(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.judge_conditions(uuid, uuid[], timestamptz) to service_role;
