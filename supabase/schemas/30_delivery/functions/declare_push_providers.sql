create function public.declare_push_providers(p_names text[]) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_new text[];
begin
  if exists (select from unnest(p_names) as n (name) where n.name ~ '^[a-z][a-z0-9_]{0,30}$' is not true) then
    raise exception using errcode = 'PT400', message = 'malformed_provider_name',
      detail = jsonb_build_object('names', p_names, 'expected', '1 to 31 of a-z, 0-9 and _, the first a letter')::text;
  end if;
  with added as (
    insert into private.push_providers (name) select distinct unnest(p_names) on conflict do nothing returning name
  )
  select coalesce(array_agg(a.name order by a.name), '{}') into v_new from added a;
  return jsonb_build_object('new', v_new);
end;
$$;
comment on function public.declare_push_providers(text[]) is
  'Says which push services a dispatcher has, so that devices may have their tokens; each does at its start. Idempotent; none is taken away, as devices may have its tokens. Returns {new}. PT400 malformed_provider_name.';
revoke all on function public.declare_push_providers(text[]) from public, anon, authenticated, service_role;
grant execute on function public.declare_push_providers(text[]) to service_role;
