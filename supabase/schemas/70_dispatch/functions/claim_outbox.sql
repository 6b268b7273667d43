create function public.claim_outbox(
  p_holder uuid, p_limit integer default 100, p_lease_seconds integer default 60, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '30s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_rows tid[];
  v_due private.outbox[];
  v_releases private.push_release[];
  v_held jsonb;
  v_messages jsonb := '[]';
begin
  perform private.check_limit(p_limit, 10000);
  if p_holder is null or p_lease_seconds is null or p_lease_seconds not between 1 and 3600 then
    raise exception using errcode = 'PT400', message = 'lease_seconds_out_of_range',
      detail = jsonb_build_object('lease_seconds', p_lease_seconds, 'minimum', 1, 'maximum', 3600)::text, hint = 'Name a holder and a lease.';
  end if;
  -- By row address, and two statements: joined, the limit would be planned as a scan of the table.
  with due as (
    select o.ctid as row_at, o as push
    from private.outbox o
    where o.state in ('pending', 'deferred', 'failed', 'claimed') and o.next_attempt_at <= p_now
    order by o.next_attempt_at
    limit p_limit
    for update skip locked
  )
  select array_agg(d.row_at), array_agg(d.push order by (d.push).next_attempt_at) into v_rows, v_due from due d;
  if v_due is null then
    return jsonb_build_object('claimed', 0, 'messages', v_messages, 'held', '{}'::jsonb, 'more', false,
      'rang_again', private.ring_again('push-notification-dispatcher', 'public', 'notifications'));
  end if;
  update private.outbox o
  set state = 'claimed', holder = p_holder, lease = o.lease + 1, next_attempt_at = p_now + make_interval(secs => p_lease_seconds), rings = false
  where o.ctid = any (v_rows);
  insert into private.outbox_history (organization_id, outbox_id, event, at)
  select d.organization_id, d.id, 'lease_lost', p_now from unnest(v_due) as d where d.state = 'claimed';

  v_releases := array(
    select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease + 1, r.attempts,
      r.gate, r.release_at, r.planned_on, r.release_on, r.expires_at, r.problem)::private.push_release
    from private.release_pushes(v_due, p_now) r);
  with worded as materialized (
    select m.* from private.push_messages(array(select r from unnest(v_releases) as r where r.gate is null)) m
  )
  select array(
      select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease, r.attempts,
        coalesce(r.gate, case when w.messages is null then 'no_device' when w.problem is not null then 'unrendered' end),
        r.release_at, r.planned_on, r.release_on, r.expires_at, coalesce(r.problem, case when w.messages is not null then w.problem end))::private.push_release
      from unnest(v_releases) as r
      left join worded w on w.organization_id = r.organization_id and w.id = r.id),
    coalesce((
      select jsonb_agg(x.message order by d.position)
      from worded w
      join (select u.organization_id, u.id, row_number() over () as position from unnest(v_due) as u) d on d.organization_id = w.organization_id and d.id = w.id
      cross join lateral jsonb_array_elements(w.messages) as x (message)
      where w.problem is null), '[]')
    into v_releases, v_messages;
  v_held := private.hold_pushes(v_releases, p_now);
  return jsonb_build_object('claimed', cardinality(v_due), 'messages', v_messages, 'held', v_held, 'more', cardinality(v_due) = p_limit,
    'rang_again', cardinality(v_due) < p_limit and private.ring_again('push-notification-dispatcher', 'public', 'notifications'));
end;
$$;
comment on function public.claim_outbox(uuid, integer, integer, timestamptz) is
  'Takes up to p_limit pushes that are due, of those whose holder has not been heard of for its lease, too, and judges each as of now. Returns {claimed, messages: [{organization_id, outbox_id, lease, device_id, provider, token, title, body, collapse_key, expires_at, data}], held: {"gate": n} (those not to be sent, already written), more, rang_again}, the oldest first. The messages are the holder''s until p_lease_seconds are over: public.record_outbox or public.give_back_outbox. Claims never wait for each other.';
revoke all on function public.claim_outbox(uuid, integer, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.claim_outbox(uuid, integer, integer, timestamptz) to service_role;
