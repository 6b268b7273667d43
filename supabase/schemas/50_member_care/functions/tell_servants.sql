create function private.tell_servants(p_organization_id uuid, p_person_ids uuid[], p_opened uuid[], p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_case_ids uuid[] := p_opened || array(
    select c.id from public.pastoral_cases c
    where c.organization_id = p_organization_id and c.untold is not null and (p_person_ids is null or c.person_id = any (p_person_ids)));
  v_claims private.notification_claim[];
  v_outcomes private.claim_outcome[];
begin
  if v_case_ids = '{}' then
    return '{}';
  end if;
  -- A cooldown is one of the person asked after, not of the case: who is corrected to and fro is told of once. The sixth absence
  -- is news of its own. Urgent goes before whatever a rule says by default, and both before a milestone.
  v_claims := array(
    select row(c.assigned_servant_id, 'pastoral_case', c.person_id || case when c.untold = 'escalated' then ':urgent' else '' end,
      null, 14, c.last_absent_on::timestamp at time zone 'UTC',
      jsonb_build_object('case_id', c.id, 'person_id', c.person_id, 'event', coalesce(c.untold, 'opened'), 'priority', c.priority, 'absences', p.consecutive_absences),
      null, case c.priority when 'urgent' then 300 else 200 end, false, false)::private.notification_claim
    from public.pastoral_cases c
    join public.people p on p.organization_id = c.organization_id and p.id = c.person_id
    where c.organization_id = p_organization_id and c.id = any (v_case_ids) and c.status in ('open', 'in_progress')
      and c.assigned_servant_id is not null
    -- Another generator is telling of it this moment.
    for no key update of c skip locked);
  if v_claims = '{}' then
    return '{}';
  end if;
  v_outcomes := array(select o from private.claim_notifications(p_organization_id, v_claims, p_now) o);
  -- A full day ends: whoever could not be told is tried again by the next run.
  update public.pastoral_cases c
  set untold = case when o.outcome = 'capped' then coalesce(c.untold, 'opened') end
  from unnest(v_outcomes) as o
  where c.organization_id = p_organization_id and c.person_id = left(o.subject, 36)::uuid and c.status in ('open', 'in_progress')
    and (o.outcome = 'capped') <> (c.untold is not null);
  return private.count_outcomes(v_outcomes);
end;
$$;
comment on function private.tell_servants(uuid, uuid[], uuid[], timestamptz) is
  'Tells servants what they have not been told of their cases, p_opened being new ones, by the engine''s claim: preference, cooldown of 14 days, cap, quiet hours, outbox. Returns {"pastoral_case": {"outcome": n}}.';
revoke all on function private.tell_servants(uuid, uuid[], uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.tell_servants(uuid, uuid[], uuid[], timestamptz) to service_role;
