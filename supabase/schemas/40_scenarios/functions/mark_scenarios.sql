create function private.mark_scenarios() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
begin
  if tg_op = 'INSERT' then
    -- As private.mark_people does, without its arrays: this is what every writer of an activity pays. The first mark takes the
    -- bell, and a setting tells the others that it is taken (private.mark_statistics_of_activities).
    insert into private.scenario_marks (organization_id, user_id, rings)
    select c.organization_id, c.user_id, case when current_setting('attend.scenario_bell', true) = 'requested' then false
      else set_config('attend.scenario_bell', 'requested', true) = 'requested' end
    from (select distinct n.organization_id, n.user_id from new_rows n order by user_id, organization_id) c;
    return null;
  elsif tg_op = 'DELETE' then
    select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
    from (select distinct o.organization_id, o.user_id from old_rows o) c;
  else
    select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
    from (select n.organization_id, n.user_id from new_rows n union select o.organization_id, o.user_id from old_rows o) c;
  end if;
  perform private.mark_people(v_organization_ids, v_user_ids);
  return null;
end;
$$;
-- Definer because whoever changes an activity, certificate or preference may not see marks.
comment on function private.mark_scenarios() is
  'Trigger: whoever''s figures (private.statistics_marks), certificates or preferences changed is to be evaluated.';
revoke all on function private.mark_scenarios() from public, anon, authenticated, service_role;
