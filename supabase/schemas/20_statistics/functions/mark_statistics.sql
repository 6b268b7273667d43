create function private.mark_statistics(p_organization_ids uuid[], p_user_ids uuid[], p_days date[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_rings boolean;
begin
  if cardinality(p_user_ids) is null or cardinality(p_user_ids) = 0 then
    return;
  end if;
  -- One bell a transaction. The setting is local, so a rollback to a savepoint that takes the mark takes it too.
  v_rings := coalesce(current_setting('attend.statistics_bell', true), '') <> 'requested';
  if v_rings then
    perform set_config('attend.statistics_bell', 'requested', true);
  end if;
  insert into private.statistics_marks (organization_id, user_id, day, rings)
  select m.organization_id, m.user_id, m.day, v_rings and m.position = 1
  from unnest(p_organization_ids, p_user_ids, p_days) with ordinality as m (organization_id, user_id, day, position);
end;
$$;
comment on function private.mark_statistics(uuid[], uuid[], date[]) is
  'Marks people''s UTC days (null: all of them), given as arrays of equal length. For the marking triggers, which run it as their owner.';
revoke all on function private.mark_statistics(uuid[], uuid[], date[]) from public, anon, authenticated, service_role;
grant execute on function private.mark_statistics(uuid[], uuid[], date[]) to service_role;
