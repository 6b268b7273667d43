create function private.due_of_rule(p_rule private.scenario_rule, p_from timestamptz, p_to timestamptz) returns uuid[]
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
