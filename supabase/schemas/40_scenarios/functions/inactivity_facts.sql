create function private.inactivity_facts(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_now timestamptz)
returns table (
  user_id uuid, role public.user_role, is_active boolean, is_away boolean, away_until timestamptz,
  last_activity_at timestamptz, anchor_at timestamptz)
language plpgsql stable
set search_path = ''
-- The arguments decide the plan: a range of people, a list of them, or one. (plpgsql, because a function in SQL is planned
-- without knowing its arguments, whatever the plan cache is told.)
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  select u.id, u.role, u.is_active,
    coalesce(u.away_from <= p_now and (u.away_until is null or p_now < u.away_until), false),
    u.away_until, activity.last_activity_at,
    -- An absence still ahead is not yet a reason to wait; one under way is the gate "away".
    greatest(activity.last_activity_at, u.joined_at, u.reactivated_at, case when u.away_until <= p_now then u.away_until end)
  from public.users u
  left join lateral (
    select a.occurred_at as last_activity_at
    from public.activities a
    where a.organization_id = u.organization_id and a.user_id = u.id and a.status = 'completed'
    order by a.occurred_at desc
    limit 1
  ) activity on true
  where u.organization_id = p_organization_id
    and (p_from_user is null or u.id >= p_from_user)
    and (p_to_user is null or u.id < p_to_user)
    and (p_user_ids is null or u.id = any (p_user_ids));
end;
$$;
comment on function private.inactivity_facts(uuid, uuid, uuid, uuid[], timestamptz) is
  'What the inactivity scenario knows of each person of a range (from inclusive, to exclusive, null: open) or list. anchor_at: latest of the last completed activity, joined_at, reactivated_at and a past away_until (rules.md §3).';
revoke all on function private.inactivity_facts(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.inactivity_facts(uuid, uuid, uuid, uuid[], timestamptz) to service_role;
