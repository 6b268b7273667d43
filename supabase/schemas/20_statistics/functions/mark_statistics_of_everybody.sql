create function private.mark_statistics_of_everybody() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- Truncate tells nobody which rows there were.
  perform private.mark_statistics(array_agg(u.organization_id), array_agg(u.id), array_agg(null::date)) from public.users u;
  return null;
end;
$$;
-- Definer because whoever truncates may not see marks.
comment on function private.mark_statistics_of_everybody() is 'Trigger: marks every day of everybody when activities or their contacts are truncated.';
revoke all on function private.mark_statistics_of_everybody() from public, anon, authenticated, service_role;
