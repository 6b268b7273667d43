create function public.log_contact(
  p_case_id uuid, p_kind text, p_outcome text, p_contacted_at timestamptz default now(), p_notes text default '')
returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.lock_case(p_case_id);
  v_contact public.pastoral_contacts;
begin
  insert into public.pastoral_contacts (organization_id, case_id, kind, contacted_by, contacted_at, outcome, notes)
  values (v_organization_id, p_case_id, p_kind, private.current_user_id(), p_contacted_at, p_outcome, coalesce(p_notes, ''))
  returning * into v_contact;
  -- Whoever has asked is at work.
  update public.pastoral_cases c set status = 'in_progress'
  where c.organization_id = v_organization_id and c.id = p_case_id and c.status = 'open';
  return to_jsonb(v_contact);
end;
$$;
-- Definer because nobody writes contacts directly; it touches only a case of the caller's, and signs with their id.
comment on function public.log_contact(uuid, text, text, timestamptz, text) is
  'Whoever works a case logs a home_visit or phone_call of theirs: reached, not_reached or asked_to_be_left_alone. An open case is then in progress. PT404 unknown_case; what is unknown or in the future is refused by name.';
revoke all on function public.log_contact(uuid, text, text, timestamptz, text) from public, anon, authenticated, service_role;
grant execute on function public.log_contact(uuid, text, text, timestamptz, text) to authenticated;
