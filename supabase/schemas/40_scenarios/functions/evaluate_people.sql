create function public.evaluate_people(p_organization_id uuid, p_user_ids uuid[], p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
begin
  return jsonb_build_object(
    'people', coalesce(cardinality(p_user_ids), 0),
    -- No list is nobody; to private.decide it would mean everybody.
    'counts', private.decide_safely(p_organization_id, null, null, coalesce(p_user_ids, '{}'), p_now));
end;
$$;
comment on function public.evaluate_people(uuid, uuid[], timestamptz) is
  'Evaluates these people of one organisation, with all effects. people counts the ids given; those that are not of the organisation are ignored.';
revoke all on function public.evaluate_people(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_people(uuid, uuid[], timestamptz) to service_role;
