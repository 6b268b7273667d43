create function public.enqueue_notification(
  p_user_id uuid, p_scenario text, p_context jsonb default '{}', p_subject text default null,
  p_cooldown_days integer default null, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_outcome jsonb;
begin
  perform private.check_scenario_type(p_scenario);
  if jsonb_typeof(p_context) is distinct from 'object' then
    raise exception using errcode = 'PT400', message = 'context_is_not_an_object', hint = 'Pass a JSON object, or leave it out.';
  end if;
  if p_cooldown_days is not null and p_cooldown_days not between 1 and 3650 then
    raise exception using errcode = 'PT400', message = 'cooldown_days_out_of_range',
      detail = jsonb_build_object('cooldown_days', p_cooldown_days, 'minimum', 1, 'maximum', 3650)::text;
  end if;
  select jsonb_build_object('outcome', c.outcome, 'notification_id', c.notification_id,
      'until', coalesce(nullif(c.cooldown_until, 'infinity'), c.look_again_at))
    into v_outcome
  from private.claim_notifications(v_organization_id, array[row(
      p_user_id, p_scenario, coalesce(p_subject, p_scenario), null, coalesce(p_cooldown_days, 14), null, p_context,
      null, 100, false, false)::private.notification_claim], p_now) c;
  return v_outcome;
end;
$$;
comment on function public.enqueue_notification(uuid, text, jsonb, text, integer, timestamptz) is
  'The atomic claim for one person: preference, cooldown (default 14 days), notification and outbox in one transaction. The outcome is a value: sent, quiet_hours (in the app now, pushed when they end), opted_out, cooling_down, capped, person_inactive. The subject defaults to the scenario. Repeating a call within the cooldown tells nobody twice.';
revoke all on function public.enqueue_notification(uuid, text, jsonb, text, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.enqueue_notification(uuid, text, jsonb, text, integer, timestamptz) to service_role;
