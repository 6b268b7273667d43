create function private.facts(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_as_of timestamptz)
returns table (
  user_id uuid, role public.user_role, is_active boolean, joined_at timestamptz, reactivated_at timestamptz,
  away_from timestamptz, away_until timestamptz, time_zone text, last_activity_at timestamptz)
language plpgsql stable
set search_path = ''
as $$
begin
  if p_as_of is null then
    return query select f.* from private.facts_now(p_organization_id, p_from_user, p_to_user, p_user_ids) f;
  else
    return query select f.* from private.facts_as_of(p_organization_id, p_from_user, p_to_user, p_user_ids, p_as_of) f;
  end if;
end;
$$;
comment on function private.facts(uuid, uuid, uuid, uuid[], timestamptz) is
  'private.facts_now, or with p_as_of private.facts_as_of: the evaluators read this and do not care which.';
revoke all on function private.facts(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.facts(uuid, uuid, uuid, uuid[], timestamptz) to service_role;
