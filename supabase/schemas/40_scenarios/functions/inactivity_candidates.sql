create function private.inactivity_candidates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_quiet_since timestamptz)
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
      from public.activity_statistics s
      where s.organization_id = p_organization_id and s.period_type = 'all_time'
        and s.last_activity_date <= p_quiet_since
        and (p_from_user is null or s.user_id >= p_from_user) and (p_to_user is null or s.user_id < p_to_user)
      union
      -- Apart, because no index answers "or" by itself.
      select s.user_id
      from public.activity_statistics s
      where s.organization_id = p_organization_id and s.period_type = 'all_time' and s.last_activity_date is null
        and (p_from_user is null or s.user_id >= p_from_user) and (p_to_user is null or s.user_id < p_to_user)
      union
      -- Whose row may be stale is looked at in any case.
      select m.user_id
      from private.statistics_marks m
      where m.organization_id = p_organization_id
        and (p_from_user is null or m.user_id >= p_from_user) and (p_to_user is null or m.user_id < p_to_user)
    ) c);
end;
$$;
comment on function private.inactivity_candidates(uuid, uuid, uuid, timestamptz) is
  'Everybody of a range who may have been inactive since p_quiet_since, and few others: read from covering indexes alone, so that a sweep looks closer at few.';
revoke all on function private.inactivity_candidates(uuid, uuid, uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.inactivity_candidates(uuid, uuid, uuid, timestamptz) to service_role;
