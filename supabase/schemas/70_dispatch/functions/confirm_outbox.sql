create function public.confirm_outbox(
  p_holder uuid, p_pushes jsonb, p_lease_seconds integer default 60, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_pushes private.outbox[];
  v_releases private.push_release[];
begin
  if jsonb_typeof(p_pushes) is distinct from 'array' then
    raise exception using errcode = 'PT400', message = 'pushes_are_not_an_array';
  end if;
  v_pushes := array(
    select o from private.outbox o
    join jsonb_populate_recordset(null::private.push_outcome, p_pushes) c
      on c.organization_id = o.organization_id and c.outbox_id = o.id and c.lease = o.lease
    where o.holder = p_holder and o.state = 'claimed'
    order by o.organization_id, o.id
    for no key update of o);
  update private.outbox o
  set next_attempt_at = greatest(o.next_attempt_at, p_now + make_interval(secs => p_lease_seconds))
  from unnest(v_pushes) as p
  where o.organization_id = p.organization_id and o.id = p.id;
  v_releases := array(select r from private.release_pushes(v_pushes, p_now) r);
  return jsonb_build_object('held', private.hold_pushes(v_releases, p_now),
    'going', to_jsonb(array(select r.id from unnest(v_releases) as r where r.gate is null)));
end;
$$;
comment on function public.confirm_outbox(uuid, jsonb, integer, timestamptz) is
  'Judges once more what a holder claimed a while ago and is about to send: [{organization_id, outbox_id, lease}]. Returns {going: [outbox_id], held: {"gate": n}}: what is not in going is not to be sent, being held or no longer the holder''s. Renews the lease.';
revoke all on function public.confirm_outbox(uuid, jsonb, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.confirm_outbox(uuid, jsonb, integer, timestamptz) to service_role;
