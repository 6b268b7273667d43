create function private.mark_scenarios() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
begin
  if tg_op = 'INSERT' then
    select array_agg(c.organization_id), array_agg(c.user_id) into v_organization_ids, v_user_ids
    from (select distinct n.organization_id, n.user_id from new_rows n) c;
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
