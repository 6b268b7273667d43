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
