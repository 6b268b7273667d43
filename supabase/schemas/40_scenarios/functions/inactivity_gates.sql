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
