create function private.latest_return(p_organization_id uuid, p_student_id integer)
returns table (left_at timestamptz, returned_at timestamptz)
language sql stable
set search_path = ''
as $$
  -- Backwards along the index, and no further than the return.
  select v.before_at, v.checkin_time
  from (
    select a.checkin_time, lead(a.checkin_time) over (order by a.checkin_time desc) as before_at
    from public.student_attendance a
    where a.organization_id = p_organization_id and a.student_id = p_student_id
  ) v
  where v.checkin_time >= v.before_at + interval '336 hours'
  order by v.checkin_time desc
  limit 1;
$$;
comment on function private.latest_return(uuid, integer) is
  'A student''s latest check-in that came 14 days (of 24 hours) or more after the one before, and that one. No row: they were never away so long.';
revoke all on function private.latest_return(uuid, integer) from public, anon, authenticated, service_role;
