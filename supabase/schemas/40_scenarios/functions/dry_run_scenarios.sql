create function public.dry_run_scenarios(
  p_organization_id uuid, p_now timestamptz default now(), p_after_user uuid default null, p_limit integer default 500)
returns jsonb
language plpgsql stable
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_ids uuid[];
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 10000)::text;
  end if;
  if not exists (select from public.organizations o where o.id = p_organization_id) then
    raise exception using errcode = 'PT404', message = 'unknown_organization',
      detail = jsonb_build_object('organization_id', p_organization_id)::text;
  end if;
  select array_agg(p.id) into v_ids
  from (
    select u.id from public.users u
    where u.organization_id = p_organization_id and (p_after_user is null or u.id > p_after_user)
    order by u.id limit p_limit
  ) p;
  if v_ids is null then
    return '[]';
  end if;
  return private.explanations(p_organization_id, null, null, v_ids, p_now);
end;
$$;
comment on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer) is
  'What an evaluation at p_now would do, on the facts as they are now, without effects: one row per person and rule with its gate, for the p_limit people after p_after_user. Page until []. One JSON value, so no row limit of the API cuts it.';
revoke all on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer) to service_role;
