create function private.facts_as_of(p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_at timestamptz)
returns table (
  user_id uuid, role public.user_role, is_active boolean, joined_at timestamptz, reactivated_at timestamptz,
  away_from timestamptz, away_until timestamptz, time_zone text, last_activity_at timestamptz)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select u.id, p.role, p.is_active, p.joined_at, p.reactivated_at, p.away_from, p.away_until, p.time_zone,
    (select a.occurred_at from public.activities a
     where a.organization_id = u.organization_id and a.user_id = u.id and a.status = 'completed'
       and a.occurred_at <= p_at and a.recorded_at <= p_at
     order by a.occurred_at desc limit 1)
  from public.users u
  cross join lateral (
    select h.role, h.is_active, h.joined_at, h.reactivated_at, h.away_from, h.away_until, h.time_zone
    from (
      select h.*, 1 as precedence from private.user_history h
      where h.organization_id = u.organization_id and h.user_id = u.id and h.valid_to > p_at
      union all
      select u.organization_id, 0, u.id, u.role, u.is_active, u.joined_at, u.reactivated_at, u.away_from, u.away_until, u.time_zone,
        'infinity'::timestamptz, 2
    ) h
    order by h.precedence, h.valid_to, h.id
    limit 1
  ) p
  where u.organization_id = p_organization_id and u.created_at <= p_at
    and (p_from_user is null or u.id >= p_from_user)
    and (p_to_user is null or u.id < p_to_user)
    and (p_user_ids is null or u.id = any (p_user_ids));
end;
$$;
comment on function private.facts_as_of(uuid, uuid, uuid, uuid[], timestamptz) is
  'private.facts_now as it would have answered at p_at: people as they stood then, activities that had taken place and been recorded by then. An activity edited since counts as it is today; an erased person is gone from the past too.';
revoke all on function private.facts_as_of(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.facts_as_of(uuid, uuid, uuid, uuid[], timestamptz) to service_role;
