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
      select b.organization_id, b.student_id, sum(b.number)::integer as number,
        min(b.checkin_time) filter (where b.number > 0) as first_at, max(b.checkin_time) filter (where b.number > 0) as last_at,
        min(b.checkin_time) filter (where b.number < 0) as first_gone, max(b.checkin_time) filter (where b.number < 0) as last_gone
      from (
        select t.organization_id, t.student_id, t.checkin_time, sum(t.number) as number
        from (
          select o.organization_id, o.student_id, o.checkin_time, -1 as number from old_rows o
          union all
          select n.organization_id, n.student_id, n.checkin_time, 1 from new_rows n
        ) t
        group by t.organization_id, t.student_id, t.checkin_time
        -- As many at this time as before (minutes were entered): nothing that is kept has changed. The ends alone do not tell:
        -- a visit that moves between them may make a return.
        having sum(t.number) <> 0
      ) b
      group by b.organization_id, b.student_id
    ) c;
  end if;
  return null;
end;
$$;
-- Definer because whoever corrects check-ins may not write what they say of students.
comment on function private.correct_checkins() is
  'Trigger: takes deleted check-ins out of what is kept of their students, and follows those that were changed or moved to another student.';
revoke all on function private.correct_checkins() from public, anon, authenticated, service_role;
