create function private.stamp_reactivation() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.reactivated_at := now();
  return new;
end;
$$;
comment on function private.stamp_reactivation() is 'Trigger: a person who becomes active again starts a new spell (rules.md §3, anchor). A date given by the writer wins.';
revoke all on function private.stamp_reactivation() from public, anon, authenticated, service_role;
