create function private.move_midnights() returns trigger
language plpgsql security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  -- Whoever takes attendance holds the other side of this lock (private.share_absence_threshold): their midnights are seen below, or
  -- they read the new zone.
  perform pg_advisory_xact_lock(hashtextextended('attend.absence_alert_threshold ' || new.id::text, 0));
  perform private.recompute_attendance(array_agg(p.organization_id), array_agg(p.id))
  from public.people p
  where p.organization_id = new.id and p.last_present_on is not null;
  return null;
end;
$$;
-- Definer because whoever changes an organisation may not write what attendance says of people.
comment on function private.move_midnights() is
  'Trigger on public.organizations: in another time zone the days on which people came without a check-in time begin at another moment.';
revoke all on function private.move_midnights() from public, anon, authenticated, service_role;
