create view public.activity_dashboard with (security_invoker = true) as
  select s.user_id, s.organization_id, s.period_type, s.period_start, s.period_end, s.total_activities, s.total_duration_minutes,
    s.unique_contacts_reached, s.activity_type_breakdown, s.home_visit_count, s.phone_call_count, s.group_activity_count,
    s.proxy_activity_count, s.last_activity_date, s.streak_days, s.bufdir_eligible_count, s.computed_at,
    private.has_statistics_mark(s.organization_id, s.user_id) as is_being_recomputed
  from public.activity_statistics s;
comment on view public.activity_dashboard is
  'Statistics with their freshness: computed_at, and whether a change still waits to be counted. Everybody sees their own rows, staff their organisation''s.';
revoke all on public.activity_dashboard from public, anon, authenticated, service_role;
grant select on public.activity_dashboard to authenticated, service_role;
