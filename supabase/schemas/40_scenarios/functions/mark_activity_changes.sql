create function private.mark_activity_changes() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
begin
  -- Both sides of a move. Each branch names only the transition tables its event has.
  if tg_op = 'INSERT' then
    select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
    from (select distinct n.organization_id, n.user_id from new_rows n) c;
  elsif tg_op = 'DELETE' then
    select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
    from (select distinct o.organization_id, o.user_id from old_rows o) c;
  else
    select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
    from (select n.organization_id, n.user_id from new_rows n
          union
          select o.organization_id, o.user_id from old_rows o) c;
  end if;
  perform private.mark_people(v_organization_ids, v_user_ids);
  return null;
end;
$$;
-- Definer because whoever writes activities, or deletes what they hang on, may not see marks.
comment on function private.mark_activity_changes() is 'Trigger: marks everybody whose activities a statement changed.';
revoke all on function private.mark_activity_changes() from public, anon, authenticated, service_role;
