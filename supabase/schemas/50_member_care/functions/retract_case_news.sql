create function private.retract_case_news(p_organization_id uuid, p_case_ids uuid[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_locked uuid[];
  v_taken uuid[];
begin
  -- The servant first and then their push, as whoever opts out does; and nobody is waited for, as the case is locked already and
  -- whoever has the servant may be waiting for it. What is left is judged at its release (private.gone_notifications).
  v_locked := array(
    select u.id from public.users u
    where u.organization_id = p_organization_id and u.id = any (private.servants_with_news(p_organization_id, p_case_ids))
    order by u.id
    for no key update skip locked);
  if v_locked = '{}' then
    return;
  end if;
  with taken as (
    update private.outbox o
    set state = 'retracted'
    from public.notifications n
    join public.pastoral_cases c on c.organization_id = n.organization_id and c.id::text = n.context ->> 'case_id'
    where n.organization_id = p_organization_id and n.scenario = 'pastoral_case' and n.context ->> 'case_id' = any (p_case_ids::text[])
      and o.organization_id = n.organization_id and o.notification_id = n.id and o.user_id = any (v_locked)
      and o.state in ('pending', 'deferred', 'failed') and (o.attempts = 0 or not private.has_arrived(o.organization_id, o.id))
      and not private.is_case_of(c.status, c.assigned_servant_id, n.user_id)
    returning o.notification_id
  )
  select array_agg(t.notification_id) into v_taken from taken t;
  perform private.take_back(p_organization_id, v_taken, p_now);
  perform private.forget_case_news(p_organization_id, v_taken);
end;
$$;
comment on function private.retract_case_news(uuid, uuid[], timestamptz) is
  'Takes back what has not reached a servant of these cases and no longer concerns them: they are done with, or somebody else''s.';
revoke all on function private.retract_case_news(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.retract_case_news(uuid, uuid[], timestamptz) to service_role;
