create function private.mark_activity_contact_changes() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_activity_ids uuid[];
  v_user_ids uuid[];
begin
  if tg_op = 'INSERT' then
    select array_agg(c.organization_id), array_agg(c.activity_id) into v_organization_ids, v_activity_ids
    from (select distinct n.organization_id, n.activity_id from new_rows n) c;
  elsif tg_op = 'DELETE' then
    select array_agg(c.organization_id), array_agg(c.activity_id) into v_organization_ids, v_activity_ids
    from (select distinct o.organization_id, o.activity_id from old_rows o) c;
  else
    select array_agg(c.organization_id), array_agg(c.activity_id) into v_organization_ids, v_activity_ids
    from (select n.organization_id, n.activity_id from new_rows n
          union
          select o.organization_id, o.activity_id from old_rows o) c;
  end if;

  -- An activity that is gone marked its person itself.
  select array_agg(p.organization_id), array_agg(p.user_id) into v_organization_ids, v_user_ids
  from (
    select distinct a.organization_id, a.user_id
    from unnest(v_organization_ids, v_activity_ids) as c (organization_id, activity_id)
    join public.activities a on a.organization_id = c.organization_id and a.id = c.activity_id
  ) p;
  perform private.mark_people(v_organization_ids, v_user_ids);
  return null;
end;
$$;
-- Definer because whoever writes contacts of activities may not see marks.
comment on function private.mark_activity_contact_changes() is 'Trigger: marks everybody in whose activities a statement changed the contacts.';
revoke all on function private.mark_activity_contact_changes() from public, anon, authenticated, service_role;
