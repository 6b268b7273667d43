create function private.keep_user_history() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into private.user_history (organization_id, user_id, role, is_active, joined_at, reactivated_at, away_from, away_until, time_zone)
  values (old.organization_id, old.id, old.role, old.is_active, old.joined_at, old.reactivated_at, old.away_from, old.away_until, old.time_zone);
  return null;
end;
$$;
-- Definer because people change themselves and may not write history.
comment on function private.keep_user_history() is 'Trigger on public.users: keeps what the rules read of a person as it stood until now.';
revoke all on function private.keep_user_history() from public, anon, authenticated, service_role;
