create function private.correct_checkins() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    perform private.change_checkins(array_agg(c.organization_id), array_agg(c.student_id), array_agg(c.number), null, null,
      array_agg(c.first_gone), array_agg(c.last_gone))
    from (
      select o.organization_id, o.student_id, -count(*)::integer as number, min(o.checkin_time) as first_gone,
        max(o.checkin_time) as last_gone
      from old_rows o
      group by o.organization_id, o.student_id
    ) c;
  else
    perform private.change_checkins(array_agg(c.organization_id), array_agg(c.student_id), array_agg(c.number),
      array_agg(c.first_at), array_agg(c.last_at), array_agg(c.first_gone), array_agg(c.last_gone))
    from (
      select b.organization_id, b.student_id, sum(b.number)::integer as number, min(b.came_at) as first_at, max(b.came_at) as last_at,
        min(b.went_at) as first_gone, max(b.went_at) as last_gone
      from (
        select o.organization_id, o.student_id, -1 as number, null::timestamptz as came_at, o.checkin_time as went_at from old_rows o
        union all
        select n.organization_id, n.student_id, 1, n.checkin_time, null from new_rows n
      ) b
      group by b.organization_id, b.student_id
      -- As many as before between the same ends (minutes were entered): nothing that is kept has changed.
      having sum(b.number) <> 0 or min(b.came_at) is distinct from min(b.went_at) or max(b.came_at) is distinct from max(b.went_at)
    ) c;
  end if;
  return null;
end;
$$;
-- Definer because whoever corrects check-ins may not write what they say of students.
comment on function private.correct_checkins() is
  'Trigger: takes deleted check-ins out of what is kept of their students, and follows those that were changed or moved to another student.';
revoke all on function private.correct_checkins() from public, anon, authenticated, service_role;
