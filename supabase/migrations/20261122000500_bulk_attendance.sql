-- Attendance of thousands in one statement, as fast while the statistics know of nobody as when they know of all.
set check_function_bodies = off;

drop index public.attendance_records_service_id;
create index attendance_records_service_id on public.attendance_records (organization_id, service_id, service_date) where service_id is not null;

create or replace function private.add_attendance(
  p_organization_ids uuid[], p_person_ids uuid[], p_first_day date[], p_present_on date[], p_attended_at timestamptz[],
  p_absences integer[], p_first_absent date[], p_last_absent date[])
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
as $$
declare
  v_organization_ids uuid[];
  v_thresholds integer[];
  v_left_organizations uuid[];
  v_left_people uuid[];
begin
  select array_agg(o.id), array_agg(private.share_absence_threshold(o.id)) into v_organization_ids, v_thresholds
  from (select distinct u.id from unnest(p_organization_ids) u (id) order by u.id) o;

  -- Only what comes after everything known may be added to it. So nothing is counted twice where another trigger of the same
  -- statement (on conflict do update, a delete in a with clause) has recomputed the person already, and a row that somebody else
  -- changed meanwhile is judged by what it became.
  -- Everybody is probed by their key, and written by row address: joined, whoever was there when the statistics were young (one
  -- person, say) would be compared with all who are added. Whose row moves meanwhile is either judged again or left.
  with added as materialized (
    select a.*, k.row_at
    from (
      select u.*, w.threshold
      from unnest(p_organization_ids, p_person_ids, p_first_day, p_present_on, p_attended_at, p_absences, p_first_absent, p_last_absent)
        as u (organization_id, id, first_day, present_on, attended_at, absences, first_absent, last_absent)
      join unnest(v_organization_ids, v_thresholds) as w (organization_id, threshold) on w.organization_id = u.organization_id
      -- Two who write of the same people wait for each other, and not in a circle.
      order by u.organization_id, u.id
      offset 0
    ) a
    cross join lateral (
      select p.ctid as row_at from public.people p where p.organization_id = a.organization_id and p.id = a.id offset 0) k
  ), written as (
    update public.people p
    set last_present_on = coalesce(a.present_on, p.last_present_on), last_attendance_at = coalesce(a.attended_at, p.last_attendance_at),
        consecutive_absences = a.absences + case when a.present_on is null then p.consecutive_absences else 0 end,
        at_risk_flag = a.absences + case when a.present_on is null then p.consecutive_absences else 0 end >= a.threshold,
        absent_since = case when a.present_on is null then coalesce(p.absent_since, a.first_absent) else a.first_absent end,
        last_absent_on = a.last_absent
    from added a
    where p.ctid = a.row_at
      and a.first_day > coalesce(greatest(p.last_present_on, p.last_absent_on), '-infinity')
    returning p.organization_id, p.id
  )
  -- As sets: "not exists" would be a nested loop wherever few rows are expected. Mostly nobody is left, which two numbers tell.
  select array_agg(l.organization_id), array_agg(l.id) into v_left_organizations, v_left_people
  from (select a.organization_id, a.id from added a except select w.organization_id, w.id from written w) l
  where (select count(*) from written w) < cardinality(p_person_ids);
  perform private.recompute_attendance(v_left_organizations, v_left_people);
end;
$$;
comment on function private.add_attendance(uuid[], uuid[], date[], date[], timestamptz[], integer[], date[], date[]) is
  'Adds new records to what is known of people, one row a person: the first new day, the day they came and when, or absences, and the first and last day of those. Whose new records are not all later than the known ones is recomputed.';
revoke all on function private.add_attendance(uuid[], uuid[], date[], date[], timestamptz[], integer[], date[], date[]) from public, anon, authenticated, service_role;

create or replace function private.recompute_attendance(p_organization_ids uuid[], p_person_ids uuid[]) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
-- With these every probe below has one plan, whatever the statistics say: people by their key and then by row address, records and
-- cases by person and day, because no other index has them in order. (What costs of what is off would have compiled is not worth it.)
set enable_seqscan = off
set enable_sort = off
set jit = off
as $$
declare
  v_organization_ids uuid[];
  v_thresholds integer[];
  v_people record;
begin
  if p_person_ids is null then
    return;
  end if;
  select array_agg(o.id), array_agg(private.share_absence_threshold(o.id)) into v_organization_ids, v_thresholds
  from (select distinct u.id from unnest(p_organization_ids) u (id) order by u.id) o;
  -- Locked before it is read, in the order of the key: the statement below sees whatever others wrote of these people.
  select array_agg(t.organization_id) as organization_ids, array_agg(t.id) as ids, array_agg(k.row_at) as rows into v_people
  from (select u.* from unnest(p_organization_ids, p_person_ids) as u (organization_id, id) order by u.organization_id, u.id offset 0) t
  cross join lateral (
    select p.ctid as row_at from public.people p where p.organization_id = t.organization_id and p.id = t.id
    for no key update) k;

  update public.people p
  set last_present_on = h.last_present_on, last_attendance_at = h.last_attendance_at, consecutive_absences = h.absences,
      absent_since = h.absent_since, last_absent_on = h.last_absent_on, at_risk_flag = h.absences >= w.threshold
  from unnest(v_people.organization_ids, v_people.ids, v_people.rows) as t (organization_id, id, row_at)
  join (
    select u.organization_id, u.threshold, z.time_zone
    from unnest(v_organization_ids, v_thresholds) as u (organization_id, threshold)
    cross join lateral (select o.time_zone from public.organizations o where o.id = u.organization_id offset 0) z
    offset 0
  ) w on w.organization_id = t.organization_id
  cross join lateral (
    select l.last_present_on, s.*
    from (select 1) as one
    left join lateral (
      select r.service_date as last_present_on
      from public.attendance_records r
      where r.organization_id = t.organization_id and r.person_id = t.id and r.status in ('present', 'late')
      order by r.service_date desc
      limit 1) l on true
    cross join lateral (
      select max(coalesce(r.checked_in_at, private.local_midnight(r.service_date, w.time_zone))) filter (where r.status <> 'absent')
          as last_attendance_at,
        (count(*) filter (where r.is_absence))::integer as absences,
        min(r.service_date) filter (where r.is_absence) as absent_since, max(r.service_date) filter (where r.is_absence) as last_absent_on
      from (
        select r.service_date, r.checked_in_at, r.status,
          r.status = 'absent' and r.service_date > coalesce(l.last_present_on, '-infinity') as is_absence
        from public.attendance_records r
        where r.organization_id = t.organization_id and r.person_id = t.id and r.status <> 'excused'
          and r.service_date >= coalesce(l.last_present_on, '-infinity')
        order by r.service_date
        offset 0) r) s
    offset 0
  ) h
  -- Ours since they were locked: nobody moves them.
  where p.ctid = t.row_at;

  -- A correction can take the ground from a case without moving the flag: of a return that no absence came before.
  perform private.mark_people_for_care(array_agg(c.organization_id), array_agg(c.person_id))
  from unnest(p_organization_ids, p_person_ids) as t (organization_id, id)
  cross join lateral (
    select c.organization_id, c.person_id
    from public.pastoral_cases c
    where c.organization_id = t.organization_id and c.person_id = t.id and c.status in ('open', 'in_progress', 'returned')
    order by c.opened_at
    limit 1
  ) c;
end;
$$;
comment on function private.recompute_attendance(uuid[], uuid[]) is
  'Writes what the whole history says of these people (two arrays of equal length; null: nobody), and marks those with a case.';
revoke all on function private.recompute_attendance(uuid[], uuid[]) from public, anon, authenticated, service_role;
