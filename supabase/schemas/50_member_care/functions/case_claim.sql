create function private.case_claim(
  p_case_id uuid, p_person_id uuid, p_servant_id uuid, p_event text, p_priority public.case_priority, p_absences integer, p_last_absent_on date)
returns private.notification_claim
language sql stable parallel safe
set search_path = ''
begin atomic
  -- A cooldown is one of the person asked after, not of the case: who is corrected to and fro is told of once. The sixth absence
  -- is news of its own. Urgent goes before whatever a rule says by default, and both before a milestone.
  select row(p_servant_id, 'pastoral_case', p_person_id || case when p_event = 'escalated' then ':urgent' else '' end, null, 14,
    p_last_absent_on::timestamp at time zone 'UTC',
    jsonb_build_object('case_id', p_case_id, 'person_id', p_person_id, 'event', p_event, 'priority', p_priority, 'absences', p_absences),
    null, case p_priority when 'urgent' then 300 else 200 end, false, false)::private.notification_claim;
end;
comment on function private.case_claim(uuid, uuid, uuid, text, public.case_priority, integer, date) is
  'The wish to tell a servant of a case: opened, reopened, escalated or assigned.';
revoke all on function private.case_claim(uuid, uuid, uuid, text, public.case_priority, integer, date) from public, anon, authenticated, service_role;
grant execute on function private.case_claim(uuid, uuid, uuid, text, public.case_priority, integer, date) to service_role;
