-- Why a case is opened again was worked out and kept nowhere.
set check_function_bodies = off;

create or replace function private.case_changes(p_organization_id uuid, p_person_ids uuid[], p_now timestamptz) returns setof private.case_change
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_recase_after_days constant integer := coalesce(
    (select (s.value #>> '{}')::integer from public.org_settings_kv s
     where s.organization_id = p_organization_id and s.key = 'recase_after_days'), 28);
  v_threshold constant integer := private.absence_threshold(p_organization_id);
  -- As a list, which is hashed whatever the planner thinks of a table that the first night has just filled.
  v_asked_after constant uuid[] := array(
    select c.person_id from public.pastoral_cases c
    where c.organization_id = p_organization_id and c.status in ('open', 'in_progress') and c.person_id = any (p_person_ids));
begin
  return query
  with wanted as materialized (
    -- Nobody is asked after, and somebody should be.
    select p.id, p.consecutive_absences, p.absent_since, p.last_absent_on, p.last_present_on, p.family_id,
      case when p.is_long_absent then 'urgent' else 'normal' end::public.case_priority as priority
    from public.people p
    where p.organization_id = p_organization_id and p.at_risk_flag and p.status = 'active' and p.id = any (p_person_ids)
      and p.id <> all (v_asked_after)
  ), live as materialized (
    select c.id, c.person_id, c.status, c.priority, c.absences, c.absent_since, c.assigned_servant_id, p.status as person_status,
      p.at_risk_flag and p.status = 'active' as is_at_risk, p.is_long_absent, p.consecutive_absences, p.absent_since as away_since, p.last_absent_on
    from public.pastoral_cases c
    join public.people p on p.organization_id = c.organization_id and p.id = c.person_id
    where c.organization_id = p_organization_id and c.status in ('open', 'in_progress', 'returned')
      and c.person_id = any (p_person_ids)
  ), remembered as (
    select r.*, l.id as latest_id, l.status as latest_status, l.priority as latest_priority, l.closed_at, l.returned_on,
      r.last_present_on > l.last_absent_on as came_back
    from wanted r
    left join lateral (
      select c.id, c.status, c.priority, c.closed_at, c.last_absent_on,
        (select min(a.service_date) from public.attendance_records a
         where a.organization_id = p_organization_id and a.person_id = r.id and a.status in ('present', 'late')
           and a.service_date > c.last_absent_on) as returned_on
      from public.pastoral_cases c
      where c.organization_id = p_organization_id and c.person_id = r.id and c.status in ('returned', 'closed')
      order by c.opened_at desc, c.id
      limit 1
    ) l on true
  ), judged as (
    select w.*,
      case
        when w.latest_id is null then 'open'
        when w.came_back then case when w.at_risk_on - w.returned_on <= 30 then 'reopen' else 'open' end
        -- What ended the absence was itself a mistake.
        when w.latest_status = 'returned' then 'reopen'
        when p_now >= w.closed_at + make_interval(hours => 24 * v_recase_after_days) then 'open'
        when w.priority = 'urgent' and w.latest_priority = 'normal' then 'open'
      end as action
    from (
      select w.*, case when w.came_back then (
        select a.service_date from public.attendance_records a
        where a.organization_id = p_organization_id and a.person_id = w.id and a.status = 'absent' and a.service_date >= w.absent_since
        order by a.service_date offset v_threshold - 1 limit 1) end as at_risk_on
      from remembered w
    ) w
  )
  select j.id, case when j.action = 'reopen' then j.latest_id end, j.action, null, u.id, j.priority, j.consecutive_absences,
    j.absent_since, j.last_absent_on, null::date
  from judged j
  -- private.servant_of, for many at once.
  left join public.families f on f.organization_id = p_organization_id and f.id = j.family_id
  left join public.users u on u.organization_id = p_organization_id and u.id = f.assigned_servant_id and u.is_active and u.role <> 'peer_mentor'
  where j.action is not null
  union all
  select v.person_id, v.id, 'escalate', null, v.assigned_servant_id, 'urgent', v.consecutive_absences, v.away_since, v.last_absent_on, null
  from live v
  where v.is_at_risk and v.status <> 'returned' and v.priority = 'normal' and v.is_long_absent
  union all
  -- Whoever asked has left, or there was nobody and now there is.
  select v.person_id, v.id, 'assign', null, s.servant_id, v.priority, null, null, null, null
  from live v
  left join public.users u on u.organization_id = p_organization_id and u.id = v.assigned_servant_id
  cross join lateral (
    select case when u.is_active is not true or u.role = 'peer_mentor' then private.servant_of(p_organization_id, v.person_id) else u.id end as servant_id
    offset 0) s
  where s.servant_id is distinct from v.assigned_servant_id and (v.status = 'returned' or v.is_at_risk)
  union all
  select v.person_id, v.id, case when s.absences >= v_threshold and s.returned_on is not null and v.person_status = 'active' then 'return' else 'withdraw' end,
    case
      when v.person_status <> 'active' then 'person_' || v.person_status
      when s.absences >= v.absences then 'threshold_raised'
      else 'attendance_corrected' end,
    v.assigned_servant_id, v.priority, null, null, null, s.returned_on
  from live v
  left join lateral (
    select * from private.absence_spell(p_organization_id, v.person_id, v.absent_since) where v.person_status = 'active'
  ) s on true
  where not v.is_at_risk
    -- What was a return stays one, unless the absence before it never was.
    and (v.status <> 'returned' or (v.person_status = 'active' and coalesce(s.absences < v_threshold and s.absences < v.absences, true)));
end;
$$;
comment on function private.case_changes(uuid, uuid[], timestamptz) is
  'What is to be done about the cases of these people of an organisation, by what attendance, families and settings say now (rules.md §4). Reads; private.tend_cases writes.';
revoke all on function private.case_changes(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.case_changes(uuid, uuid[], timestamptz) to service_role;
