create function private.engagement_scores()
returns table (
  organization_id uuid, person_id uuid, score numeric, attendance_90d integer, active_groups integer, volunteering_90d integer,
  classes_90d integer, donations_90d numeric, attendance_part numeric, groups_part numeric, volunteering_part numeric,
  classes_part numeric, donations_part numeric, computed_at timestamptz)
language plpgsql stable security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_organization_id constant uuid := private.organization_as('{servant,coordinator,manager,admin}');
  v_sees_money constant boolean := private.organization_as('{manager,admin}') is not null;
  v_computed_at constant timestamptz := (
    select (s.last_result ->> 'computed_at')::timestamptz from private.schedules s where s.name = 'engagement-scores');
begin
  return query
  select e.organization_id, e.person_id, case when v_sees_money then e.score else e.score_without_donations end,
    e.attendance_90d, e.active_groups, e.volunteering_90d, e.classes_90d, case when v_sees_money then e.donations_90d end,
    e.attendance_part, e.groups_part, e.volunteering_part, e.classes_part, case when v_sees_money then e.donations_part end,
    v_computed_at
  from private.people_engagement_scores e
  where e.organization_id = v_organization_id;
end;
$$;
-- Definer because a materialized view carries no policies and stays private; it gives the caller's organisation, to staff, and money to managers and admins.
comment on function private.engagement_scores() is
  'The scores of the reader''s organisation. Who may not see money gets the score without it, for weights and parts would tell it.';
revoke all on function private.engagement_scores() from public, anon, authenticated, service_role;
grant execute on function private.engagement_scores() to authenticated;
