create function public.claim_outbox(
  p_holder uuid, p_limit integer default 100, p_lease_seconds integer default 60, p_now timestamptz default now())
returns json
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_due private.outbox[];
  v_releases private.push_release[];
  v_held jsonb;
  -- As json: jsonb would sort and copy each of the messages three times on its way out.
  v_messages json := '[]';
begin
  perform private.check_limit(p_limit, 10000);
  if p_holder is null or p_lease_seconds is null or p_lease_seconds not between 1 and 3600 then
    raise exception using errcode = 'PT400', message = 'lease_seconds_out_of_range',
      detail = jsonb_build_object('lease_seconds', p_lease_seconds, 'minimum', 1, 'maximum', 3600)::text, hint = 'Name a holder and a lease.';
  end if;
  v_due := private.take_pushes(p_holder, p_limit, p_lease_seconds, p_now);
  if v_due = '{}' then
    return json_build_object('claimed', 0, 'messages', v_messages, 'held', '{}'::json, 'more', false,
      'rang_again', private.ring_again('push-notification-dispatcher', 'public', 'notifications'));
  end if;
  v_releases := array(
    select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease + 1, r.attempts,
      r.gate, r.release_at, r.planned_on, r.release_on, r.expires_at, r.problem, r.scenario, r.rule_id)::private.push_release
    from private.release_pushes(v_due, p_now) r);
  with worded as materialized (
    select m.* from private.push_messages(array(select r from unnest(v_releases) as r where r.gate is null)) m
  )
  select array(
      select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease, r.attempts,
        coalesce(r.gate, case when w.devices = 0 then 'no_device' when w.problem is not null then 'unrendered' end),
        r.release_at, r.planned_on, r.release_on, r.expires_at, coalesce(r.problem, case when w.devices > 0 then w.problem end),
        r.scenario, r.rule_id)::private.push_release
      from unnest(v_releases) as r
      left join (
        select m.organization_id, m.outbox_id, count(m.device_id) as devices, max(m.problem) as problem from worded m group by m.organization_id, m.outbox_id
      ) w on w.organization_id = r.organization_id and w.outbox_id = r.id),
    coalesce((
      select json_agg(x)
      from (
        select w.organization_id, w.outbox_id, w.lease, w.device_id, w.provider, w.token, w.title, w.body, w.collapse_key, w.expires_at, w.data
        from worded w
        join unnest(v_due) with ordinality d on d.organization_id = w.organization_id and d.id = w.outbox_id
        where w.problem is null and w.device_id is not null
        order by d.ordinality
      ) x), '[]')
    into v_releases, v_messages;
  v_held := private.hold_pushes(v_releases, p_now);
  return json_build_object('claimed', cardinality(v_due), 'messages', v_messages, 'held', v_held, 'more', cardinality(v_due) = p_limit,
    'rang_again', cardinality(v_due) < p_limit and private.ring_again('push-notification-dispatcher', 'public', 'notifications'));
end;
$$;
comment on function public.claim_outbox(uuid, integer, integer, timestamptz) is
  'Takes up to p_limit pushes that are due, of those whose holder has not been heard of for its lease, too, and judges each as of now. Returns {claimed, messages: [{organization_id, outbox_id, lease, device_id, provider, token, title, body, collapse_key, expires_at, data}], held: {"gate": n} (those not to be sent, already written), more, rang_again}, the oldest first. The messages are the holder''s until p_lease_seconds are over: public.record_outbox or public.give_back_outbox. Claims never wait for each other.';
revoke all on function public.claim_outbox(uuid, integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.claim_outbox(uuid, integer, integer, timestamptz) to service_role;
