create function private.mark_statistics_of_activities() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- This is what every writer pays, so there are no arrays and no numbering: the first mark takes the bell, and a setting tells
  -- the others that it is taken. The setting is local, so a rollback to a savepoint that takes the mark takes it too.
  -- In the order of the key, which a sort finds as fast as a hash: what follows in the index lies together.
  -- Both sides of a move. Each branch names only the transition tables its event has.
  if tg_op = 'INSERT' then
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, case when current_setting('attend.statistics_bell', true) = 'requested' then false
      else set_config('attend.statistics_bell', 'requested', true) = 'requested' end
    from (select distinct n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed'
          order by user_id, day, organization_id) c;
  elsif tg_op = 'DELETE' then
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, case when current_setting('attend.statistics_bell', true) = 'requested' then false
      else set_config('attend.statistics_bell', 'requested', true) = 'requested' end
    from (select distinct o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date as day
          from old_rows o where o.status = 'completed'
          order by user_id, day, organization_id) c;
  else
    insert into private.statistics_marks (organization_id, user_id, day, rings)
    select c.organization_id, c.user_id, c.day, case when current_setting('attend.statistics_bell', true) = 'requested' then false
      else set_config('attend.statistics_bell', 'requested', true) = 'requested' end
    from (select n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed'
          union
          select o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date
          from old_rows o where o.status = 'completed'
          order by user_id, day, organization_id) c;
  end if;
  return null;
end;
$$;
-- Definer because whoever writes activities, or deletes what they hang on, may not see marks.
comment on function private.mark_statistics_of_activities() is 'Trigger: marks the days of completed activities that a statement made, changed or removed.';
revoke all on function private.mark_statistics_of_activities() from public, anon, authenticated, service_role;
