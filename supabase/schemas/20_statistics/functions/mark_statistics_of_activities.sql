create function private.mark_statistics_of_activities() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_days date[];
begin
  -- Both sides of a move. Each branch names only the transition tables its event has.
  if tg_op = 'INSERT' then
    select array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day) into v_organization_ids, v_user_ids, v_days
    from (select distinct n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed') c;
  elsif tg_op = 'DELETE' then
    select array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day) into v_organization_ids, v_user_ids, v_days
    from (select distinct o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date as day
          from old_rows o where o.status = 'completed') c;
  else
    select array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day) into v_organization_ids, v_user_ids, v_days
    from (select n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed'
          union
          select o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date
          from old_rows o where o.status = 'completed') c;
  end if;
  perform private.mark_statistics(v_organization_ids, v_user_ids, v_days);
  return null;
end;
$$;
-- Definer because whoever writes activities, or deletes what they hang on, may not see marks.
comment on function private.mark_statistics_of_activities() is 'Trigger: marks the days of completed activities that a statement made, changed or removed.';
revoke all on function private.mark_statistics_of_activities() from public, anon, authenticated, service_role;
