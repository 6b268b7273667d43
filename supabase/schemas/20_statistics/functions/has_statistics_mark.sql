create function private.has_statistics_mark(p_organization_id uuid, p_user_id uuid) returns boolean
language sql stable security definer
set search_path = ''
as $$
  select exists (
    select from private.statistics_marks m where m.organization_id = p_organization_id and m.user_id = p_user_id);
$$;
-- Definer because readers of statistics may not see marks; it tells one bit, and the view that asks shows only rows the reader may read.
comment on function private.has_statistics_mark(uuid, uuid) is 'Whether a change of this person''s activities still waits to be counted.';
revoke all on function private.has_statistics_mark(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.has_statistics_mark(uuid, uuid) to authenticated, service_role;
