-- The engagement panel (rules.md §5): what managers look at every morning.

create schema if not exists mgmt;
comment on schema mgmt is 'Attend: the engagement panel. Views for managers, read with their own token through the API; nothing else stands here.';
revoke all on schema mgmt from public, anon, authenticated, service_role;
grant usage on schema mgmt to authenticated;

create type private.panel_settings as (
  organization_id uuid,
  time_zone text,
  session_target integer,
  stuck_after interval,
  weekly_lessons integer,
  pass_score integer
);
comment on type private.panel_settings is 'Whose panel it is, and by which settings.';
