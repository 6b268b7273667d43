create function private.share_absence_threshold(p_organization_id uuid) returns integer
language plpgsql
set search_path = ''
as $$
begin
  -- Whoever changes the threshold holds the other side of this lock: they see what is written under the old one, or they are
  -- waited for and the new one is read. In a statement of its own, so that the read comes after the wait.
  perform pg_advisory_xact_lock_shared(hashtextextended('attend.absence_alert_threshold ' || p_organization_id::text, 0));
  if current_setting('transaction_isolation') <> 'read committed' then
    -- A snapshot of before the wait would still show the old one. Whoever changed it has touched this row, which is a conflict
    -- (40001) to such a snapshot: it is tried again.
    perform from public.organizations o where o.id = p_organization_id for share;
  end if;
  return private.absence_threshold(p_organization_id);
end;
$$;
comment on function private.share_absence_threshold(uuid) is
  'The threshold, which nobody changes until this transaction has ended.';
revoke all on function private.share_absence_threshold(uuid) from public, anon, authenticated, service_role;
