create function private.mark_capped() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_row constant jsonb := to_jsonb(coalesce(new, old));
  v_organization_id constant uuid := coalesce(v_row ->> 'organization_id', v_row ->> 'id');
begin
  if coalesce(v_row ->> 'key', 'notification_daily_cap') not in ('notification_daily_cap', 'quiet_hours') then
    return null;
  end if;
  perform private.mark_people(array_agg(c.organization_id), array_agg(c.user_id))
  from (
    select distinct h.organization_id, h.user_id from private.held_decisions h
    where h.organization_id = v_organization_id and h.look_again_at is not null and h.gate = 'capped'
  ) c;
  return null;
end;
$$;
-- Definer because whoever sets an organisation's cap, quiet hours or time zone may not see whom it holds up.
comment on function private.mark_capped() is
  'Trigger on settings and organisations: whose day was full is looked at now, for the day or what fits in it has changed. (What waits to be pushed is judged at its release.)';
revoke all on function private.mark_capped() from public, anon, authenticated, service_role;
