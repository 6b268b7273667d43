create function private.release_pushes(p_pushes private.outbox[], p_now timestamptz) returns setof private.push_release
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_releases private.push_release[] := array(select g from private.release_gates(p_pushes, p_now) g);
  v_organization_id uuid;
  v_gone jsonb := '{}';
  v_locked text[];
begin
  for v_organization_id in
    select distinct r.organization_id from unnest(v_releases) as r where r.gate is null order by 1
  loop
    v_gone := v_gone || coalesce((
      select jsonb_object_agg(j.notification_id, jsonb_build_object('gate', j.gate, 'problem', j.problem))
      from private.judge_conditions(v_organization_id, array(
        select r from unnest(v_releases) as r where r.gate is null and r.organization_id = v_organization_id), p_now) j), '{}');
  end loop;
  if v_gone <> '{}' then
    v_releases := array(
      select row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease, r.attempts,
        coalesce(r.gate, v_gone -> r.notification_id::text ->> 'gate'), r.release_at, r.planned_on,
        -- What does not go moves to no day, or it would be judged below as if nobody had asked for its condition.
        case when v_gone ? r.notification_id::text then r.planned_on else r.release_on end, r.expires_at,
        v_gone -> r.notification_id::text ->> 'problem', r.scenario, r.rule_id)::private.push_release
      from unnest(v_releases) as r);
  end if;

  -- What changes the person's list or fills another of their days is done under their lock, as the engine does, and nobody is
  -- waited for: whoever has the lock may be waiting for a push that is held here.
  if exists (select from unnest(v_releases) as r where r.gate = 'condition_gone' or r.release_on <> r.planned_on) then
    v_locked := array(
      select u.organization_id || ' ' || u.id from public.users u
      where (u.organization_id, u.id) in (
        select r.organization_id, r.user_id from unnest(v_releases) as r where r.gate = 'condition_gone' or r.release_on <> r.planned_on)
      order by u.organization_id, u.id
      for no key update of u skip locked);
    -- A day is counted by a statement that sees what was committed before the lock.
    v_releases := array(
      select r from unnest(v_releases) as r where (r.gate is distinct from 'condition_gone' and r.release_on <> r.planned_on) is not true
      union all
      select g from private.release_gates(array(
        select p from unnest(p_pushes) as p
        where exists (
          select from unnest(v_releases) as r
          where r.organization_id = p.organization_id and r.id = p.id and r.gate is distinct from 'condition_gone' and r.release_on <> r.planned_on)), p_now) g);
    v_releases := array(
      select case when (r.gate = 'condition_gone' or r.release_on <> r.planned_on) and r.organization_id || ' ' || r.user_id <> all (v_locked)
        then row(r.organization_id, r.id, r.notification_id, r.user_id, r.lease, r.attempts, 'busy', r.release_at, r.planned_on, r.planned_on,
          r.expires_at, null, r.scenario, r.rule_id)::private.push_release
        else r end
      from unnest(v_releases) as r);
    perform private.take_back(g.organization_id, g.ids, p_now), private.forget_case_news(g.organization_id, g.ids)
    from (
      select r.organization_id, array_agg(r.notification_id) as ids from unnest(v_releases) as r where r.gate = 'condition_gone' group by r.organization_id
    ) g;
    update public.notifications n
    set release_on = r.release_on
    from unnest(v_releases) as r
    where n.organization_id = r.organization_id and n.id = r.notification_id and r.release_on <> r.planned_on
      and (r.gate is null or r.gate in ('quiet_hours', 'capped'));
  end if;
  return query select r.* from unnest(v_releases) as r;
end;
$$;
comment on function private.release_pushes(private.outbox[], timestamptz) is
  'Judges claimed pushes at their release: private.release_gates, then whether their conditions still hold. What no longer holds leaves the app, too; what moves to another day is counted there. Every push has its row; busy: its person is being decided about this moment.';
revoke all on function private.release_pushes(private.outbox[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.release_pushes(private.outbox[], timestamptz) to service_role;
