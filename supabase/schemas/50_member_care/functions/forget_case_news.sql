create function private.forget_case_news(p_organization_id uuid, p_notification_ids uuid[]) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  delete from private.cooldowns cd
  using public.notifications n
  where n.organization_id = p_organization_id and n.id = any (p_notification_ids) and n.scenario = 'pastoral_case'
    and n.retracted_at is not null
    and cd.organization_id = n.organization_id and cd.user_id = n.user_id and cd.scenario = n.scenario and cd.subject = n.subject
    and cd.last_triggered_at = n.triggered_at
    -- Whoever has closed the case knows of it.
    and not exists (
      select from public.pastoral_cases c
      where c.organization_id = n.organization_id and c.status = 'closed'
        and c.id = case when pg_catalog.pg_input_is_valid(n.context ->> 'case_id', 'uuid') then (n.context ->> 'case_id')::uuid end
      offset 0);
end;
$$;
comment on function private.forget_case_news(uuid, uuid[]) is
  'Of these notifications, those that were news of a case and were taken back unseen have told nobody: the next news of that person is told without waiting for their cooldown.';
revoke all on function private.forget_case_news(uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.forget_case_news(uuid, uuid[]) to service_role;
