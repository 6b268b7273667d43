create function public.work_case(p_case_id uuid, p_status public.case_status default null, p_notes text default null) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.lock_case(p_case_id);
  v_case public.pastoral_cases;
  v_allowed public.case_status[];
begin
  select c.* into v_case from public.pastoral_cases c where c.organization_id = v_organization_id and c.id = p_case_id;
  v_allowed := case v_case.status
    when 'open' then '{in_progress,closed}' when 'in_progress' then '{open,closed}' when 'returned' then '{closed}' else '{}' end;
  if p_status <> v_case.status and p_status <> all (v_allowed) then
    raise exception using errcode = 'PT409', message = 'status_cannot_change',
      detail = jsonb_build_object('from', v_case.status, 'to', p_status, 'allowed', v_allowed)::text,
      hint = 'That somebody returned, and that a case should not have been, follows from attendance.';
  end if;
  update public.pastoral_cases c
  set status = coalesce(p_status, c.status), notes = coalesce(p_notes, c.notes),
      closed_at = case when coalesce(p_status, c.status) = 'closed' then coalesce(c.closed_at, now()) end,
      untold = case when p_status = 'closed' then null else c.untold end
  where c.organization_id = v_case.organization_id and c.id = v_case.id
  returning c.* into v_case;
  if p_status = 'closed' then
    perform private.retract_case_news(v_case.organization_id, array[v_case.id], now());
  end if;
  return jsonb_build_object('case_id', v_case.id, 'status', v_case.status, 'notes', v_case.notes, 'closed_at', v_case.closed_at);
end;
$$;
-- Definer because nobody writes cases directly; it touches only a case of the caller's (private.lock_case).
comment on function public.work_case(uuid, public.case_status, text) is
  'The servant of a case, or an admin, changes its status (open, in_progress, closed) or its notes; null leaves either as it is. PT404 unknown_case, PT409 status_cannot_change with what is allowed.';
revoke all on function public.work_case(uuid, public.case_status, text) from public, anon, authenticated, service_role;
grant execute on function public.work_case(uuid, public.case_status, text) to authenticated;
