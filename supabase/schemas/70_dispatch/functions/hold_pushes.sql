create function private.hold_pushes(p_releases private.push_release[], p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = auto
as $$
begin
  if not exists (select from unnest(p_releases) as r where r.gate is not null) then
    return '{}';
  end if;
  update private.outbox o
  set state = h.state, rings = false,
      skipped_reason = case when h.state = 'skipped' then r.gate end,
      settled_at = case when h.state in ('sent', 'skipped', 'dead') then p_now end,
      last_error = coalesce(r.problem, o.last_error),
      attempts = o.attempts + (r.gate = 'unjudged')::integer,
      release_at = case when h.state = 'deferred' then r.release_at else o.release_at end,
      next_attempt_at = case
        when h.state = 'deferred' then r.release_at
        when r.gate = 'unjudged' then p_now + interval '10 minutes' * (o.attempts + 1)
        when r.gate = 'busy' then p_now + interval '1 second'
        else o.next_attempt_at end
  from unnest(p_releases) as r
  cross join lateral (
    select case
      when r.gate in ('quiet_hours', 'capped') then 'deferred'
      when r.gate = 'busy' then case when r.attempts > 0 then 'failed' else 'pending' end
      when r.gate = 'unjudged' then case when r.attempts >= 7 then 'dead' else 'failed' end
      when r.gate = 'unrendered' then 'dead'
      -- On one device it has arrived, before.
      when exists (
        select from private.outbox_devices d
        where d.organization_id = r.organization_id and d.outbox_id = r.id and d.verdict = 'sent') then 'sent'
      else 'skipped' end::public.outbox_state as state
    offset 0) h
  where r.gate is not null and o.organization_id = r.organization_id and o.id = r.id;
  insert into private.outbox_history (organization_id, outbox_id, event, reason, at)
  select r.organization_id, r.id,
    case r.gate when 'unjudged' then case when r.attempts >= 7 then 'dead' else 'failed' end when 'unrendered' then 'dead' else r.gate end,
    r.problem, p_now
  from unnest(p_releases) as r
  where r.gate in ('quiet_hours', 'capped', 'unjudged', 'unrendered');
  return (
    select jsonb_object_agg(g.gate, g.n)
    from (select r.gate, count(*) as n from unnest(p_releases) as r where r.gate is not null group by r.gate) g);
end;
$$;
comment on function private.hold_pushes(private.push_release[], timestamptz) is
  'Writes why claimed pushes are not sent now: deferred (quiet_hours, capped), skipped for its reason, dead (unrendered), tried again (unjudged, busy). Returns {"gate": n}.';
revoke all on function private.hold_pushes(private.push_release[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.hold_pushes(private.push_release[], timestamptz) to service_role;
