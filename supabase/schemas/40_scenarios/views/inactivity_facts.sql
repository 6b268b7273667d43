create view private.inactivity_facts with (security_invoker = true) as
  select u.organization_id, u.id as user_id, u.role, u.is_active, u.away_from, u.away_until, activity.last_activity_at,
    greatest(activity.last_activity_at, u.joined_at, u.reactivated_at) as anchor_at
  from public.users u
  left join public.activity_statistics s
    on s.organization_id = u.organization_id and s.user_id = u.id and s.period_type = 'all_time'
  cross join lateral (
    -- Nobody is decided on stale aggregates: whoever has a mark waiting, or no row yet, is looked up in the activities.
    select case
      when s.user_id is null
        or exists (select from private.statistics_marks m where m.organization_id = u.organization_id and m.user_id = u.id)
      then (select a.occurred_at from public.activities a
            where a.organization_id = u.organization_id and a.user_id = u.id and a.status = 'completed'
            order by a.occurred_at desc limit 1)
      else s.last_activity_date
    end as last_activity_at
  ) activity;
comment on view private.inactivity_facts is
  'What the inactivity scenario knows of each person, right at this moment whatever still waits to be recomputed. anchor_at: latest of the last completed activity, joined_at and reactivated_at; a past away_until is the reader''s to add, who has the clock.';
revoke all on private.inactivity_facts from public, anon, authenticated, service_role;
grant select on private.inactivity_facts to service_role;
