create function public.give_back_outbox(p_holder uuid, p_pushes jsonb, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_given_back integer;
begin
  if jsonb_typeof(p_pushes) is distinct from 'array' then
    raise exception using errcode = 'PT400', message = 'pushes_are_not_an_array';
  end if;
  with held as (
    select o.organization_id, o.id
    from private.outbox o
    join jsonb_populate_recordset(null::private.push_outcome, p_pushes) c
      on c.organization_id = o.organization_id and c.outbox_id = o.id and c.lease = o.lease
    where o.holder = p_holder and o.state = 'claimed'
    order by o.organization_id, o.id
    for no key update of o
  ), given as (
    update private.outbox o
    -- Another dispatcher is rung for them at once.
    set state = case when o.attempts > 0 then 'failed' else 'pending' end::public.outbox_state, next_attempt_at = p_now, holder = null, rings = true
    from held h
    where o.organization_id = h.organization_id and o.id = h.id
    returning o.organization_id, o.id
  ), told as (
    insert into private.outbox_history (organization_id, outbox_id, event, at)
    select g.organization_id, g.id, 'given_back', p_now from given g
  )
  select count(*) into v_given_back from given g;
  return jsonb_build_object('given_back', v_given_back);
end;
$$;
comment on function public.give_back_outbox(uuid, jsonb, timestamptz) is
  'Gives back what a holder claimed and has not sent: [{organization_id, outbox_id, lease}]. Due at once, and no attempt. Idempotent; what it no longer has is left alone.';
revoke all on function public.give_back_outbox(uuid, jsonb, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.give_back_outbox(uuid, jsonb, timestamptz) to service_role;
