create function private.opted_out_of(
  p_organization_id uuid, p_user_id uuid, p_scenario text, p_channel text, p_as_of timestamptz)
returns table (scenario text)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select p.scenario
  from (values ('all'), (p_scenario)) as p (scenario)
  where not coalesce(
    (select coalesce(h.was_enabled, true) from private.preference_history h
     where h.organization_id = p_organization_id and h.user_id = p_user_id and h.scenario = p.scenario and h.channel = p_channel
       and h.valid_to > p_as_of
     order by h.valid_to, h.id limit 1),
    (select np.is_enabled from public.notification_preferences np
     where np.organization_id = p_organization_id and np.user_id = p_user_id and np.scenario = p.scenario and np.channel = p_channel),
    true);
end;
$$;
comment on function private.opted_out_of(uuid, uuid, text, text, timestamptz) is
  'Which preferences of a person, all or this scenario, switched it off on a channel at p_as_of.';
revoke all on function private.opted_out_of(uuid, uuid, text, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.opted_out_of(uuid, uuid, text, text, timestamptz) to service_role;
