create function private.apply_case_changes(p_organization_id uuid, p_changes private.case_change[], p_now timestamptz) returns private.notification_claim[]
language plpgsql
set search_path = ''
as $$
declare
  v_opened private.notification_claim[];
  v_actions text[] := array(select distinct c.action from unnest(p_changes) as c);
begin
  -- (Without force_custom_plan, here and in whoever calls this: every check of a foreign key would be planned anew, row by row.)
  with opened as (
    insert into public.pastoral_cases (
      organization_id, person_id, priority, assigned_servant_id, notes, absences, absent_since, last_absent_on, opened_at)
    select p_organization_id, c.person_id, c.priority, c.servant_id,
      format('Absent %s times in a row, since %s. Please log a home visit or a phone call.', c.absences, c.absent_since),
      c.absences, c.absent_since, c.last_absent_on, p_now
    from unnest(p_changes) as c
    where c.action = 'open'
    on conflict (organization_id, person_id) where status in ('open', 'in_progress') do nothing
    returning id, person_id, assigned_servant_id, priority, absences, last_absent_on
  )
  select array_agg(private.case_claim(o.id, o.person_id, o.assigned_servant_id, 'opened', o.priority, o.absences, o.last_absent_on))
    into v_opened
  from opened o
  where o.assigned_servant_id is not null;
  -- One statement an action: a case may have to be escalated and given to somebody else at once. None where there is none: on
  -- a first night the planner knows nothing of the table that has just been filled.
  if 'reopen' = any (v_actions) then
    update public.pastoral_cases p
    set status = 'open', priority = c.priority, assigned_servant_id = c.servant_id, absences = c.absences, absent_since = c.absent_since,
        last_absent_on = c.last_absent_on, reopened_at = p_now, escalated_at = null, returned_on = null, closed_at = null,
        untold = case when c.servant_id is not null then 'reopened' end
    from unnest(p_changes) as c
    where c.action = 'reopen' and p.organization_id = p_organization_id and p.id = c.case_id and p.status in ('returned', 'closed');
  end if;
  if 'escalate' = any (v_actions) then
    update public.pastoral_cases p
    set priority = 'urgent', escalated_at = p_now, untold = case when p.assigned_servant_id is not null then 'escalated' end
    from unnest(p_changes) as c
    where c.action = 'escalate' and p.organization_id = p_organization_id and p.id = c.case_id and p.status in ('open', 'in_progress')
      and p.priority = 'normal';
  end if;
  if 'assign' = any (v_actions) then
    update public.pastoral_cases p
    set assigned_servant_id = c.servant_id, untold = case when c.servant_id is not null and p.status <> 'returned' then coalesce(p.untold, 'assigned') end
    from unnest(p_changes) as c
    where c.action = 'assign' and p.organization_id = p_organization_id and p.id = c.case_id and p.status in ('open', 'in_progress', 'returned')
      and p.assigned_servant_id is distinct from c.servant_id;
  end if;
  if 'return' = any (v_actions) then
    update public.pastoral_cases p
    set status = 'returned', returned_on = c.returned_on, untold = null
    from unnest(p_changes) as c
    where c.action = 'return' and p.organization_id = p_organization_id and p.id = c.case_id and p.status in ('open', 'in_progress');
  end if;
  if 'withdraw' = any (v_actions) then
    update public.pastoral_cases p
    set status = 'withdrawn', withdrawn_at = p_now, withdrawn_reason = c.reason, untold = null
    from unnest(p_changes) as c
    where c.action = 'withdraw' and p.organization_id = p_organization_id and p.id = c.case_id and p.status in ('open', 'in_progress', 'returned');
  end if;
  return v_opened;
end;
$$;
comment on function private.apply_case_changes(uuid, private.case_change[], timestamptz) is
  'Writes the changes of private.case_changes and returns what servants are to be told of new cases. What somebody did to a case in the meantime wins.';
revoke all on function private.apply_case_changes(uuid, private.case_change[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.apply_case_changes(uuid, private.case_change[], timestamptz) to service_role;
