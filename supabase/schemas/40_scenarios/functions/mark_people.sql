create function private.mark_people(p_organization_ids uuid[], p_user_ids uuid[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_rings boolean;
begin
  if p_user_ids is null then
    return;
  end if;
  -- One bell a transaction. The setting is local, so a rollback to a savepoint that takes the mark takes it too.
  v_rings := coalesce(current_setting('attend.scenario_bell', true), '') <> 'requested';
  if v_rings then
    perform set_config('attend.scenario_bell', 'requested', true);
  end if;
  insert into private.scenario_marks (organization_id, user_id, rings)
  select m.organization_id, m.user_id, v_rings and m.position = 1
  from unnest(p_organization_ids, p_user_ids) with ordinality as m (organization_id, user_id, position);
end;
$$;
comment on function private.mark_people(uuid[], uuid[]) is 'Appends a scenario mark for each of these people (two arrays of equal length; null: nobody).';
revoke all on function private.mark_people(uuid[], uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.mark_people(uuid[], uuid[]) to service_role;
