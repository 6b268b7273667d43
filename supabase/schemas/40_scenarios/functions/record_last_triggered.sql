create function public.record_last_triggered(
  p_user_id uuid, p_scenario text, p_subject text default null, p_at timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_last_triggered_at timestamptz;
begin
  perform private.check_scenario_type(p_scenario);
  insert into private.cooldowns as cd (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)
  values (v_organization_id, p_user_id, p_scenario, coalesce(p_subject, p_scenario), p_at, 14)
  on conflict (organization_id, user_id, scenario, subject) do update
    set last_triggered_at = greatest(cd.last_triggered_at, excluded.last_triggered_at)
  returning cd.last_triggered_at into v_last_triggered_at;
  return jsonb_build_object('last_triggered_at', v_last_triggered_at);
end;
$$;
comment on function public.record_last_triggered(uuid, text, text, timestamptz) is
  'For senders outside: notes that a person was told about a subject (default: the scenario) at p_at. Idempotent, and never moves backwards.';
revoke all on function public.record_last_triggered(uuid, text, text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.record_last_triggered(uuid, text, text, timestamptz) to service_role;
