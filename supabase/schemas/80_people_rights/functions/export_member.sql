create function private.export_member(p_organization_id uuid, p_person_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_drop constant text[] := '{organization_id,person_id}';
  v_name constant text := (select p.full_name from public.people p where p.organization_id = p_organization_id and p.id = p_person_id);
  v_cases constant uuid[] := array(
    select c.id from public.pastoral_cases c where c.organization_id = p_organization_id and c.person_id = p_person_id);
begin
  return jsonb_build_object(
    'people', (
      select jsonb_agg(to_jsonb(t) - v_drop || jsonb_build_object('family', f.name))
      from public.people t
      left join public.families f on f.organization_id = t.organization_id and f.id = t.family_id
      where t.organization_id = p_organization_id and t.id = p_person_id),
    'attendance_records', (
      select jsonb_agg(to_jsonb(t) - v_drop || jsonb_build_object('service', s.kind) order by t.service_date, t.id)
      from public.attendance_records t
      join public.services s on s.organization_id = t.organization_id and s.id = t.service_id
      where t.organization_id = p_organization_id and t.person_id = p_person_id),
    'group_memberships', (
      select jsonb_agg(to_jsonb(t) - v_drop || jsonb_build_object('group', g.name) order by t.joined_on)
      from public.group_memberships t
      join public.groups g on g.organization_id = t.organization_id and g.id = t.group_id
      where t.organization_id = p_organization_id and t.person_id = p_person_id),
    'volunteering', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.volunteered_on)
      from public.volunteering t where t.organization_id = p_organization_id and t.person_id = p_person_id),
    'class_participations', (
      select jsonb_agg(to_jsonb(t) - v_drop || jsonb_build_object('class', c.name) order by t.participated_on)
      from public.class_participations t
      join public.classes c on c.organization_id = t.organization_id and c.id = t.class_id
      where t.organization_id = p_organization_id and t.person_id = p_person_id),
    'donations', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.donated_on)
      from public.donations t where t.organization_id = p_organization_id and t.person_id = p_person_id),
    'people_engagement_scores', (
      select jsonb_agg(to_jsonb(t) - v_drop)
      from private.people_engagement_scores t where t.organization_id = p_organization_id and t.person_id = p_person_id),
    -- Written about them, and so theirs; by whom, and of whom else, is not.
    'pastoral_cases', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop - 'assigned_servant_id' order by t.opened_at))
      from public.pastoral_cases t where t.organization_id = p_organization_id and t.id = any (v_cases)),
    'pastoral_contacts', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop - 'contacted_by' order by t.contacted_at))
      from public.pastoral_contacts t where t.organization_id = p_organization_id and t.case_id = any (v_cases)),
    'pastoral_case_events', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(
        to_jsonb(t) - v_drop - 'actor_id' || jsonb_build_object('changes', t.changes - 'assigned_servant_id' - 'person_id') order by t.id))
      from public.pastoral_case_events t where t.organization_id = p_organization_id and t.case_id = any (v_cases)),
    'told_to_servants', (
      select jsonb_agg(to_jsonb(t) - '{organization_id,user_id,subject}'::text[] order by t.triggered_at, t.id)
      from public.notifications t
      where t.organization_id = p_organization_id and t.scenario = 'pastoral_case' and t.context ->> 'person_id' = p_person_id::text));
end;
$$;
comment on function private.export_member(uuid, uuid) is
  'Everything held of a person of public.people, as {"section": [rows] or null}. In what was written about them, other people''s names are masked.';
revoke all on function private.export_member(uuid, uuid) from public, anon, authenticated, service_role;
