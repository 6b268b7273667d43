create function private.keep_case_trail() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  -- Once, and not for each of the many cases of one statement.
  v_actor_id constant uuid := private.current_user_id();
begin
  if tg_op = 'INSERT' then
    insert into public.pastoral_case_events (organization_id, case_id, actor_id, changes)
    select n.organization_id, n.id, v_actor_id, jsonb_build_object('status', jsonb_build_array(null, n.status),
      'priority', jsonb_build_array(null, n.priority), 'assigned_servant_id', jsonb_build_array(null, n.assigned_servant_id),
      'absences', jsonb_build_array(null, n.absences))
    from new_rows n;
  else
    insert into public.pastoral_case_events (organization_id, case_id, actor_id, changes)
    select new.organization_id, new.id, v_actor_id, jsonb_object_agg(a.key, jsonb_build_array(b.value, a.value))
    from jsonb_each(to_jsonb(new) - 'untold') as a
    join jsonb_each(to_jsonb(old)) as b on b.key = a.key
    where b.value <> a.value
      -- The trail of a case goes with it, and an erasure may pass by here on the way.
      and exists (select from public.pastoral_cases c where c.organization_id = new.organization_id and c.id = new.id)
    having count(*) > 0;
  end if;
  return null;
end;
$$;
-- Definer because nobody may write the trail, so that nobody can leave a change out.
comment on function private.keep_case_trail() is
  'Trigger on public.pastoral_cases: who changed what, column by column. Nobody''s id means that a run did.';
revoke all on function private.keep_case_trail() from public, anon, authenticated, service_role;
