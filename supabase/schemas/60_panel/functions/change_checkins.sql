create function private.change_checkins(
  p_organization_ids uuid[], p_student_ids integer[], p_numbers integer[],
  p_first_at timestamptz[], p_last_at timestamptz[], p_first_gone timestamptz[], p_last_gone timestamptz[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  -- Locked before anything is looked for, so that the next statement sees what others wrote of these students; in the order of
  -- the key, so that two who write of the same students wait for each other instead of both waiting.
  perform from public.students s
  where (s.organization_id, s.student_id) in (
    select t.organization_id, t.student_id from unnest(p_organization_ids, p_student_ids) as t (organization_id, student_id))
  order by s.organization_id, s.student_id
  for no key update;

  -- Numbers are added and never counted anew: several triggers of one statement (on conflict do update, a delete in a with
  -- clause) each bring their own part, in any order. Looking a first or last one up again may be done twice.
  update public.students s
  set checkins = s.checkins + c.number,
      first_checkin_at = case
        when s.checkins + c.number = 0 then null
        when c.first_gone <= s.first_checkin_at then (
          select min(a.checkin_time) from public.student_attendance a
          where a.organization_id = s.organization_id and a.student_id = s.student_id)
        else least(s.first_checkin_at, c.first_at) end,
      last_checkin_at = case
        when s.checkins + c.number = 0 then null
        when c.last_gone >= s.last_checkin_at then (
          select max(a.checkin_time) from public.student_attendance a
          where a.organization_id = s.organization_id and a.student_id = s.student_id)
        else greatest(s.last_checkin_at, c.last_at) end,
      (left_at, returned_at) = (
        select case o.how when 'anew' then r.left_at when 'returned' then s.last_checkin_at else s.left_at end,
          case o.how when 'anew' then r.returned_at when 'returned' then c.first_at else s.returned_at end
        from (
          select case
            -- A day's worth of the newest: nothing lies between them, and only the first can have been waited for.
            when c.first_gone is null and c.first_at >= coalesce(s.last_checkin_at, c.first_at) and c.last_at < c.first_at + interval '336 hours'
              then case when c.first_at >= s.last_checkin_at + interval '336 hours' then 'returned' else 'as before' end
            else 'anew' end as how
        ) o
        -- (offset: else it would be looked for first, and the condition be asked afterwards)
        left join lateral (
          select f.left_at, f.returned_at from private.latest_return(s.organization_id, s.student_id) f where o.how = 'anew' offset 0) r on true
      )
  from unnest(p_organization_ids, p_student_ids, p_numbers, p_first_at, p_last_at, p_first_gone, p_last_gone)
    as c (organization_id, student_id, number, first_at, last_at, first_gone, last_gone)
  where s.organization_id = c.organization_id and s.student_id = c.student_id;
end;
$$;
comment on function private.change_checkins(uuid[], integer[], integer[], timestamptz[], timestamptz[], timestamptz[], timestamptz[]) is
  'Brings what is kept of students up to date, one element a student: how many check-ins more (or fewer), the first and last of those that came, and of those that went. The last two may be null: none went.';
revoke all on function private.change_checkins(uuid[], integer[], integer[], timestamptz[], timestamptz[], timestamptz[], timestamptz[])
  from public, anon, authenticated, service_role;
