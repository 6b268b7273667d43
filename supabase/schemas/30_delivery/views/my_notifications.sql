create view public.my_notifications with (security_invoker = true) as
select n.organization_id, n.id, n.user_id, n.scenario,
  case when n.dismissed_at is not null then 'dismissed' when n.read_at is not null then 'read' else 'unread' end as state,
  -- Asked for each column and row, so that a page costs its own rows and not the whole list.
  (select coalesce(r.title, r.default_title) from private.rendered_notifications(array[n.organization_id], array[n.id]) r) as title,
  (select coalesce(r.body, r.default_body) from private.rendered_notifications(array[n.organization_id], array[n.id]) r) as body,
  n.context, n.about_user_id, n.triggered_at, n.created_at, n.read_at, n.dismissed_at
from public.notifications n
where n.retracted_at is null;
comment on view public.my_notifications is
  'The in-app list of whoever asks, in their words: unread, read or dismissed (set read_at and dismissed_at in public.notifications). What was taken back is not in it. The service sees everybody''s.';
revoke all on public.my_notifications from public, anon, authenticated, service_role;
grant select on public.my_notifications to authenticated, service_role;
