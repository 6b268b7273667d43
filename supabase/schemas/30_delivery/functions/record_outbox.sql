create function public.record_outbox(
  p_holder uuid, p_outcomes jsonb, p_now timestamptz default now(), p_max_attempts integer default 8,
  p_first_retry_seconds integer default 30, p_longest_retry_seconds integer default 3600)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
as $$
declare
  v_outcomes private.push_outcome[] := private.push_outcomes(p_outcomes, false);
  v_organization_ids uuid[];
  v_ids uuid[];
  v_retry_after double precision[];
  v_others private.push_outcome[];
  v_lost uuid[] := '{}';
  v_deactivated integer := 0;
  v_states jsonb := '{}';
begin
  select array_agg(h.organization_id), array_agg(h.id), array_agg(h.retry_after) into v_organization_ids, v_ids, v_retry_after
  from private.lock_held_pushes(p_holder, v_outcomes) h;
  v_others := array(select c from unnest(v_outcomes) as c where (c.outbox_id = any (v_ids)) is not true);
  if v_others <> '{}' then
    v_outcomes := array(select c from unnest(v_outcomes) as c where c.outbox_id = any (v_ids));
    -- What this very lease recorded before, an answer having been lost on the way, is neither recorded again nor lost.
    v_lost := array(
      select distinct c.outbox_id from unnest(v_others) as c
      where not exists (
        select from private.outbox o
        where o.organization_id = c.organization_id and o.id = c.outbox_id and o.holder = p_holder and o.lease = c.lease));
  end if;
  if v_ids is not null then
    v_deactivated := private.keep_outcomes(v_outcomes, p_now);
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
