create function private.totals_as_of(
  p_organization_id uuid, p_user_ids uuid[], p_period text, p_period_start timestamptz, p_at timestamptz)
returns table (user_id uuid, sessions integer, minutes integer, contacts integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select p.id, t.sessions, t.minutes, t.contacts
  from unnest(p_user_ids) as p (id)
  cross join lateral private.raw_totals(p_organization_id, p.id, p_period, p_period_start, p_at) t;
end;
$$;
comment on function private.totals_as_of(uuid, uuid[], text, timestamptz, timestamptz) is
  'private.totals_now as it would have answered at p_at, from the activities that had taken place and been recorded by then.';
revoke all on function private.totals_as_of(uuid, uuid[], text, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.totals_as_of(uuid, uuid[], text, timestamptz, timestamptz) to service_role;
