create function private.recompute_attendance(p_organization_ids uuid[], p_person_ids uuid[]) returns void
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
