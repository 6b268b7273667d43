create function private.forget_names(p_organization_id uuid, p_names text[]) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_mask constant text := '[erased]';
  v_pattern constant text := private.name_pattern(array(
    select n.name from unnest(p_names) as n (name)
    -- Once a name and not once a person.
    cross join lateral (select private.name_pattern(array[n.name]) as pattern offset 0) p
    -- A single word that is part of somebody else's name as well would take theirs away from them; an id is nobody else's.
    where btrim(n.name) ~ '[\s@]' or pg_input_is_valid(n.name, 'uuid') or not exists (
      select from public.users u where u.organization_id = p_organization_id and u.full_name ~* p.pattern
      union all
      select from public.people m where m.organization_id = p_organization_id and m.full_name ~* p.pattern
      union all
      select from public.contacts c where c.organization_id = p_organization_id and c.display_name ~* p.pattern
      union all
      select from public.students s where s.organization_id = p_organization_id and s.full_name ~* p.pattern)));
  v_counts jsonb;
begin
  if v_pattern is null then
    return '{}';
  end if;
  with cases as (
    update public.pastoral_cases t set notes = regexp_replace(t.notes, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.notes ~* v_pattern returning 1
  ), contacts as (
    update public.pastoral_contacts t set notes = regexp_replace(t.notes, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.notes ~* v_pattern returning 1
  ), notes as (
    -- A mask is longer than a short name, and a note is of two thousand characters.
    update public.student_notes t set body = left(regexp_replace(t.body, v_pattern, v_mask, 'gi'), 2000)
    where t.organization_id = p_organization_id and t.body ~* v_pattern returning 1
  ), reports as (
    update public.team_reports t set title = regexp_replace(t.title, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.title ~* v_pattern returning 1
  ), told as (
    update public.notifications t set context = private.mask_names(t.context, v_pattern, v_mask)
    where t.organization_id = p_organization_id and t.context::text ~* v_pattern returning 1
  ), tasks as (
    update public.volunteering t set task = regexp_replace(t.task, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.task ~* v_pattern returning 1
  ), templates as (
    update public.notification_templates t
    set title = regexp_replace(t.title, v_pattern, v_mask, 'gi'), body = regexp_replace(t.body, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and (t.title ~* v_pattern or t.body ~* v_pattern) returning 1
  ), families as (
    update public.families t set name = regexp_replace(t.name, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.name ~* v_pattern returning 1
  ), groups as (
    update public.groups t set name = regexp_replace(t.name, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.name ~* v_pattern returning 1
  ), classes as (
    update public.classes t set name = regexp_replace(t.name, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.name ~* v_pattern returning 1
  )
  select jsonb_build_object('pastoral_cases', (select count(*) from cases), 'pastoral_contacts', (select count(*) from contacts),
    'student_notes', (select count(*) from notes), 'team_reports', (select count(*) from reports), 'notifications', (select count(*) from told), 'volunteering', (select count(*) from tasks),
    'notification_templates', (select count(*) from templates),
    'families', (select count(*) from families), 'groups', (select count(*) from groups), 'classes', (select count(*) from classes))
    into v_counts;
  -- After the cases, whose trail has just kept what their notes said before.
  with events as (
    update public.pastoral_case_events t set changes = private.mask_names(t.changes, v_pattern, v_mask)
    where t.organization_id = p_organization_id and t.changes::text ~* v_pattern returning 1
  )
  select v_counts || jsonb_build_object('pastoral_case_events', count(*)) into v_counts from events;
  return (select coalesce(jsonb_object_agg(c.key, c.value), '{}') from jsonb_each(v_counts) c where c.value <> '0');
end;
$$;
comment on function private.forget_names(uuid, text[]) is
  'Replaces these names and addresses with "[erased]" wherever free text of the organisation has them, and counts the rows by table. What somebody calls a person otherwise is not found.';
revoke all on function private.forget_names(uuid, text[]) from public, anon, authenticated, service_role;
