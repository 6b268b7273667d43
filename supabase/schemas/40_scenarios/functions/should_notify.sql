create function public.should_notify(
  p_user_id uuid, p_scenario text, p_subject text default null, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_reason text;
  v_until timestamptz;
begin
  perform private.check_scenario_type(p_scenario);
  -- A rule's cooldown is what it says today, as in the gates; other subjects keep the one they were told with.
  -- What is told once and for all speaks only against itself.
  select max(case when cd.cooldown_days is null then 'infinity'
      else cd.last_triggered_at + make_interval(hours => 24 * coalesce(r.cooldown_days, cd.cooldown_days)) end) into v_until
  from private.cooldowns cd
  left join public.scenario_rules r on r.organization_id = cd.organization_id and r.id::text = cd.subject
  where cd.organization_id = v_organization_id and cd.user_id = p_user_id and cd.scenario = p_scenario
    and case when p_subject is null then cd.cooldown_days is not null else cd.subject = p_subject end;
  select case
      when not u.is_active then 'person_inactive'
      when exists (
        select from public.notification_preferences np
        where np.organization_id = v_organization_id and np.user_id = p_user_id
          and np.scenario in ('all', p_scenario) and np.channel = 'all' and not np.is_enabled) then 'opted_out'
      when v_until > p_now then 'cooling_down'
    end into v_reason
  from public.users u
  where u.organization_id = v_organization_id and u.id = p_user_id;
  return jsonb_build_object('allowed', v_reason is null, 'reason', v_reason,
    'until', case when v_reason = 'cooling_down' then nullif(v_until, 'infinity') end);
end;
$$;
comment on function public.should_notify(uuid, text, text, timestamptz) is
  'Advice: whether a notification would pass activity, preference and cooldown now; without a subject, any cooldown of the scenario that ends counts. No until with cooling_down: once and for all. Only enqueue_notification decides. PT404 unknown_user, PT400 unknown_scenario.';
revoke all on function public.should_notify(uuid, text, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.should_notify(uuid, text, text, timestamptz) to service_role;
