create function private.tell_servants(
  p_organization_id uuid, p_person_ids uuid[], p_opened private.notification_claim[], p_now timestamptz)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_claims private.notification_claim[];
  v_outcomes private.claim_outcome[];
begin
  v_claims := p_opened || array(
    select private.case_claim(c.id, c.person_id, c.assigned_servant_id, c.untold, c.priority, p.consecutive_absences, c.last_absent_on)
    from public.pastoral_cases c
    join public.people p on p.organization_id = c.organization_id and p.id = c.person_id
    where c.organization_id = p_organization_id and c.untold is not null and (p_person_ids is null or c.person_id = any (p_person_ids))
      and c.status in ('open', 'in_progress') and c.assigned_servant_id is not null
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
comment on function private.tell_servants(uuid, uuid[], private.notification_claim[], timestamptz) is
  'Tells servants what they have not been told of their cases, p_opened being claims of new ones, by the engine''s claim: preference, cooldown of 14 days, cap, quiet hours, outbox. Returns {"pastoral_case": {"outcome": n}}.';
revoke all on function private.tell_servants(uuid, uuid[], private.notification_claim[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.tell_servants(uuid, uuid[], private.notification_claim[], timestamptz) to service_role;
