create function private.move_midnights() returns trigger
language plpgsql security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  -- Whoever takes attendance holds the other side of this lock (private.share_absence_threshold); then everybody, in the order of
  -- the key, before they are read.
  perform pg_advisory_xact_lock(hashtextextended('attend.absence_alert_threshold ' || new.id::text, 0));
  perform from public.people p where p.organization_id = new.id and p.last_present_on is not null order by p.id for no key update;
  update public.people p
  set last_attendance_at = h.attended_at
  from (
    select r.person_id, max(coalesce(r.checked_in_at, d.midnight)) as attended_at
    from (
      select q.last_present_on as day, private.local_midnight(q.last_present_on, new.time_zone) as midnight
      from public.people q where q.organization_id = new.id and q.last_present_on is not null
      group by q.last_present_on
    ) d
    join public.people q on q.organization_id = new.id and q.last_present_on = d.day
    join public.attendance_records r on r.organization_id = new.id and r.person_id = q.id and r.service_date = d.day
      and r.status in ('present', 'late')
    group by r.person_id
  ) h
  where p.organization_id = new.id and p.id = h.person_id and p.last_attendance_at is distinct from h.attended_at;
  return null;
end;
$$;
-- Definer because whoever changes an organisation may not write what attendance says of people.
comment on function private.move_midnights() is
  'Trigger on public.organizations: in another time zone the days on which people came without a check-in time begin at another moment.';
revoke all on function private.move_midnights() from public, anon, authenticated, service_role;
