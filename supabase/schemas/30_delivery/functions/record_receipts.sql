create function public.record_receipts(
  p_outcomes jsonb, p_now timestamptz default now(), p_max_attempts integer default 8,
  p_first_retry_seconds integer default 30, p_longest_retry_seconds integer default 3600)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_outcomes private.push_outcome[] := private.push_outcomes(p_outcomes, true);
  v_awaited private.push_outcome[];
  v_organization_ids uuid[];
  v_ids uuid[];
  v_retry_after double precision[];
  v_deactivated integer := 0;
  v_states jsonb := '{}';
begin
  -- The push first, as whoever records outcomes does.
  perform from private.outbox o
  where (o.organization_id, o.id) in (select c.organization_id, c.outbox_id from unnest(v_outcomes) as c)
  order by o.organization_id, o.id
  for no key update;
  -- Still awaited, and of this very message: a receipt that comes twice, or late, says nothing new.
  v_awaited := array(
    select case
      -- A receipt is about then. Whoever has registered since has the app (again), and has not had this push.
      when c.verdict = 'device_gone' and exists (
        select from public.devices v
        where v.organization_id = c.organization_id and v.id = c.device_id and v.is_active and v.last_seen_at > d.attempted_at
        offset 0)
      then row(c.organization_id, c.outbox_id, c.lease, c.device_id, 'retry', c.provider_id, c.reason, c.retry_after,
        c.awaits_receipt)::private.push_outcome
      else c end
    from unnest(v_outcomes) as c
    join private.outbox_devices d on d.organization_id = c.organization_id and d.outbox_id = c.outbox_id and d.device_id = c.device_id
    where d.receipt_due_at is not null and d.provider_id = c.provider_id);
  update private.outbox_devices d
  set receipt_due_at = case
        when c.verdict is not null then null
        -- Push services forget receipts after a day: then it stays at what they said first.
        when p_now - d.attempted_at >= interval '1 day' then null
        else p_now + interval '15 minutes' end,
      reason = case when c.verdict is null and p_now - d.attempted_at >= interval '1 day' then 'no_receipt' else d.reason end
  from unnest(v_awaited) as c
  where d.organization_id = c.organization_id and d.outbox_id = c.outbox_id and d.device_id = c.device_id;
  v_awaited := array(select c from unnest(v_awaited) as c where c.verdict <> 'sent');
  if v_awaited <> '{}' then
    v_deactivated := private.keep_outcomes(v_awaited, p_now);
    insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
    select c.organization_id, c.outbox_id, 'receipt', concat_ws(': ', c.verdict, left(c.reason, 500)), p_now from unnest(v_awaited) as c;
    -- What is being sent once more settles when that is recorded.
    select array_agg(s.organization_id), array_agg(s.id), array_agg(s.retry_after) into v_organization_ids, v_ids, v_retry_after
    from (
      select o.organization_id, o.id, max(c.retry_after) as retry_after
      from private.outbox o
      join unnest(v_awaited) as c on c.organization_id = o.organization_id and c.outbox_id = o.id
      where o.state in ('sent', 'failed')
      group by o.organization_id, o.id
    ) s;
    v_states := private.settle_pushes(v_organization_ids, v_ids, v_retry_after, 0, p_now,
      p_max_attempts, p_first_retry_seconds, p_longest_retry_seconds);
  end if;
  return jsonb_build_object('recorded', (select count(*) from unnest(v_outcomes) as c where c.verdict is not null), 'states', v_states, 'deactivated', v_deactivated);
end;
$$;
comment on function public.record_receipts(jsonb, timestamptz, integer, integer, integer) is
  'Records receipts: [{organization_id, outbox_id, device_id, provider_id, verdict, reason, retry_after}], verdict null where the provider does not know yet (asked again, for a day). A push that reached nobody after all is tried again, dead, or skipped. Repeating a call changes nothing.';
revoke all on function public.record_receipts(jsonb, timestamptz, integer, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.record_receipts(jsonb, timestamptz, integer, integer, integer) to service_role;
