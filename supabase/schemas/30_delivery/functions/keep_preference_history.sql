create function private.keep_preference_history() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- A key that is new, by insert or by update, had nothing stored until now.
  if tg_op = 'INSERT'
    or tg_op = 'UPDATE' and (new.user_id, new.scenario, new.channel) is distinct from (old.user_id, old.scenario, old.channel)
  then
    insert into private.preference_history (organization_id, user_id, scenario, channel, was_enabled)
    values (new.organization_id, new.user_id, new.scenario, new.channel, null);
  end if;
  if tg_op <> 'INSERT' then
    insert into private.preference_history (organization_id, user_id, scenario, channel, was_enabled)
    select old.organization_id, old.user_id, old.scenario, old.channel, old.is_enabled
    -- A person being erased takes the history along.
    where exists (select from public.users u where u.organization_id = old.organization_id and u.id = old.user_id);
  end if;
  return null;
end;
$$;
-- Definer because people change their preferences and may not write history.
comment on function private.keep_preference_history() is
  'Trigger on public.notification_preferences: keeps what held until now, so that a question about the past can be answered.';
revoke all on function private.keep_preference_history() from public, anon, authenticated, service_role;
