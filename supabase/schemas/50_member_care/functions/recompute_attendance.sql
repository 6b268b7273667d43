create function private.recompute_attendance(p_organization_ids uuid[], p_person_ids uuid[]) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_organization_ids uuid[];
  v_thresholds integer[];
begin
  if p_person_ids is null then
    return;
  end if;
  select array_agg(o.id), array_agg(private.share_absence_threshold(o.id)) into v_organization_ids, v_thresholds
  from (select distinct u.id from unnest(p_organization_ids) u (id) order by u.id) o;
  -- Locked before it is read, in the order of the key: the statement below sees whatever others wrote of these people.
  perform from public.people p
  where (p.organization_id, p.id) in (select t.organization_id, t.id from unnest(p_organization_ids, p_person_ids) as t (organization_id, id))
  order by p.organization_id, p.id
  for no key update;

  update public.people p
  set last_present_on = h.last_present_on, last_attendance_at = h.last_attendance_at, consecutive_absences = h.absences,
      absent_since = h.absent_since, last_absent_on = h.last_absent_on, at_risk_flag = h.absences >= w.threshold
  from unnest(p_organization_ids, p_person_ids) as t (organization_id, id)
  join unnest(v_organization_ids, v_thresholds) as w (organization_id, threshold) on w.organization_id = t.organization_id
  join public.organizations o on o.id = t.organization_id
  cross join lateral (
    select l.last_present_on, c.last_attendance_at, a.*
    from (select 1) as one
    left join lateral (
      select r.service_date as last_present_on
      from public.attendance_records r
      where r.organization_id = t.organization_id and r.person_id = t.id and r.status in ('present', 'late')
      order by r.service_date desc
      limit 1) l on true
    cross join lateral (
      select max(coalesce(r.checked_in_at, private.local_midnight(r.service_date, o.time_zone))) as last_attendance_at
      from public.attendance_records r
      where r.organization_id = t.organization_id and r.person_id = t.id and r.status in ('present', 'late')
        and r.service_date = l.last_present_on) c
    cross join lateral (
      select count(*)::integer as absences, min(r.service_date) as absent_since, max(r.service_date) as last_absent_on
      from public.attendance_records r
      where r.organization_id = t.organization_id and r.person_id = t.id and r.status = 'absent'
        and r.service_date > coalesce(l.last_present_on, '-infinity')) a
    offset 0
  ) h
  where p.organization_id = t.organization_id and p.id = t.id;

  -- A correction can take the ground from a case without moving the flag: of a return that no absence came before.
  perform private.mark_people_for_care(array_agg(c.organization_id), array_agg(c.person_id))
  from (
    select distinct c.organization_id, c.person_id
    from unnest(p_organization_ids, p_person_ids) as t (organization_id, id)
    join public.pastoral_cases c on c.organization_id = t.organization_id and c.person_id = t.id
    where c.status in ('open', 'in_progress', 'returned')
  ) c;
end;
$$;
comment on function private.recompute_attendance(uuid[], uuid[]) is
  'Writes what the whole history says of these people (two arrays of equal length; null: nobody), and marks those with a case.';
revoke all on function private.recompute_attendance(uuid[], uuid[]) from public, anon, authenticated, service_role;
