create function public.outbox_status(p_organization_id uuid default null, p_now timestamptz default now()) returns jsonb
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select jsonb_build_object(
      'due', count(*) filter (where o.next_attempt_at <= p_now),
      'oldest_due_at', min(o.next_attempt_at) filter (where o.next_attempt_at <= p_now),
      'pending', count(*) filter (where o.state = 'pending'), 'deferred', count(*) filter (where o.state = 'deferred'),
      'claimed', count(*) filter (where o.state = 'claimed'), 'failed', count(*) filter (where o.state = 'failed'),
      'dead', (select count(*) from private.outbox d where d.state = 'dead' and (p_organization_id is null or d.organization_id = p_organization_id)),
      'receipts', (
        select count(*) from private.outbox_devices r
        where r.receipt_due_at is not null and (p_organization_id is null or r.organization_id = p_organization_id)))
    from private.outbox o
    where o.state in ('pending', 'deferred', 'failed', 'claimed') and (p_organization_id is null or o.organization_id = p_organization_id));
end;
$$;
comment on function public.outbox_status(uuid, timestamptz) is
  'What waits, what failed, what is dead: {due, oldest_due_at, pending, deferred, claimed, failed, dead, receipts}. It costs what is not settled, not what was ever sent.';
revoke all on function public.outbox_status(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.outbox_status(uuid, timestamptz) to service_role;
