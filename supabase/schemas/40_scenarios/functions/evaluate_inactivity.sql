create function public.evaluate_inactivity(p_user_id uuid, p_threshold_days integer, p_now timestamptz default now())
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_of_user(p_user_id);
  v_answer jsonb;
begin
  if p_threshold_days is null or p_threshold_days not between 1 and 3650 then
    raise exception using errcode = 'PT400', message = 'threshold_days_out_of_range',
      detail = jsonb_build_object('threshold_days', p_threshold_days, 'minimum', 1, 'maximum', 3650)::text;
  end if;
  select jsonb_build_object('user_id', f.user_id, 'organization_id', v_organization_id, 'threshold_days', p_threshold_days,
      'matched', e.gate = 'matched', 'gate', e.gate, 'last_activity_at', f.last_activity_at, 'anchor_at', n.anchor_at,
      'crossed_at', c.crossed_at, 'days_inactive', round(extract(epoch from p_now - n.anchor_at) / 86400, 3))
    into v_answer
  from private.inactivity_facts f
  cross join lateral (select greatest(f.anchor_at, case when f.away_until <= p_now then f.away_until end) as anchor_at) n
  cross join lateral (select n.anchor_at + make_interval(hours => 24 * p_threshold_days) as crossed_at) c
  cross join lateral (
    select case
      when not f.is_active then 'person_inactive'
      when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
      when f.role <> 'peer_mentor' or (c.crossed_at <= p_now) is not true then 'not_matched'
      else 'matched'
    end as gate) e
  where f.organization_id = v_organization_id and f.user_id = p_user_id;
  return v_answer;
end;
$$;
comment on function public.evaluate_inactivity(uuid, integer, timestamptz) is
  'The inactivity evaluator alone: whether a person has been quiet for this many days of 24 hours, with the values compared. No rule, preference or cooldown is asked, nothing is written. PT404 unknown_user, PT400 threshold_days_out_of_range (1 to 3650).';
revoke all on function public.evaluate_inactivity(uuid, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_inactivity(uuid, integer, timestamptz) to service_role;
