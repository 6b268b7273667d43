create function private.retract_case_news(p_organization_id uuid, p_case_ids uuid[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  with taken as (
    update private.outbox o
    set state = 'retracted'
    from public.notifications n
    join public.pastoral_cases c on c.organization_id = n.organization_id and c.id::text = n.context ->> 'case_id'
    where n.organization_id = p_organization_id and n.scenario = 'pastoral_case' and n.context ->> 'case_id' = any (p_case_ids::text[])
      and o.organization_id = n.organization_id and o.notification_id = n.id and o.user_id = n.user_id
      and o.state in ('pending', 'deferred', 'failed') and not private.is_case_of(c.status, c.assigned_servant_id, n.user_id)
    returning o.notification_id
  )
  update public.notifications n
  set retracted_at = p_now
  from taken t
  where n.organization_id = p_organization_id and n.id = t.notification_id
    and n.read_at is null and n.dismissed_at is null and n.retracted_at is null;
end;
$$;
comment on function private.retract_case_news(uuid, uuid[], timestamptz) is
  'Takes back what has not reached a servant of these cases and no longer concerns them: they are done with, or somebody else''s.';
revoke all on function private.retract_case_news(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.retract_case_news(uuid, uuid[], timestamptz) to service_role;
