create function private.totals_now(p_organization_id uuid, p_user_ids uuid[], p_period text, p_period_start timestamptz)
returns table (user_id uuid, sessions integer, minutes integer, contacts integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  return query
  select p.id, t.sessions, t.minutes, t.contacts
  from unnest(p_user_ids) as p (id)
  cross join lateral (
    select s.total_activities as sessions, s.total_duration_minutes as minutes, s.unique_contacts_reached as contacts
    from public.activity_statistics s
    where (s.organization_id = p_organization_id) is true and s.user_id = p.id and s.period_type = p_period::public.statistics_period
      and s.period_start is not distinct from p_period_start
      and not exists (select from private.statistics_marks m where m.organization_id = p_organization_id and m.user_id = p.id)
    union all
    select r.sessions, r.minutes, r.contacts
    from private.raw_totals(p_organization_id, p.id, p_period, p_period_start, 'infinity') r
    where exists (select from private.statistics_marks m where m.organization_id = p_organization_id and m.user_id = p.id)
    offset 0
  ) t;
end;
$$;
comment on function private.totals_now(uuid, uuid[], text, timestamptz) is
  'Sessions, minutes and different contacts of people in a year (p_period_start: its first instant, UTC) or all time (null), right at this moment whatever still waits to be recomputed. Who has none may be missing. Same columns as private.totals_as_of.';
revoke all on function private.totals_now(uuid, uuid[], text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.totals_now(uuid, uuid[], text, timestamptz) to service_role;
