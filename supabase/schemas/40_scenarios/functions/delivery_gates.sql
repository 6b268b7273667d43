create function private.delivery_gates(
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
