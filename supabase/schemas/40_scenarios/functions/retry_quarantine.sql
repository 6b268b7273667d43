create function public.retry_quarantine(p_organization_id uuid, p_user_id uuid default null, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_user_ids uuid[];
begin
  with released as (
    delete from private.quarantine q
    where q.organization_id = p_organization_id and (p_user_id is null or q.user_id = p_user_id)
    returning q.user_id
  )
  select array_agg(r.user_id) into v_user_ids from released r;
  if v_user_ids is null then
    raise exception using errcode = 'PT404', message = 'not_in_quarantine',
      detail = jsonb_build_object('organization_id', p_organization_id, 'user_id', p_user_id)::text,
      hint = 'list_quarantine says who is.';
  end if;
  return jsonb_build_object('people', cardinality(v_user_ids),
    'counts', private.decide_safely(p_organization_id, null, null, v_user_ids, p_now));
end;
$$;
comment on function public.retry_quarantine(uuid, uuid, timestamptz) is
  'Evaluates one person of the quarantine, or all of an organisation, again; who fails again is back in it. PT404 not_in_quarantine.';
revoke all on function public.retry_quarantine(uuid, uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.retry_quarantine(uuid, uuid, timestamptz) to service_role;
