create function private.mark_statistics_of_activity_type() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  perform private.need_read_committed();
  -- A drain holds the shared side of this lock: it ran before these marks were made, which see what it counted, or it waits
  -- for this commit and reads the new category. Deferred to the commit, so that nobody waits long.
  perform pg_advisory_xact_lock(hashtextextended('attend.statistics ' || new.organization_id::text, 0));
  perform private.mark_statistics(array_agg(d.organization_id), array_agg(d.user_id), array_agg(d.day))
  from (
    select distinct a.organization_id, a.user_id, (a.occurred_at at time zone 'UTC')::date as day
    from public.activities a
    where a.organization_id = new.organization_id and a.activity_type_id = new.id and a.status = 'completed'
  ) d;
  return null;
end;
$$;
-- Definer because admins who change a type may not see marks.
comment on function private.mark_statistics_of_activity_type() is 'Trigger: marks the days of activities of a type whose category changed.';
revoke all on function private.mark_statistics_of_activity_type() from public, anon, authenticated, service_role;
