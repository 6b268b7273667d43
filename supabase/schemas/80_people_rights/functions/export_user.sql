create function private.export_user(p_organization_id uuid, p_user_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_drop constant text[] := '{organization_id,user_id}';
  v_name constant text := (select u.full_name from public.users u where u.organization_id = p_organization_id and u.id = p_user_id);
begin
  -- Whole rows less what names somebody else, so that a column that is new is there without anybody thinking of it.
  return jsonb_build_object(
    'users', (
      select jsonb_agg(to_jsonb(t) - v_drop) from public.users t where t.organization_id = p_organization_id and t.id = p_user_id),
    'logins', (
      select jsonb_agg(jsonb_build_object('id', a.id, 'email', a.email, 'phone', a.phone, 'created_at', a.created_at,
        'last_sign_in_at', a.last_sign_in_at, 'raw_user_meta_data', a.raw_user_meta_data, 'linked_at', t.linked_at))
      from public.user_logins t join auth.users a on a.id = t.auth_user_id
      where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'invitations', (
      select jsonb_agg(to_jsonb(t) - v_drop - 'invited_by' order by t.created_at)
      from public.invitations t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'activities', (
      select jsonb_agg(to_jsonb(t) - v_drop - 'proxy_registered_by' || jsonb_build_object(
        'was_registered_by_somebody_else', t.proxy_registered_by is not null,
        'contacts', (select count(*) from public.activity_contacts c where c.organization_id = t.organization_id and c.activity_id = t.id))
        order by t.occurred_at)
      from public.activities t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'activity_statistics', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.period_type, t.period_start)
      from public.activity_statistics t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'statistics_warnings', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.recorded_at)
      from public.statistics_warnings t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'statistics_drift', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.id)
      from private.statistics_drift t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'notification_preferences', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.scenario, t.channel)
      from public.notification_preferences t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'preference_history', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.id)
      from private.preference_history t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    -- What coordinators and servants are told is about others: that they were told is theirs, what it said is not.
    'notifications', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop - 'about_user_id'
        - case when t.about_user_id is not null or t.scenario = 'pastoral_case' then '{subject,context}' else '{}' end::text[]
        order by t.triggered_at, t.id))
      from public.notifications t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'told_to_others', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop - '{about_user_id,subject}'::text[] order by t.triggered_at, t.id))
      from public.notifications t where t.organization_id = p_organization_id and t.about_user_id = p_user_id),
    'outbox', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.created_at, t.id)
      from private.outbox t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'outbox_devices', (
      select jsonb_agg(to_jsonb(t) - 'organization_id' order by t.attempted_at, t.device_id)
      from private.outbox_devices t
      join private.outbox o on o.organization_id = t.organization_id and o.id = t.outbox_id
      where t.organization_id = p_organization_id and o.user_id = p_user_id),
    'outbox_history', (
      select jsonb_agg(to_jsonb(t) - 'organization_id' order by t.id)
      from private.outbox_history t
      join private.outbox o on o.organization_id = t.organization_id and o.id = t.outbox_id
      where t.organization_id = p_organization_id and o.user_id = p_user_id),
    'devices', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.created_at)
      from public.devices t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'cooldowns', (
      select jsonb_agg(to_jsonb(t) - v_drop - case when t.scenario = 'pastoral_case' then '{subject}' else '{}' end::text[] order by t.last_triggered_at)
      from private.cooldowns t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'held_decisions', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.decided_at)
      from private.held_decisions t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'sweep_findings', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.id)
      from private.sweep_findings t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'quarantine', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop))
      from private.quarantine t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'achievements', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.crossed_at)
      from public.achievements t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'certificates', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.expires_at)
      from public.certificates t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'certificate_history', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.id)
      from private.certificate_history t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'user_history', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.id)
      from private.user_history t where t.organization_id = p_organization_id and t.user_id = p_user_id)
  ) || private.export_work(p_organization_id, p_user_id);
end;
$$;
comment on function private.export_user(uuid, uuid) is
  'Everything held of a person of public.users, as {"section": [rows] or null}; sections are called after their tables. Others appear as counts, or not at all.';
revoke all on function private.export_user(uuid, uuid) from public, anon, authenticated, service_role;
