create view mgmt.panel_reader with (security_invoker = true) as
select o.name as organization_name, u.full_name as reader_name, r.time_zone, r.session_target, now() as read_at
from private.panel_settings() r
join public.organizations o on o.id = r.organization_id
join public.users u on u.organization_id = r.organization_id and u.id = (select private.current_user_id());
comment on view mgmt.panel_reader is
  'The panel''s page: who reads it, of which organisation, in which time zone, and how many visits count fully for the score. One row.';
revoke all on mgmt.panel_reader from public, anon, authenticated, service_role;
grant select on mgmt.panel_reader to authenticated;
