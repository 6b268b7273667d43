create function private.mark_scenarios_of_users() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
begin
  if tg_op = 'INSERT' then
    -- Thresholds are days: who joined this very day cannot be late for anything, and the ticks find them when they are.
    select array_agg(n.organization_id), array_agg(n.id) into v_organization_ids, v_user_ids
    from new_rows n where n.joined_at < now() - interval '23 hours';
  else
    select array_agg(n.organization_id), array_agg(n.id) into v_organization_ids, v_user_ids
    from new_rows n
    join old_rows o on o.organization_id = n.organization_id and o.id = n.id
    where (o.role, o.is_active, o.joined_at, o.reactivated_at, o.away_from, o.away_until, o.time_zone)
      is distinct from (n.role, n.is_active, n.joined_at, n.reactivated_at, n.away_from, n.away_until, n.time_zone);
  end if;
  perform private.mark_people(v_organization_ids, v_user_ids);
  return null;
end;
$$;
-- Definer because people change themselves and may not see marks.
comment on function private.mark_scenarios_of_users() is 'Trigger on public.users: whoever changed in what the rules read is to be evaluated.';
revoke all on function private.mark_scenarios_of_users() from public, anon, authenticated, service_role;
