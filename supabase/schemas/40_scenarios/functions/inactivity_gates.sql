create function private.inactivity_gates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz)
returns table (
  user_id uuid, rule_id uuid, subject text, gate text, role public.user_role, away_until timestamptz,
  last_activity_at timestamptz, anchor_at timestamptz, threshold_days integer, crossed_at timestamptz, opted_out_of text,
  cooldown_days integer, cooldown_until timestamptz)
language sql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
  select g.user_id, g.rule_id, g.rule_id::text,
    case
      when not g.is_enabled then 'rule_disabled'
      when not g.is_active then 'person_inactive'
      when g.is_away then 'away'
      when g.role <> 'peer_mentor' or g.crossed_at > p_now then 'not_matched'
      when g.opted_out_of is not null then 'opted_out'
      when g.cooldown_until > p_now then 'cooling_down'
      else 'would_send'
    end,
    g.role, g.away_until, g.last_activity_at, g.anchor_at, g.threshold_days, g.crossed_at, g.opted_out_of,
    g.cooldown_days, g.cooldown_until
  from (
    select f.*, r.id as rule_id, r.is_enabled, r.threshold_days, r.cooldown_days,
      -- Days are 24 hours: a threshold does not move with anybody's clock change.
      f.anchor_at + make_interval(hours => 24 * r.threshold_days) as crossed_at,
      preference.opted_out_of,
      cd.last_triggered_at + make_interval(hours => 24 * r.cooldown_days) as cooldown_until
    from public.scenario_rules r
    cross join private.inactivity_facts(p_organization_id, p_from_user, p_to_user, p_user_ids, p_now) f
    left join lateral (
      select min(np.scenario) as opted_out_of
      from public.notification_preferences np
      where np.organization_id = p_organization_id and np.user_id = f.user_id
        and np.scenario in ('all', 'inactivity') and np.channel = 'all' and not np.is_enabled
    ) preference on true
    left join private.cooldowns cd
      on cd.organization_id = p_organization_id and cd.user_id = f.user_id
      and cd.scenario = 'inactivity' and cd.subject = r.id::text
    where r.organization_id = p_organization_id and r.type = 'inactivity'
  ) g;
$$;
comment on function private.inactivity_gates(uuid, uuid, uuid, uuid[], timestamptz) is
  'The inactivity scenario, whole: for every person of a range or list (as in private.inactivity_facts) and every rule of the organisation, the first gate that holds at p_now, or would_send, with the values it compared. Live, dry-run and explanation read this and nothing else (rules.md §3).';
revoke all on function private.inactivity_gates(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.inactivity_gates(uuid, uuid, uuid, uuid[], timestamptz) to service_role;
