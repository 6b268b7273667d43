create materialized view private.people_engagement_scores as
select e.* from private.compute_engagement(now()) e;
comment on materialized view private.people_engagement_scores is
  'What private.compute_engagement said at the last refresh, by night. When that was is in private.schedules and not in every row: a refresh writes only rows that differ.';
-- Concurrent refreshes need it.
create unique index people_engagement_scores_person on private.people_engagement_scores (organization_id, person_id);
revoke all on private.people_engagement_scores from public, anon, authenticated, service_role;

create view public.people_engagement_scores with (security_invoker = true) as
select s.* from private.engagement_scores() s;
comment on view public.people_engagement_scores is
  'How engaged each active person of the reader''s organisation is, by parts, as computed at computed_at. Donations are null, and not in the score, for who may not see money.';
revoke all on public.people_engagement_scores from public, anon, authenticated, service_role;
grant select on public.people_engagement_scores to authenticated;
