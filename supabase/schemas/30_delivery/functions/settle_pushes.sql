create function private.settle_pushes(
  p_organization_ids uuid[], p_outbox_ids uuid[], p_retry_after double precision[], p_attempt integer, p_now timestamptz,
  p_max_attempts integer, p_first_retry_seconds integer, p_longest_retry_seconds integer)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = auto
as $$
declare
  v_counts jsonb;
begin
  with judged as materialized (
    select o.ctid as row_at, s.*,
      case
        when s.waits and o.attempts + p_attempt < p_max_attempts then 'failed'
        -- Whom it reached on one device has been told, whatever became of the others.
        when s.reached then 'sent'
        when s.waits or s.refused then 'dead'
        else 'skipped'
      end::public.outbox_state as state,
      -- Never at once, so that a service that recovers is not met by everybody who waited for it.
      p_now + make_interval(secs => greatest(c.retry_after,
        least(p_longest_retry_seconds, p_first_retry_seconds * 2 ^ least(o.attempts + p_attempt - 1, 20)) * (0.5 + random() / 2))) as again_at
    from rows from (unnest(p_organization_ids), unnest(p_outbox_ids), unnest(p_retry_after)) as c (organization_id, id, retry_after)
    join private.outbox o on o.organization_id = c.organization_id and o.id = c.id
    cross join lateral (
      select bool_or(d.verdict = 'sent') as reached, bool_or(d.verdict = 'retry') as waits, bool_or(d.verdict = 'refused') as refused,
        (array_agg(d.reason order by d.verdict = 'refused' desc, d.attempted_at desc) filter (where d.verdict <> 'sent' and d.reason is not null))[1] as reason
      from private.outbox_devices d
      where d.organization_id = o.organization_id and d.outbox_id = o.id
      offset 0
    ) s
  ), settled as (
    update private.outbox o
    set state = j.state, attempts = o.attempts + p_attempt, next_attempt_at = case when j.state = 'failed' then j.again_at else o.next_attempt_at end,
        last_error = coalesce(j.reason, o.last_error), skipped_reason = case when j.state = 'skipped' then 'no_device' end,
        settled_at = case when j.state <> 'failed' then p_now end, rings = false
    from judged j
    -- The caller has its lock: nobody moves it meanwhile.
    where o.ctid = j.row_at
    returning o.organization_id, o.id, o.state, o.last_error
  ), told as (
    insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
    select s.organization_id, s.id, s.state::text, s.last_error, p_now from settled s where s.state in ('failed', 'dead')
  )
  select coalesce(jsonb_object_agg(c.state, c.n), '{}') into v_counts
  from (select s.state, count(*) as n from settled s group by s.state) c;
  return v_counts;
end;
$$;
comment on function private.settle_pushes(uuid[], uuid[], double precision[], integer, timestamptz, integer, integer, integer) is
  'What follows for pushes from the outcomes on their devices: sent, failed (tried again: exponential, with jitter, not before the seconds the provider asked for), dead, or skipped because no device was left. p_attempt: 1 where they were tried, 0 where only more is known. Returns {"state": n}.';
revoke all on function private.settle_pushes(uuid[], uuid[], double precision[], integer, timestamptz, integer, integer, integer) from public, anon, authenticated, service_role;
grant execute on function private.settle_pushes(uuid[], uuid[], double precision[], integer, timestamptz, integer, integer, integer) to service_role;
