create function private.mark_statistics_of_contacts() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_activity_ids uuid[];
  v_user_ids uuid[];
  v_days date[];
begin
  if tg_op = 'INSERT' then
    select array_agg(n.organization_id), array_agg(n.activity_id) into v_organization_ids, v_activity_ids from new_rows n;
  elsif tg_op = 'DELETE' then
    select array_agg(o.organization_id), array_agg(o.activity_id) into v_organization_ids, v_activity_ids from old_rows o;
  else
    select array_agg(c.organization_id), array_agg(c.activity_id) into v_organization_ids, v_activity_ids
    from (select n.organization_id, n.activity_id from new_rows n
          union all
          select o.organization_id, o.activity_id from old_rows o) c;
  end if;
  -- An activity that is gone marked its day itself.
  select array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day) into v_organization_ids, v_user_ids, v_days
  from (
    select distinct l.organization_id, l.user_id, (l.occurred_at at time zone 'UTC')::date as day
    from (
      select a.organization_id, a.user_id, a.occurred_at, a.status
      from (select distinct u.organization_id, u.activity_id
            from unnest(v_organization_ids, v_activity_ids) as u (organization_id, activity_id)) x
      join public.activities a on a.organization_id = x.organization_id and a.id = x.activity_id
      order by x.organization_id, x.activity_id
      -- Locks every one, completed or not (offset 0 keeps the condition outside): so it waits for whoever moves or completes
      -- the activity, and sees what became of it. The reference itself locks only the key.
      offset 0
      for share of a
    ) l
    where l.status = 'completed'
  ) c;
  perform private.mark_statistics(v_organization_ids, v_user_ids, v_days);
  return null;
end;
$$;
-- Definer because whoever writes contacts of activities may not see marks.
comment on function private.mark_statistics_of_contacts() is 'Trigger: marks the days of activities whose contacts a statement changed.';
revoke all on function private.mark_statistics_of_contacts() from public, anon, authenticated, service_role;
