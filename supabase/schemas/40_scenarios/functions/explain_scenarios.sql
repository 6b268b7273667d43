create function public.explain_scenarios(p_organization_id uuid, p_user_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  if not exists (select from public.users u where u.organization_id = p_organization_id and u.id = p_user_id) then
    raise exception using errcode = 'PT404', message = 'unknown_user',
      detail = jsonb_build_object('organization_id', p_organization_id, 'user_id', p_user_id)::text;
  end if;
  return private.explanations(p_organization_id, null, null, array[p_user_id], p_now);
end;
$$;
comment on function public.explain_scenarios(uuid, uuid, timestamptz) is
  'Why a person would or would not be told something at p_now, on the facts as they are now, matched or not: one row per rule with its gate and the values compared.';
revoke all on function public.explain_scenarios(uuid, uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.explain_scenarios(uuid, uuid, timestamptz) to service_role;
