create function public.record_outbox(
  p_holder uuid, p_outcomes jsonb, p_now timestamptz default now(), p_max_attempts integer default 8,
  p_first_retry_seconds integer default 30, p_longest_retry_seconds integer default 3600)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_outcomes private.push_outcome[] := private.push_outcomes(p_outcomes, false);
  v_organization_ids uuid[];
  v_ids uuid[];
  v_retry_after double precision[];
  v_lost uuid[];
  v_deactivated integer := 0;
  v_states jsonb := '{}';
begin
  -- In the order of the key, as whoever takes back: locks are never waited for in a circle.
  with held as (
    select o.organization_id, o.id, o.lease
    from private.outbox o
    where (o.organization_id, o.id, o.lease) in (select c.organization_id, c.outbox_id, c.lease from unnest(v_outcomes) as c)
      and o.holder = p_holder and o.state = 'claimed'
    order by o.organization_id, o.id
    for no key update
  )
  select array_agg(h.organization_id order by h.organization_id, h.id), array_agg(h.id order by h.organization_id, h.id),
      array_agg(r.retry_after order by h.organization_id, h.id)
    into v_organization_ids, v_ids, v_retry_after
  from held h
  cross join lateral (
    select max(c.retry_after) as retry_after from unnest(v_outcomes) as c
    where c.organization_id = h.organization_id and c.outbox_id = h.id and c.verdict = 'retry') r;
  -- What this very lease recorded before, an answer having been lost on the way, is neither recorded again nor lost.
  v_lost := array(
    select distinct c.outbox_id from unnest(v_outcomes) as c
    where (c.outbox_id = any (v_ids)) is not true and not exists (
      select from private.outbox o
      where o.organization_id = c.organization_id and o.id = c.outbox_id and o.holder = p_holder and o.lease = c.lease));
  if v_ids is not null then
    v_deactivated := private.keep_outcomes(array(select c from unnest(v_outcomes) as c where c.outbox_id = any (v_ids)), p_now);
    v_states := private.settle_pushes(v_organization_ids, v_ids, v_retry_after, 1, p_now,
      p_max_attempts, p_first_retry_seconds, p_longest_retry_seconds);
  end if;
  return jsonb_build_object('recorded', coalesce(cardinality(v_ids), 0), 'states', v_states, 'deactivated', v_deactivated, 'lost', to_jsonb(v_lost));
end;
$$;
comment on function public.record_outbox(uuid, jsonb, timestamptz, integer, integer, integer) is
  'Records what providers said, all devices of a push in one call: [{organization_id, outbox_id, lease, device_id, verdict: sent | device_gone | retry | refused, provider_id, reason, retry_after, awaits_receipt}]. Only for pushes that the holder still has by that lease: the others are in lost. Repeating a call changes nothing. Returns {recorded, states, deactivated, lost}.';
revoke all on function public.record_outbox(uuid, jsonb, timestamptz, integer, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.record_outbox(uuid, jsonb, timestamptz, integer, integer, integer) to service_role;
