create function private.requeue_pushes(p_organization_ids uuid[], p_outbox_ids uuid[], p_event text, p_now timestamptz) returns integer
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_requeued integer;
begin
  -- Whoever has it is not sent it again; what was refused may be taken now.
  update private.outbox_devices d
  set verdict = 'retry'
  from rows from (unnest(p_organization_ids), unnest(p_outbox_ids)) as c (organization_id, id)
  where d.organization_id = c.organization_id and d.outbox_id = c.id and d.verdict = 'refused';
  insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
  select o.organization_id, o.id, p_event, concat_ws(': ', o.state, coalesce(o.skipped_reason, o.last_error)), p_now
  from rows from (unnest(p_organization_ids), unnest(p_outbox_ids)) as c (organization_id, id)
  join private.outbox o on o.organization_id = c.organization_id and o.id = c.id;
  update private.outbox o
  set state = 'pending', attempts = 0, next_attempt_at = p_now, release_at = p_now, skipped_reason = null, settled_at = null, holder = null,
      rings = c.position = 1
  from rows from (unnest(p_organization_ids), unnest(p_outbox_ids)) with ordinality as c (organization_id, id, position)
  where o.organization_id = c.organization_id and o.id = c.id;
  get diagnostics v_requeued = row_count;
  return v_requeued;
end;
$$;
comment on function private.requeue_pushes(uuid[], uuid[], text, timestamptz) is
  'Puts pushes, which the caller has locked, back at the beginning: due now, with a new deadline and all attempts. A dispatcher judges them like any other.';
revoke all on function private.requeue_pushes(uuid[], uuid[], text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.requeue_pushes(uuid[], uuid[], text, timestamptz) to service_role;
