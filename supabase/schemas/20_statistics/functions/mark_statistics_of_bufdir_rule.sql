create function private.mark_statistics_of_bufdir_rule() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_rule public.bufdir_rules;
  v_sides public.bufdir_rules[];
begin
  -- (Unless the organisation goes, and everything of it.)
  perform private.need_read_committed() from public.organizations o where o.id = coalesce(new.organization_id, old.organization_id);
  -- A drain holds the shared side of this lock: it ran before these marks were made, which see what it counted, or it waits
  -- for this commit and reads the new rule. Deferred to the commit, so that nobody waits long.
  perform pg_advisory_xact_lock(hashtextextended('attend.statistics ' || coalesce(new.organization_id, old.organization_id)::text, 0));
  -- Each side holds from its date until the next rule's; a rule that moved or went gives its span to the one before it,
  -- so the span between the two dates is touched as well, and both spans together cover it.
  v_sides := case
    when tg_op = 'INSERT' then array[new]
    when tg_op = 'DELETE' or old.effective_from = new.effective_from then array[old]
    else array[old, new]
  end;
  foreach v_rule in array v_sides loop
    perform private.mark_statistics(array_agg(d.organization_id), array_agg(d.user_id), array_agg(d.day))
    from (
      select distinct a.organization_id, a.user_id, (a.occurred_at at time zone 'UTC')::date as day
      from public.activities a
      where a.organization_id = v_rule.organization_id and a.status = 'completed'
        and a.occurred_at >= v_rule.effective_from::timestamp at time zone 'UTC'
        and a.occurred_at < coalesce(
          (select min(r.effective_from)::timestamp at time zone 'UTC' from public.bufdir_rules r
           where r.organization_id = v_rule.organization_id and r.effective_from > v_rule.effective_from),
          'infinity')
    ) d;
  end loop;
  return null;
end;
$$;
-- Definer because admins who change a rule may not see marks.
comment on function private.mark_statistics_of_bufdir_rule() is 'Trigger: marks exactly the days of activities that a changed Bufdir rule covers, before or after.';
revoke all on function private.mark_statistics_of_bufdir_rule() from public, anon, authenticated, service_role;
