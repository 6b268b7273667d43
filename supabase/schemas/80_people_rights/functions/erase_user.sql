create function private.erase_user(p_organization_id uuid, p_user_id uuid) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_nobody constant uuid := gen_random_uuid();
  v_name text;
  v_records jsonb;
  v_logins uuid[];
  v_names text[];
  v_cases uuid[];
  v_mentions jsonb;
begin
  -- Whoever is writing about this person is waited for, and whoever comes later finds that there is nobody: what is theirs
  -- refers to this row. First of all locks, as a drain and an evaluation take it (docs/decisions.md).
  select u.full_name into v_name from public.users u where u.organization_id = p_organization_id and u.id = p_user_id for update;
  if not found then
    return null;
  end if;
  v_records := private.records_of(p_organization_id, 'user', p_user_id::text);
  v_logins := array(
    select l.auth_user_id from public.user_logins l where l.organization_id = p_organization_id and l.user_id = p_user_id);
  -- The id with them: the trail of a case says whose it was.
  v_names := array_remove(array[v_name, p_user_id::text] || array(
    select a.email::text from auth.users a where a.id = any (v_logins)
    union select a.phone from auth.users a where a.id = any (v_logins)
    union select i.email from public.invitations i where i.organization_id = p_organization_id and i.user_id = p_user_id), null);
  v_cases := array(
    select c.person_id from public.pastoral_cases c
    where c.organization_id = p_organization_id and c.assigned_servant_id = p_user_id and c.status in ('open', 'in_progress', 'returned'));

  -- What figures are made of goes to somebody who is nobody: activities that took place, with the statistics as they stand. A
  -- new id, since the old one is known to apps, logs and exports; joined now, which says nothing of when they did.
  insert into public.users (organization_id, id, full_name, role, is_active) values (p_organization_id, v_nobody, 'Erased', 'peer_mentor', false);
  perform set_config('attend.statistics_writer', 'drain', true);
  delete from public.activity_statistics s where s.organization_id = p_organization_id and s.user_id = v_nobody;
  update public.activity_statistics s set user_id = v_nobody where s.organization_id = p_organization_id and s.user_id = p_user_id;
  delete from public.activities a where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status <> 'completed';
  update public.activities a set user_id = v_nobody where a.organization_id = p_organization_id and a.user_id = p_user_id;
  update public.activities a set proxy_registered_by = v_nobody
  where a.organization_id = p_organization_id and a.proxy_registered_by = p_user_id;
  -- A drain that has their marks in hand will find nobody: all days anew, for whoever has them now.
  perform private.mark_statistics(array[p_organization_id], array[v_nobody], array[null::date]);

  -- All else goes with the row it refers to, what is yet to be built included.
  delete from public.users u where u.organization_id = p_organization_id and u.id = p_user_id;
  perform private.erase_logins(v_logins);
  delete from private.statistics_drift d where d.organization_id = p_organization_id and d.user_id = p_user_id;
  delete from private.sweep_findings f where f.organization_id = p_organization_id and f.user_id = p_user_id;
  v_mentions := private.forget_names(p_organization_id, v_names);
  -- Whom they looked after somebody else is to look after.
  perform private.mark_people_for_care(array_fill(p_organization_id, array[cardinality(v_cases)]), v_cases) where v_cases <> '{}';
  return private.erasure_counts(v_records, '{activities,activity_statistics,activities_registered_for_others}', v_mentions);
end;
$$;
comment on function private.erase_user(uuid, uuid) is
  'Erases a person of public.users: activities and statistics stay with a nameless person under a new id, so that no figure changes; everything else goes, logins included. Null: there is nobody. Returns {"erased", "kept", "mentions"}, rows by section.';
revoke all on function private.erase_user(uuid, uuid) from public, anon, authenticated, service_role;
