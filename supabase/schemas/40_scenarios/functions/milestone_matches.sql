create function private.milestone_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_user_ids uuid[] := p_user_ids;
begin
  if not exists (select from unnest(p_rules) r where r.type = 'milestone') then
    return;
  end if;
  if p_user_ids is null then
    v_user_ids := case when p_matched_only and p_as_of is null
      then private.milestone_candidates(p_organization_id, p_from_user, p_to_user, p_rules, p_now)
      else private.people(p_organization_id, p_from_user, p_to_user) end;
  end if;
  if v_user_ids is null then
    return;
  end if;
  return query
  with target as materialized (
    select r.id as rule_id, r.is_enabled, r.metric, r.max_age_days, r.activation, r.effective_from, p.period, p.period_start, t.threshold,
      t.threshold * case r.metric when 'hours' then 60 else 1 end as needed,
      concat_ws(':', r.id, t.threshold, p.label) as subject
    from unnest(p_rules) r
    cross join lateral private.milestone_periods(r.period, r.max_age_days, p_now) p
    cross join unnest(r.thresholds) as t (threshold)
    where r.type = 'milestone'
  ), total as materialized (
    select p.period, p.period_start, t.*
    from (select distinct g.period, g.period_start from target g) p
    cross join lateral private.totals(p_organization_id, v_user_ids, p.period, p.period_start, p_as_of) t
  ), judged as materialized (
    select f.user_id, f.away_until, g.*, v.value,
      max(case when v.value >= g.needed then g.threshold end)
        over (partition by f.user_id, g.rule_id, g.period_start) as highest,
      case
        when not g.is_enabled then 'rule_disabled'
        when not f.is_active then 'person_inactive'
        when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
        when v.value < g.needed then 'not_matched'
      end as gate
    from private.facts(p_organization_id, null, null, v_user_ids, p_as_of) f
    cross join target g
    left join total t on t.user_id = f.user_id and t.period = g.period and t.period_start is not distinct from g.period_start
    cross join lateral (
      select coalesce(case g.metric when 'sessions' then t.sessions when 'hours' then t.minutes else t.contacts end, 0) as value) v
  )
  select j.user_id, 'milestone', j.rule_id, j.subject, j.gate, c.crossed_at,
    case
      when c.is_recorded then 'already_celebrated'
      when j.threshold < j.highest then 'superseded'
      -- Whoever is told days later because the rule is spread was not too late when it was switched on.
      when c.crossed_at < case when j.activation = 'spread' and c.crossed_at < j.effective_from then j.effective_from else p_now end
        - make_interval(hours => 24 * j.max_age_days) then 'crossing_too_old'
    end,
    case when j.gate is null and j.threshold < j.highest
      then replace(j.subject, ':' || j.threshold || ':', ':' || j.highest || ':') end,
    case j.gate when 'away' then j.away_until end,
    jsonb_strip_nulls(jsonb_build_object('metric', j.metric, 'period', j.period, 'period_start', j.period_start,
      'threshold', j.threshold, 'value', case j.metric when 'hours' then round(j.value / 60.0, 2) else j.value end,
      'away_until', case when j.gate = 'away' then j.away_until end))
  from judged j
  left join lateral (
    select a.subject is not null as is_recorded,
      coalesce(a.crossed_at, private.crossed_milestone_at(
        p_organization_id, j.user_id, j.metric, j.period, j.period_start, j.threshold, coalesce(p_as_of, 'infinity'))) as crossed_at
    from (values (true)) as one
    left join public.achievements a on a.organization_id = p_organization_id and a.user_id = j.user_id and a.subject = j.subject
      and (p_as_of is null or a.recorded_at < p_as_of)
    where j.gate is null
    offset 0
  ) c on true
  where j.gate is null or not p_matched_only;
end;
$$;
comment on function private.milestone_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'The milestone evaluator: for everybody of a range or list, each of these rules of the type, each of its thresholds and periods, whether it is reached, when it was crossed, and whether it is recorded already. Of several reached at once the highest is told. Arguments as private.inactivity_matches (rules.md §3).';
revoke all on function private.milestone_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.milestone_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;
