create function private.release_gates(p_pushes private.outbox[], p_now timestamptz) returns setof private.push_release
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  with settings as materialized (
    select o.id as organization_id, o.time_zone,
      max((s.value #>> '{}')::integer) filter (where s.key = 'notification_daily_cap') as cap,
      coalesce(max((s.value #>> '{}')::integer) filter (where s.key = 'push_deadline_hours'), 24) as deadline_hours,
      max(s.value ->> 'from') filter (where s.key = 'quiet_hours')::time as quiet_from,
      max(s.value ->> 'to') filter (where s.key = 'quiet_hours')::time as quiet_to
    from (select distinct p.organization_id from unnest(p_pushes) as p) d
    join public.organizations o on o.id = d.organization_id
    left join public.org_settings_kv s on s.organization_id = o.id and s.key in ('notification_daily_cap', 'push_deadline_hours', 'quiet_hours')
    group by o.id, o.time_zone
  ), asked as materialized (
    -- Else each of these would be computed wherever it is named.
    select p.*, n.scenario, n.rule_id, n.release_on as planned_on, n.triggered_at, n.retracted_at,
      n.read_at is not null or n.dismissed_at is not null as is_read, n.is_mandatory, u.is_active,
      z.time_zone, s.cap, s.quiet_from, s.quiet_to, e.expires_at,
      case when s.quiet_from is null then p_now else private.release_at(p_now, z.time_zone, s.quiet_from, s.quiet_to) end as quiet_until
    from unnest(p_pushes) as p
    join public.notifications n on n.organization_id = p.organization_id and n.id = p.notification_id
    join public.users u on u.organization_id = p.organization_id and u.id = p.user_id
    join settings s on s.organization_id = p.organization_id
    cross join lateral (select coalesce(u.time_zone, s.time_zone, 'UTC') as time_zone offset 0) z
    cross join lateral (select p.release_at + make_interval(hours => s.deadline_hours) as expires_at) e
  ), days as materialized (
    -- Once a time zone.
    select d.time_zone, private.local_date(p_now, d.time_zone) as today from (select distinct a.time_zone from asked a) d
  ), judged as (
    select a.*, d.today,
      case
        when a.retracted_at is not null then 'retracted'
        when a.is_read then 'read'
        when not a.is_active then 'person_inactive'
        when not a.is_mandatory and exists (
          select from public.notification_preferences np
          where np.organization_id = a.organization_id and np.user_id = a.user_id and np.scenario in ('all', a.scenario)
            and np.channel in ('all', a.channel) and not np.is_enabled) then 'opted_out'
        when a.expires_at <= p_now then 'stale'
        when a.quiet_until > p_now then 'quiet_hours'
      end as gate
    from asked a
    join days d on d.time_zone = a.time_zone
  ), counted as (
    select j.*,
      case when j.gate is null and j.cap is not null and j.planned_on is not null then
        j.cap <= (
          select count(*) from public.notifications m
          where m.organization_id = j.organization_id and m.user_id = j.user_id and m.release_on = j.today
            and m.retracted_at is null and m.id <> j.notification_id
            -- One that was planned for another day goes after all of this day's. One of this day, after those that were told
            -- already and those that were decided before.
            and (j.planned_on <> j.today or (m.triggered_at, m.id) < (j.triggered_at, j.notification_id)
              or not exists (
                select from private.outbox w
                where w.organization_id = m.organization_id and w.notification_id = m.id
                  and w.state in ('pending', 'deferred', 'failed', 'claimed'))))
          + case when j.planned_on <> j.today then row_number() over (
              partition by j.organization_id, j.user_id, j.gate is null, j.planned_on = j.today order by j.triggered_at, j.notification_id) - 1
            else 0 end
      end as is_capped
    from judged j
  )
  select c.organization_id, c.id, c.notification_id, c.user_id, c.lease, c.attempts, coalesce(c.gate, case when c.is_capped then 'capped' end),
    l.release_at, c.planned_on,
    case when c.planned_on is not null and (c.gate is null or c.gate = 'quiet_hours') then
      case when l.release_at = p_now then c.today else private.local_date(l.release_at, c.time_zone) end else c.planned_on end,
    c.expires_at, null::text, c.scenario, c.rule_id
  from counted c
  cross join lateral (
    select case
      when c.gate = 'quiet_hours' then c.quiet_until
      when c.is_capped then private.release_at(private.local_midnight(c.today + 1, c.time_zone), c.time_zone, c.quiet_from, c.quiet_to)
      else p_now end as release_at
    offset 0) l;
end;
$$;
comment on function private.release_gates(private.outbox[], timestamptz) is
  'What speaks against sending these pushes at p_now, the condition aside: retracted, read (in the app, or dismissed there), person_inactive, opted_out, stale (its deadline is over), quiet_hours and capped (until release_at), by the settings, preferences and time zones of this moment.';
revoke all on function private.release_gates(private.outbox[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.release_gates(private.outbox[], timestamptz) to service_role;
