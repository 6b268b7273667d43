create function private.reflag_absences() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid;
  v_threshold integer;
begin
  for v_organization_id in
    select distinct k.organization_id
    from (values (old.organization_id, old.key), (new.organization_id, new.key)) as k (organization_id, key)
    join public.organizations o on o.id = k.organization_id
    where k.key = 'absence_alert_threshold'
    order by 1
  loop
    perform private.need_read_committed();
    perform pg_advisory_xact_lock(hashtextextended('attend.absence_alert_threshold ' || v_organization_id::text, 0));
    -- Changed in nothing, so that a writer whose snapshot is older than this is refused (private.share_absence_threshold).
    update public.organizations o set name = o.name where o.id = v_organization_id;
    v_threshold := private.absence_threshold(v_organization_id);
    update public.people p
    set at_risk_flag = p.consecutive_absences >= v_threshold
    where p.organization_id = v_organization_id and p.at_risk_flag <> (p.consecutive_absences >= v_threshold);
  end loop;
  return null;
end;
$$;
-- Definer because admins write settings and may not write what attendance says of people.
comment on function private.reflag_absences() is
  'Trigger on public.org_settings_kv: a changed absence_alert_threshold flags the organisation''s people anew, at once.';
revoke all on function private.reflag_absences() from public, anon, authenticated, service_role;
