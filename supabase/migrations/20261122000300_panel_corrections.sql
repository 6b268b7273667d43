-- A visit that moves between others may make a return; zones with leap seconds are none, however they are written.
set check_function_bodies = off;

create or replace function private.correct_checkins() returns trigger
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

create or replace function private.is_time_zone(p_name text) returns boolean
language plpgsql stable strict parallel safe
set search_path = ''
as $$
begin
  -- Postgres also takes abbreviations and POSIX strings ("XYZ5", "Etc/GMT+99") for zones, and any case. Only the Etc zones
  -- that exist may hold a digit, so a POSIX string, which needs one, never gets to the conversion. The server's own zone table answers the rest, a thousand times
  -- quicker than the view pg_timezone_names.
  if p_name !~ '^(UTC|Etc/GMT(0|[+-]([0-9]|1[0-2])|-1[34])?|[A-Z][A-Za-z_]*(/[A-Z][A-Za-z_-]*)+)$' then
    return false;
  end if;
  -- The server's table is a folder, looked into in any case: all zones stand in it twice more, with leap seconds (27 of them) and without.
  if p_name ~* '^(posix|right)/' then
    return false;
  end if;
  perform timestamptz '2000-01-01 00:00+00' at time zone p_name;
  return true;
exception when invalid_parameter_value then
  return false;
end;
$$;
comment on function private.is_time_zone(text) is 'Whether the server knows this IANA time zone. Null for null.';
revoke all on function private.is_time_zone(text) from public, anon, authenticated, service_role;
grant execute on function private.is_time_zone(text) to authenticated, service_role;
