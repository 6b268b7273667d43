create function private.mark_scenarios() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_rings boolean;
begin
  select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
  from (select distinct n.organization_id, n.user_id from new_rows n) c;
  -- One bell a transaction. The setting is local, so a rollback to a savepoint that takes the mark takes it too.
  v_rings := coalesce(current_setting('attend.scenario_bell', true), '') <> 'requested';
  if v_rings then
    perform set_config('attend.scenario_bell', 'requested', true);
  end if;
  insert into private.scenario_marks (organization_id, user_id, rings)
  select m.organization_id, m.user_id, v_rings and m.position = 1
  from unnest(v_organization_ids, v_user_ids) with ordinality as m (organization_id, user_id, position);
  return null;
end;
$$;
-- Definer because whoever changes an activity may not see marks.
comment on function private.mark_scenarios() is
  'Trigger on private.statistics_marks: whoever''s figures changed is to be evaluated. One rule about what a change is, for both.';
revoke all on function private.mark_scenarios() from public, anon, authenticated, service_role;
