create function private.mark_care() returns trigger
language plpgsql security definer
set search_path = ''
-- Of its own: the statements that fire it are planned anew each time, and each mark with them would take longer than all the rest.
set plan_cache_mode = auto
as $$
begin
  perform private.mark_people_for_care(array[new.organization_id], array[new.id]);
  return null;
end;
$$;
-- Definer because whoever changes a person may not see marks.
comment on function private.mark_care() is
  'Trigger on public.people: whoever is now at risk, or no longer, or has left, or has been absent six times, may need another case.';
revoke all on function private.mark_care() from public, anon, authenticated, service_role;
