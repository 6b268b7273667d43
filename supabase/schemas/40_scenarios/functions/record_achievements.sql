create function private.record_achievements(
  p_organization_id uuid, p_decided private.scenario_match[], p_rules private.scenario_rule[], p_now timestamptz)
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_told text[];
begin
  if not exists (select from unnest(p_rules) as r where r.type in ('milestone', 'certification_expiry')) then
    return;
  end if;
  -- In the order of the key, as everywhere: rivals wait for each other, and never in a circle.
  insert into public.achievements (
    organization_id, user_id, subject, rule_id, metric, period, period_start, threshold, crossed_at, outcome, recorded_at)
  select p_organization_id, m.user_id, m.subject, m.rule_id, m.context ->> 'metric', m.context ->> 'period',
    (m.context ->> 'period_start')::timestamptz, (m.context ->> 'threshold')::integer, m.crossed_at, r.outcome, p_now
  from unnest(p_decided) as m
  cross join lateral (
    select case
      when m.gate in ('sent', 'quiet_hours') then 'celebrated'
      when m.gate in ('opted_out', 'crossing_too_old') then m.gate
      -- Never to be told, unlike one that is spread over days and only waits.
      when m.gate = 'before_effective' and m.eligible_at is null then m.gate
    end as outcome) r
  where m.scenario = 'milestone' and r.outcome is not null
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, subject) do nothing;

  -- What is told with another is recorded when that other one is.
  insert into public.achievements (
    organization_id, user_id, subject, rule_id, metric, period, period_start, threshold, crossed_at, outcome, recorded_at)
  select p_organization_id, m.user_id, m.subject, m.rule_id, m.context ->> 'metric', m.context ->> 'period',
    (m.context ->> 'period_start')::timestamptz, (m.context ->> 'threshold')::integer, m.crossed_at, m.gate, p_now
  from unnest(p_decided) as m
  cross join lateral (
    select from public.achievements a
    where a.organization_id = p_organization_id and a.user_id = m.user_id and a.subject = m.told_with
    offset 0
  ) recorded
  where m.scenario = 'milestone' and m.gate = 'superseded'
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, subject) do nothing;
  -- A certificate's lead names the certificate, and so the person.
  v_told := array(
    select m.subject from unnest(p_decided) as m where m.scenario = 'certification_expiry' and m.gate in ('sent', 'quiet_hours'));
  insert into private.cooldowns (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)
  select p_organization_id, m.user_id, m.scenario, m.subject, p_now, null
  from unnest(p_decided) as m
  where m.scenario = 'certification_expiry' and m.gate = 'superseded' and m.told_with = any (v_told)
  order by m.user_id, m.subject
  on conflict (organization_id, user_id, scenario, subject) do nothing;
end;
$$;
comment on function private.record_achievements(uuid, private.scenario_match[], private.scenario_rule[], timestamptz) is
  'Records what is told once and never again: milestones with what became of them, and the leads and thresholds told together with another (rules.md §3). Capped ones are left for another day.';
revoke all on function private.record_achievements(uuid, private.scenario_match[], private.scenario_rule[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.record_achievements(uuid, private.scenario_match[], private.scenario_rule[], timestamptz) to service_role;
