create function private.rebuild_statistics(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_now timestamptz, p_reconcile_run_id bigint)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_users uuid[];
  v_marked_users uuid[];
  v_marked_days date[];
  v_rows bigint;
  v_people bigint := 0;
begin
  select array_agg(l.id) into v_users
  from (
    select u.id from public.users u
    where u.organization_id = p_organization_id
      and (p_from_user is null or u.id >= p_from_user) and (p_to_user is null or u.id < p_to_user)
    order by u.id
    for key share
  ) l;
  insert into public.activity_statistics (organization_id, user_id, period_type)
  select p_organization_id, u.id, 'all_time' from unnest(v_users) as u (id)
  on conflict do nothing;

  -- Everybody's lock first and in order, as a drain takes them; and no waiting for marks that a drain holds, which itself
  -- waits for these locks: it will recompute them after us.
  perform from public.activity_statistics s
  where s.organization_id = p_organization_id and s.period_type = 'all_time' and s.user_id = any (v_users)
  order by s.user_id
  for no key update;
  -- What a mark announces is no drift: it is recomputed first, and not counted.
  with claimed as (
    delete from private.statistics_marks m
    where m.ctid = any (array(
      select w.ctid from private.statistics_marks w
      where w.organization_id = p_organization_id and w.user_id = any (v_users)
      for update skip locked))
    returning m.user_id, m.day
  )
  select array_agg(c.user_id), array_agg(c.day) into v_marked_users, v_marked_days from claimed c;
  if v_marked_users is not null then
    perform private.recompute_statistics(p_organization_id, v_marked_users, v_marked_days, p_now);
  end if;

  with changed as (
    select r.user_id, sum(r.rows_changed) as rows_changed
    from private.recompute_statistics(
      p_organization_id, v_users, array_fill(null::date, array[cardinality(v_users)]), p_now, p_reconcile_run_id is null) r
    where not exists (select from private.statistics_marks m where m.organization_id = p_organization_id and m.user_id = r.user_id)
    group by r.user_id
  ), reported as (
    insert into private.statistics_drift (organization_id, user_id, run_id, rows_changed)
    select p_organization_id, c.user_id, p_reconcile_run_id, c.rows_changed from changed c where p_reconcile_run_id is not null
  )
  select coalesce(sum(c.rows_changed), 0), count(*) into v_rows, v_people from changed c;
  return jsonb_build_object('statistics', case when p_reconcile_run_id is null
    then jsonb_build_object('rows_written', v_rows)
    else jsonb_build_object('rows_repaired', v_rows, 'people_with_drift', v_people) end);
end;
$$;
comment on function private.rebuild_statistics(uuid, uuid, uuid, timestamptz, bigint) is
  'Recomputes every row of a range of people (from inclusive, to exclusive, null: open). With a reconcile''s run id only rows that differ are written, and whose they were is reported.';
revoke all on function private.rebuild_statistics(uuid, uuid, uuid, timestamptz, bigint) from public, anon, authenticated, service_role;
grant execute on function private.rebuild_statistics(uuid, uuid, uuid, timestamptz, bigint) to service_role;
