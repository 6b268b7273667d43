create function private.outbox_row(p_organization_id uuid, p_outbox_id uuid) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object('organization_id', o.organization_id, 'outbox_id', o.id, 'notification_id', n.id, 'user_id', u.id,
    'full_name', u.full_name, 'scenario', n.scenario, 'channel', o.channel, 'state', o.state, 'skipped_reason', o.skipped_reason,
    'attempts', o.attempts, 'last_error', o.last_error, 'created_at', o.created_at, 'release_at', o.release_at,
    'next_attempt_at', case when o.state in ('pending', 'deferred', 'failed', 'claimed') then o.next_attempt_at end,
    'settled_at', o.settled_at)
  from private.outbox o
  join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
  join public.users u on u.organization_id = n.organization_id and u.id = n.user_id
  where o.organization_id = p_organization_id and o.id = p_outbox_id;
$$;
comment on function private.outbox_row(uuid, uuid) is 'A push as public.list_outbox and public.show_outbox show it.';
revoke all on function private.outbox_row(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.outbox_row(uuid, uuid) to service_role;
