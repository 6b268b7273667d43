create function private.retract_opted_out() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- An evaluation that is about to tell this person holds this lock until its notification can be seen below; one that comes
  -- later reads the preference.
  perform from public.users u where u.organization_id = new.organization_id and u.id = new.user_id for no key update;
  with undelivered as (
    update private.outbox o
    set state = 'retracted'
    from public.notifications n
    where o.organization_id = new.organization_id and o.user_id = new.user_id and o.state in ('pending', 'deferred', 'failed')
      and n.organization_id = o.organization_id and n.id = o.notification_id
      and new.scenario in ('all', n.scenario) and new.channel in ('all', o.channel) and not n.is_mandatory
  )
  update public.notifications n
  set retracted_at = now()
  where n.organization_id = new.organization_id and n.user_id = new.user_id and new.channel = 'all'
    and new.scenario in ('all', n.scenario) and not n.is_mandatory
    and n.read_at is null and n.dismissed_at is null and n.retracted_at is null;
  return null;
end;
$$;
-- Definer because people may write their preferences and not the outbox.
comment on function private.retract_opted_out() is
  'Trigger on public.notification_preferences: opting out takes back what waits to be pushed, and for every channel also what is unread in the app (rules.md §3).';
revoke all on function private.retract_opted_out() from public, anon, authenticated, service_role;
