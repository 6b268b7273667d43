create function public.reassign_case(p_case_id uuid, p_servant_id uuid) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_as('{admin}');
  v_case public.pastoral_cases;
  v_servant public.users;
begin
  if v_organization_id is null then
    raise exception using errcode = '42501', message = 'only_admins_reassign', hint = 'Sign in as an active admin of the organisation.';
  end if;
  perform private.lock_case(p_case_id);
  select c.* into v_case from public.pastoral_cases c where c.organization_id = v_organization_id and c.id = p_case_id;
  if v_case.status not in ('open', 'in_progress', 'returned') then
    raise exception using errcode = 'PT409', message = 'case_is_done', detail = jsonb_build_object('status', v_case.status)::text;
  end if;
  select u.* into v_servant from public.users u where u.organization_id = v_organization_id and u.id = p_servant_id;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_servant', detail = jsonb_build_object('servant_id', p_servant_id)::text,
      hint = 'Pass somebody of this organisation.';
  elsif not v_servant.is_active then
    raise exception using errcode = 'PT409', message = 'servant_has_left', detail = jsonb_build_object('servant_id', p_servant_id)::text;
  elsif v_servant.role = 'peer_mentor' then
    raise exception using errcode = 'PT409', message = 'not_a_servant',
      detail = jsonb_build_object('servant_id', p_servant_id, 'role', v_servant.role)::text;
  end if;
  if v_case.assigned_servant_id is distinct from p_servant_id then
    update public.pastoral_cases c
    set assigned_servant_id = p_servant_id, untold = case when c.status <> 'returned' then 'assigned' end
    where c.organization_id = v_organization_id and c.id = v_case.id;
    perform private.retract_case_news(v_organization_id, array[v_case.id], now());
    -- Told by whoever answers the bell, which this rings: telling locks the servant, and they may be in the middle of something.
    perform private.mark_people_for_care(array[v_organization_id], array[v_case.person_id]);
  end if;
  return jsonb_build_object('case_id', v_case.id, 'assigned_servant_id', p_servant_id);
end;
$$;
-- Definer because nobody writes cases directly; it checks that the caller is an admin and touches only their organisation.
comment on function public.reassign_case(uuid, uuid) is
  'An admin gives a case to somebody (else) of the organisation, who is told. PT404 unknown_case, unknown_servant; PT409 servant_has_left, not_a_servant, case_is_done.';
revoke all on function public.reassign_case(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function public.reassign_case(uuid, uuid) to authenticated;
