create function public.team_statistics(
  p_period_type public.statistics_period, p_day date default (now() at time zone 'UTC')::date, p_user_ids uuid[] default null)
returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_as('{coordinator,manager,admin}');
begin
  if v_organization_id is null then
    raise exception using errcode = '42501', message = 'only_staff_read_team_statistics',
      hint = 'Sign in as an active coordinator, manager or admin of the organisation.';
  end if;
  return private.team_figures(v_organization_id, p_period_type, p_day, p_user_ids);
end;
$$;
-- Definer because a policy judged for every activity of a year would cost more than the sum; the organisation is always the caller's own.
comment on function public.team_statistics(public.statistics_period, date, uuid[]) is
  'The team''s figures for the period (UTC) that contains a day, for the caller''s organisation and nobody else''s, whatever ids are asked for. is_being_recomputed tells whether changes still wait to be counted.';
revoke all on function public.team_statistics(public.statistics_period, date, uuid[]) from public, anon, authenticated, service_role;
grant execute on function public.team_statistics(public.statistics_period, date, uuid[]) to authenticated;
