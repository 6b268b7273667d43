create function public.freeze_team_report(
  p_title text, p_period_type public.statistics_period, p_day date default (now() at time zone 'UTC')::date)
returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_figures jsonb := public.team_statistics(p_period_type, p_day);
  v_report_id uuid;
begin
  -- A funder is not told figures that change a second later.
  if (v_figures ->> 'is_being_recomputed')::boolean then
    raise exception using errcode = 'PT409', message = 'statistics_are_being_recomputed', hint = 'Try again in a few seconds.';
  end if;
  insert into public.team_reports (organization_id, period_type, period_start, period_end, title, figures, frozen_by)
  values ((v_figures ->> 'organization_id')::uuid, p_period_type, (v_figures ->> 'period_start')::timestamptz,
    (v_figures ->> 'period_end')::timestamptz, p_title, v_figures, private.current_user_id())
  returning id into v_report_id;
  return v_figures || jsonb_build_object('report_id', v_report_id);
end;
$$;
-- Definer because nobody writes reports directly; team_statistics checks the caller and names the organisation.
comment on function public.freeze_team_report(text, public.statistics_period, date) is
  'Keeps the team''s figures as they stand, as a report that nothing changes any more. PT409 statistics_are_being_recomputed while changes wait to be counted.';
revoke all on function public.freeze_team_report(text, public.statistics_period, date) from public, anon, authenticated, service_role;
grant execute on function public.freeze_team_report(text, public.statistics_period, date) to authenticated;
