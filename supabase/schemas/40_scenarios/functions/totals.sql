create function private.totals(
  p_organization_id uuid, p_user_ids uuid[], p_period text, p_period_start timestamptz, p_as_of timestamptz)
returns table (user_id uuid, sessions integer, minutes integer, contacts integer)
language plpgsql stable
set search_path = ''
as $$
begin
  if p_as_of is null then
    return query select t.* from private.totals_now(p_organization_id, p_user_ids, p_period, p_period_start) t;
  else
    return query select t.* from private.totals_as_of(p_organization_id, p_user_ids, p_period, p_period_start, p_as_of) t;
  end if;
end;
$$;
comment on function private.totals(uuid, uuid[], text, timestamptz, timestamptz) is
  'private.totals_now, or with p_as_of private.totals_as_of.';
revoke all on function private.totals(uuid, uuid[], text, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.totals(uuid, uuid[], text, timestamptz, timestamptz) to service_role;
