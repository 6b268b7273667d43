create function private.keep_outcomes(p_outcomes private.push_outcome[], p_now timestamptz) returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = auto
as $$
declare
  v_deactivated integer;
begin
  insert into private.outbox_devices as d (
    organization_id, outbox_id, device_id, verdict, provider_id, reason, attempted_at, receipt_due_at)
  select o.organization_id, o.outbox_id, o.device_id, o.verdict, o.provider_id, left(o.reason, 500), p_now,
    -- A push service has no receipt before it has tried; Expo asks for a quarter of an hour.
    case when o.verdict = 'sent' and o.awaits_receipt and o.provider_id is not null then p_now + interval '15 minutes' end
  from unnest(p_outcomes) as o
  order by o.organization_id, o.outbox_id, o.device_id
  on conflict (organization_id, outbox_id, device_id) do update
    set verdict = excluded.verdict, provider_id = coalesce(excluded.provider_id, d.provider_id), reason = excluded.reason,
        attempted_at = excluded.attempted_at, receipt_due_at = excluded.receipt_due_at, attempts = d.attempts + 1;
  if not exists (select from unnest(p_outcomes) as o where o.verdict = 'device_gone') then
    return 0;
  end if;
  -- In the order of the key: two dispatchers may hear of one phone at once.
  perform from public.devices d
  join unnest(p_outcomes) as o on o.organization_id = d.organization_id and o.device_id = d.id
  where o.verdict = 'device_gone' and d.is_active
  order by d.organization_id, d.id
  for no key update of d;
  update public.devices d
  set is_active = false, deactivated_at = p_now, deactivated_reason = coalesce(left(o.reason, 500), 'gone')
  from unnest(p_outcomes) as o
  where o.verdict = 'device_gone' and d.organization_id = o.organization_id and d.id = o.device_id and d.is_active;
  get diagnostics v_deactivated = row_count;
  return v_deactivated;
end;
$$;
comment on function private.keep_outcomes(private.push_outcome[], timestamptz) is
  'Writes what became of pushes on devices, and takes devices out of use whose token is nobody''s any more. Returns how many.';
revoke all on function private.keep_outcomes(private.push_outcome[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.keep_outcomes(private.push_outcome[], timestamptz) to service_role;
