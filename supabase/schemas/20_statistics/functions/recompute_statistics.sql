create function private.recompute_statistics(
  p_organization_id uuid, p_user_ids uuid[], p_days date[], p_now timestamptz, p_touch boolean default true)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_users uuid[];
  v_whole_users uuid[];
  v_marked_users uuid[];
  v_marked_days date[];
begin
  perform set_config('attend.statistics_writer', 'drain', true);
  -- Rules and categories change before this or after it, never meanwhile.
  perform pg_advisory_xact_lock_shared(hashtextextended('attend.statistics ' || p_organization_id::text, 0));
  -- People first, then rows, in the order in which an erasure takes them. Who is gone drops out here. An erasure takes
  -- several people in whatever order they lie, so that whoever waits for it must hold none of them.
  loop
    begin
      select array_agg(l.id) into v_users
      from (
        select u.id from public.users u
        where u.organization_id = p_organization_id and u.id = any (p_user_ids)
        order by u.id
        for key share nowait
      ) l;
      exit;
    exception when lock_not_available then
      perform pg_sleep(0.01);
    end;
  end loop;
  -- Their all_time rows are the locks: taken in order, and before the snapshot of everything that follows, so that of two
  -- drains of one person the later sees what the earlier wrote.
  select array_agg(l.user_id) into v_users
  from (
    select s.user_id
    from public.activity_statistics s
    where s.organization_id = p_organization_id and s.period_type = 'all_time' and s.user_id = any (v_users)
    order by s.user_id
    for no key update
  ) l;
  if v_users is null then
    return;
  end if;

  select array_agg(distinct m.user_id) into v_whole_users
  from unnest(p_user_ids, p_days) as m (user_id, day) where m.day is null and m.user_id = any (v_users);
  select array_agg(m.user_id), array_agg(m.day) into v_marked_users, v_marked_days
  from unnest(p_user_ids, p_days) as m (user_id, day)
  where m.user_id = any (v_users) and m.user_id <> all (coalesce(v_whole_users, '{}'));
  return query
  select w.user_id, w.rows_changed
  from private.write_figures(p_organization_id, v_whole_users, v_marked_users, v_marked_days, p_now, p_touch) w;
end;
$$;
comment on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) is
  'Recomputes every bucket of the given people and UTC days (two arrays of equal length; a null day: all days) from their activities, streaks included, as of p_now. With p_touch false, rows already right keep their computed_at. Returns how many rows of whom it wrote or removed.';
revoke all on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) to service_role;
