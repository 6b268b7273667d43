create function private.dirty_days(p_organization_id uuid, p_users uuid[], p_user_ids uuid[], p_days date[])
returns table (user_id uuid, day date)
language sql stable
set search_path = ''
as $$
  with marked as (
    select m.user_id, m.day from unnest(p_user_ids, p_days) as m (user_id, day) where m.user_id = any (p_users)
  ), whole as (
    select distinct m.user_id from marked m where m.day is null
  )
  select m.user_id, m.day from marked m where m.day is not null
  union
  select a.user_id, (a.occurred_at at time zone 'UTC')::date
  from whole w
  join public.activities a on a.organization_id = p_organization_id and a.user_id = w.user_id and a.status = 'completed'
  union
  -- Rows that stand although nothing is behind them: their days are dirty too.
  select s.user_id, (s.period_start at time zone 'UTC')::date
  from whole w
  join public.activity_statistics s on s.organization_id = p_organization_id and s.user_id = w.user_id and s.period_start is not null;
$$;
comment on function private.dirty_days(uuid, uuid[], uuid[], date[]) is
  'The UTC days to recompute: those marked, and for people marked as a whole every day that has an activity or begins a row. p_users: who still exists.';
revoke all on function private.dirty_days(uuid, uuid[], uuid[], date[]) from public, anon, authenticated, service_role;
grant execute on function private.dirty_days(uuid, uuid[], uuid[], date[]) to service_role;
