create view mgmt.panel_followups with (security_invoker = true) as
with reader as materialized (select p.* from private.panel_settings() p)
select n.student_id, count(*)::integer as notes, max(n.created_at) as noted_at,
  max(n.created_at) filter (where n.kind = 'contacted') as contacted_at
from public.student_notes n
where n.organization_id = (select r.organization_id from reader r)
group by n.student_id;
comment on view mgmt.panel_followups is
  'The panel''s page: of each student with notes how many there are, when the latest was written, and when somebody last spoke with them.';
revoke all on mgmt.panel_followups from public, anon, authenticated, service_role;
grant select on mgmt.panel_followups to authenticated;
