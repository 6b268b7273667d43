create function public.retry_outbox(p_outbox_id uuid, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  -- Not within the query: a scan that finds no row would never ask, and so never refuse.
  v_organization_id uuid := private.organization_of_push(p_outbox_id);
  v_push private.outbox;
begin
  select o.* into v_push from private.outbox o where o.organization_id = v_organization_id and o.id = p_outbox_id for no key update;
  if v_push.state in ('failed', 'dead') or v_push.skipped_reason in ('stale', 'no_device') then
    perform private.requeue_pushes(array[v_push.organization_id], array[p_outbox_id], 'retried', p_now);
    return jsonb_build_object('outbox_id', p_outbox_id, 'outcome', 'queued', 'was', v_push.state, 'skipped_reason', v_push.skipped_reason);
  end if;
  return jsonb_build_object('outbox_id', p_outbox_id, 'outcome', case
      when v_push.state in ('pending', 'deferred', 'claimed') then 'already_queued'
      when v_push.state = 'sent' then 'already_sent'
      else 'not_wanted' end,
    'was', v_push.state, 'skipped_reason', v_push.skipped_reason);
end;
$$;
comment on function public.retry_outbox(uuid, timestamptz) is
  'Tries a push again now that failed, is dead, was stale or found no device. Returns {outbox_id, outcome: queued | already_queued | already_sent | not_wanted (taken back, or switched off by the person), was, skipped_reason}. PT404 unknown_push.';
revoke all on function public.retry_outbox(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.retry_outbox(uuid, timestamptz) to service_role;
