create function private.export_work(p_organization_id uuid, p_user_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  -- What they did is theirs, for whom they did it is not: rows without those whom they are about.
  return jsonb_build_object(
    'activities_registered_for_others', (
      select jsonb_agg(jsonb_build_object('activity_type_id', t.activity_type_id, 'recorded_at', t.recorded_at) order by t.recorded_at)
      from public.activities t
      where t.organization_id = p_organization_id and t.proxy_registered_by = p_user_id and t.user_id <> p_user_id),
    'people_invited', (
      select jsonb_agg(jsonb_build_object('created_at', t.created_at) order by t.created_at)
      from public.invitations t where t.organization_id = p_organization_id and t.invited_by = p_user_id),
    'coordinated_by', (
      select jsonb_agg(jsonb_build_object('coordinator', 'a colleague'))
      from public.user_coordinators t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'coordinates', (
      select jsonb_agg(jsonb_build_object('person', 'a colleague'))
      from public.user_coordinators t where t.organization_id = p_organization_id and t.coordinator_id = p_user_id),
    'team_reports_frozen', (
      select jsonb_agg(jsonb_build_object('title', t.title, 'frozen_at', t.frozen_at) order by t.frozen_at)
      from public.team_reports t where t.organization_id = p_organization_id and t.frozen_by = p_user_id),
    'households_served', (
      select jsonb_agg(jsonb_build_object('household', 'a household'))
      from public.families t where t.organization_id = p_organization_id and t.assigned_servant_id = p_user_id),
    'pastoral_cases_assigned', (
      select jsonb_agg(jsonb_build_object('opened_at', t.opened_at, 'status', t.status) order by t.opened_at)
      from public.pastoral_cases t where t.organization_id = p_organization_id and t.assigned_servant_id = p_user_id),
    'pastoral_contacts_made', (
      select jsonb_agg(jsonb_build_object('kind', t.kind, 'contacted_at', t.contacted_at, 'logged_at', t.logged_at) order by t.contacted_at)
      from public.pastoral_contacts t where t.organization_id = p_organization_id and t.contacted_by = p_user_id),
    'pastoral_cases_changed', (
      select jsonb_agg(jsonb_build_object('happened_at', t.happened_at) order by t.happened_at)
      from public.pastoral_case_events t where t.organization_id = p_organization_id and t.actor_id = p_user_id),
    'student_notes_written', (
      select jsonb_agg(jsonb_build_object('kind', t.kind, 'created_at', t.created_at) order by t.created_at)
      from public.student_notes t where t.organization_id = p_organization_id and t.author_id = p_user_id));
end;
$$;
comment on function private.export_work(uuid, uuid) is
  'What a person of public.users did for others, without those others: part of private.export_user.';
revoke all on function private.export_work(uuid, uuid) from public, anon, authenticated, service_role;
