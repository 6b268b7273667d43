create function private.mark_statistics_of_activities() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  -- As private.mark_statistics does, without its arrays: this is what every writer pays.
  v_rings boolean := coalesce(current_setting('attend.statistics_bell', true), '') <> 'requested';
begin
  -- Both sides of a move. Each branch names only the transition tables its event has.
  if tg_op = 'INSERT' then
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, v_rings and row_number() over () = 1
    from (select distinct n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed') c;
  elsif tg_op = 'DELETE' then
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, v_rings and row_number() over () = 1
    from (select distinct o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date as day
          from old_rows o where o.status = 'completed') c;
  else
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, v_rings and row_number() over () = 1
    from (select n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed'
          union
          select o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date
          from old_rows o where o.status = 'completed') c;
  end if;
  if found and v_rings then
    perform set_config('attend.statistics_bell', 'requested', true);
  end if;
  return null;
end;
$$;
-- Definer because whoever writes activities, or deletes what they hang on, may not see marks.
comment on function private.mark_statistics_of_activities() is 'Trigger: marks the days of completed activities that a statement made, changed or removed.';
revoke all on function private.mark_statistics_of_activities() from public, anon, authenticated, service_role;
