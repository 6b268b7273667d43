create function public.show_outbox(p_outbox_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  -- Not within the query: a scan that finds no row would never ask, and so never refuse.
  v_organization_id uuid := private.organization_of_push(p_outbox_id);
  v_push private.outbox;
begin
  select o.* into v_push from private.outbox o where o.organization_id = v_organization_id and o.id = p_outbox_id;
  return private.outbox_row(v_push.organization_id, v_push.id)
    || jsonb_build_object('holder', v_push.holder, 'lease', v_push.lease, 'collapse_key', v_push.id)
    || (select jsonb_build_object('title', r.title, 'body', r.body, 'problem', r.problem)
        from private.rendered_notifications(array[v_push.organization_id], array[v_push.notification_id]) r)
    || jsonb_build_object(
      'devices', (
        select coalesce(jsonb_agg(jsonb_build_object('device_id', d.device_id, 'provider', v.provider, 'platform', v.platform, 'is_active', v.is_active,
          'verdict', d.verdict, 'reason', d.reason, 'attempts', d.attempts, 'attempted_at', d.attempted_at, 'provider_id', d.provider_id,
          'receipt_due_at', d.receipt_due_at) order by d.attempted_at, d.device_id), '[]')
        from private.outbox_devices d
        left join public.devices v on v.organization_id = d.organization_id and v.id = d.device_id
        where d.organization_id = v_push.organization_id and d.outbox_id = v_push.id),
      'history', (
        select coalesce(jsonb_agg(jsonb_build_object('at', h.at, 'event', h.event, 'reason', h.reason) order by h.id), '[]')
        from private.outbox_history h
        where h.organization_id = v_push.organization_id and h.outbox_id = v_push.id));
end;
$$;
comment on function public.show_outbox(uuid) is
  'One push, whole: its row as in public.list_outbox, its words (problem: why it has none), what became of it on each device, and its history. PT404 unknown_push.';
revoke all on function public.show_outbox(uuid) from public, anon, authenticated, service_role;
grant execute on function public.show_outbox(uuid) to service_role;
