create function private.milestone_candidates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_rules private.scenario_rule[], p_now timestamptz)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select array_agg(c.user_id)
    from (
      select s.user_id
      from unnest(p_rules) r
      cross join lateral private.milestone_periods(r.period, r.max_age_days, p_now) p
      cross join lateral (select min(t) as threshold from unnest(r.thresholds) t) lowest
      join public.activity_statistics s on s.organization_id = p_organization_id
        and s.period_type = p.period::public.statistics_period and s.period_start is not distinct from p.period_start
        and case r.metric when 'sessions' then s.total_activities when 'contacts' then s.unique_contacts_reached
          else s.total_duration_minutes / 60 end >= lowest.threshold
      where r.type = 'milestone' and r.is_enabled
        and (p_from_user is null or s.user_id >= p_from_user) and (p_to_user is null or s.user_id < p_to_user)
      union
      select m.user_id
      from private.statistics_marks m
      where m.organization_id = p_organization_id
        and (p_from_user is null or m.user_id >= p_from_user) and (p_to_user is null or m.user_id < p_to_user)
    ) c);
end;
$$;
comment on function private.milestone_candidates(uuid, uuid, uuid, private.scenario_rule[], timestamptz) is
  'Everybody of a range who has reached a milestone of these rules, and those whose figures may be stale.';
revoke all on function private.milestone_candidates(uuid, uuid, uuid, private.scenario_rule[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.milestone_candidates(uuid, uuid, uuid, private.scenario_rule[], timestamptz) to service_role;
