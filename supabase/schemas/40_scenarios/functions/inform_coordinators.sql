create function private.inform_coordinators(p_organization_id uuid, p_told private.judged_claim[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
as $$
begin
  if not exists (select from unnest(p_told) as t where t.informs_coordinators) then
    return;
  end if;
  insert into public.notifications (
    organization_id, user_id, scenario, subject, rule_id, rule_version, context, crossed_at, triggered_at, about_user_id)
  select p_organization_id, uc.coordinator_id, t.scenario, t.subject || '/' || t.user_id, t.rule_id, t.rule_version, t.context,
    t.crossed_at, p_now, t.user_id
  from unnest(p_told) as t
  cross join lateral (
    select w.coordinator_id from public.user_coordinators w
    where w.organization_id = p_organization_id and w.user_id = t.user_id
    offset 0
  ) uc
  join public.users u on u.organization_id = p_organization_id and u.id = uc.coordinator_id
  where t.informs_coordinators and u.is_active
    and not exists (
      select from public.notification_preferences np
      where np.organization_id = p_organization_id and np.user_id = uc.coordinator_id and np.scenario in ('all', t.scenario)
        and np.channel = 'all' and not np.is_enabled);
end;
$$;
comment on function private.inform_coordinators(uuid, private.judged_claim[], timestamptz) is
  'Tells the coordinators of those who were told, where the rule says so and they have not opted out: in the app only and beyond the cap, so that what they see of others does not use up what concerns themselves. For private.claim_notifications, which holds the locks.';
revoke all on function private.inform_coordinators(uuid, private.judged_claim[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.inform_coordinators(uuid, private.judged_claim[], timestamptz) to service_role;
