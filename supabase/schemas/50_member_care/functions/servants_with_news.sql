create function private.servants_with_news(p_organization_id uuid, p_case_ids uuid[]) returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return array(
    select distinct o.user_id
    from private.outbox o
    join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
    where o.organization_id = p_organization_id and o.state in ('pending', 'deferred', 'failed')
      and n.scenario = 'pastoral_case' and n.context ->> 'case_id' = any (p_case_ids::text[]));
end;
$$;
comment on function private.servants_with_news(uuid, uuid[]) is 'Who is still to be pushed news of these cases.';
revoke all on function private.servants_with_news(uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.servants_with_news(uuid, uuid[]) to service_role;
