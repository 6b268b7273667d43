create function private.start_statistics() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into public.activity_statistics (organization_id, user_id, period_type)
  select n.organization_id, n.id, 'all_time' from new_rows n
  on conflict do nothing;
  return null;
end;
$$;
-- Definer because whoever adds people need not be allowed to write statistics.
comment on function private.start_statistics() is 'Trigger: a person''s all_time row exists from the moment the person does, zeroed.';
revoke all on function private.start_statistics() from public, anon, authenticated, service_role;
