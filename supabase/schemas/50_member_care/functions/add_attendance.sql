create function private.add_attendance(
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
