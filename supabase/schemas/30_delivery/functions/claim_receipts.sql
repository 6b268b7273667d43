create function public.claim_receipts(
  p_limit integer default 1000, p_lease_seconds integer default 60, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_receipts jsonb;
begin
  perform private.check_limit(p_limit, 10000);
  with due as (
    update private.outbox_devices d
    set receipt_due_at = p_now + make_interval(secs => p_lease_seconds)
    where d.ctid = any (array(
      select w.ctid from private.outbox_devices w
      where w.receipt_due_at <= p_now
      order by w.receipt_due_at
      limit p_limit
      for update skip locked))
    returning d.organization_id, d.outbox_id, d.device_id, d.provider_id
  )
  select coalesce(jsonb_agg(jsonb_build_object('organization_id', due.organization_id, 'outbox_id', due.outbox_id, 'device_id', due.device_id,
      'provider', v.provider, 'provider_id', due.provider_id)), '[]')
    into v_receipts
  from due
  left join public.devices v on v.organization_id = due.organization_id and v.id = due.device_id;
  return jsonb_build_object('receipts', v_receipts, 'more', jsonb_array_length(v_receipts) = p_limit);
end;
$$;
comment on function public.claim_receipts(integer, integer, timestamptz) is
  'Takes up to p_limit pushes whose receipt is due: {receipts: [{organization_id, outbox_id, device_id, provider, provider_id}], more}. Whoever is not heard of again loses them after p_lease_seconds; asking a provider twice has no effect. provider is null where the device is gone.';
revoke all on function public.claim_receipts(integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.claim_receipts(integer, integer, timestamptz) to service_role;
