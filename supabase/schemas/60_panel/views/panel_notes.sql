create view mgmt.panel_notes with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select n.student_id, n.id, n.kind, n.body, n.created_at, u.full_name as author_name,
  coalesce(n.author_id = (select private.current_user_id()), false) as is_own
from public.student_notes n
left join public.users u on u.organization_id = n.organization_id and u.id = n.author_id
where n.organization_id = (select r.organization_id from reader r)
order by n.created_at desc, n.id;
comment on view mgmt.panel_notes is
  'The panel''s page: notes of students with their authors'' names, the newest first; author_name is null where the author is erased.';
revoke all on mgmt.panel_notes from public, anon, authenticated, service_role;
grant select on mgmt.panel_notes to authenticated;
