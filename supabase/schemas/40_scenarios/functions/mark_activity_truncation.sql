create function private.mark_activity_truncation() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
begin
  -- Truncate tells nobody which rows there were, so everybody is marked.
  select array_agg(u.organization_id), array_agg(u.id) into v_organization_ids, v_user_ids from public.users u;
  perform private.mark_people(v_organization_ids, v_user_ids);
  return null;
end;
$$;
-- Definer because whoever truncates may not see marks.
comment on function private.mark_activity_truncation() is 'Trigger: marks everybody when activities or their contacts are truncated.';
revoke all on function private.mark_activity_truncation() from public, anon, authenticated, service_role;
