create function private.facts_now(p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[])
returns table (
  user_id uuid, role public.user_role, is_active boolean, joined_at timestamptz, reactivated_at timestamptz,
  away_from timestamptz, away_until timestamptz, time_zone text, last_activity_at timestamptz)
language plpgsql stable
set search_path = ''
-- Everybody is found by key, so the plan is made once: planning took longer than looking one person up. It must not remember
-- that a table was empty.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_user_ids constant uuid[] := coalesce(p_user_ids, private.people(p_organization_id, p_from_user, p_to_user));
begin
  return query
  select u.id, u.role, u.is_active, u.joined_at, u.reactivated_at, u.away_from, u.away_until, u.time_zone,
    -- Nobody is decided on stale aggregates: whoever has a mark waiting, or no row yet, is looked up in the activities.
    case
      when s.user_id is null
        or exists (select from private.statistics_marks m where m.organization_id = u.organization_id and m.user_id = u.id)
      then (select a.occurred_at from public.activities a
            where a.organization_id = u.organization_id and a.user_id = u.id and a.status = 'completed'
            order by a.occurred_at desc limit 1)
      else s.last_activity_date
    end
  from public.users u
  left join lateral (
    select t.user_id, t.last_activity_date from public.activity_statistics t
    where t.organization_id = p_organization_id and t.user_id = u.id and t.period_type = 'all_time'
    offset 0
  ) s on true
  where u.organization_id = p_organization_id and u.id = any (v_user_ids)
    and (p_from_user is null or u.id >= p_from_user) and (p_to_user is null or u.id < p_to_user);
end;
$$;
comment on function private.facts_now(uuid, uuid, uuid, uuid[]) is
  'What the rules read of each person of a range (from inclusive, to exclusive, null: open) or list, right at this moment whatever still waits to be recomputed. Same columns as private.facts_as_of (rules.md §3 "Facts").';
revoke all on function private.facts_now(uuid, uuid, uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.facts_now(uuid, uuid, uuid, uuid[]) to service_role;
