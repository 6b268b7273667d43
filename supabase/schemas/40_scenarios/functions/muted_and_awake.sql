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
