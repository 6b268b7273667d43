create function private.update_person_attendance_stats() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_person_ids uuid[];
  v_first_day date[];
  v_present_on date[];
  v_attended_at timestamptz[];
  v_absences integer[];
  v_first_absent date[];
  v_last_absent date[];
  v_one record;
  v_lock text;
begin
  select n.organization_id, n.person_id, n.service_date, n.status, n.checked_in_at, exists (select from new_rows offset 1) as has_more
    into v_one
  from new_rows n limit 1;
  -- Most records come alone, at the door: what the general way costs to plan is many times what they take. It says the same.
  if v_one.has_more is false then
    if v_one.status = 'excused' then
      return null;
    end if;
    v_lock := pg_advisory_xact_lock_shared(hashtextextended('attend.absence_alert_threshold ' || v_one.organization_id::text, 0));
    if current_setting('transaction_isolation') <> 'read committed' then
      perform private.share_absence_threshold(v_one.organization_id);
    end if;
    if v_one.status = 'absent' then
      update public.people p
      set consecutive_absences = p.consecutive_absences + 1, absent_since = coalesce(p.absent_since, v_one.service_date),
          last_absent_on = v_one.service_date,
          at_risk_flag = p.consecutive_absences + 1 >= coalesce(
            (select (s.value #>> '{}')::integer from public.org_settings_kv s
             where s.organization_id = v_one.organization_id and s.key = 'absence_alert_threshold'),
            3)
      where p.organization_id = v_one.organization_id and p.id = v_one.person_id
        and v_one.service_date > coalesce(greatest(p.last_present_on, p.last_absent_on), '-infinity');
    else
      update public.people p
      set consecutive_absences = 0, absent_since = null, last_absent_on = null, at_risk_flag = false, last_present_on = v_one.service_date,
          -- private.local_midnight, spelled out: its calls take as long as all the rest.
          last_attendance_at = coalesce(v_one.checked_in_at, (
            select case
              when ((m.midnight - interval '1 hour') at time zone m.time_zone)::date = v_one.service_date then m.midnight - interval '1 hour'
              else m.midnight end
            from (select v_one.service_date::timestamp at time zone o.time_zone as midnight, o.time_zone
                  from public.organizations o where o.id = v_one.organization_id) m))
      where p.organization_id = v_one.organization_id and p.id = v_one.person_id
        and v_one.service_date > coalesce(greatest(p.last_present_on, p.last_absent_on), '-infinity');
    end if;
    if not found then
      perform private.recompute_attendance(array[v_one.organization_id], array[v_one.person_id]);
    end if;
    return null;
  end if;

  select array_agg(a.organization_id), array_agg(a.person_id), array_agg(a.first_day), array_agg(a.present_on), array_agg(a.attended_at),
      array_agg(a.absences), array_agg(a.first_absent), array_agg(a.last_absent)
    into v_organization_ids, v_person_ids, v_first_day, v_present_on, v_attended_at, v_absences, v_first_absent, v_last_absent
  from (
    -- Of who both came and did not, or came on several days, a sum does not tell which was when: history does, for no day is later
    -- than -infinity.
    select n.organization_id, n.person_id,
      case when max(n.service_date) filter (where n.status <> 'absent') is not null
          and (count(*) filter (where n.status = 'absent') > 0 or min(n.service_date) <> max(n.service_date)) then '-infinity'
        else min(n.service_date) end as first_day,
      max(n.service_date) filter (where n.status <> 'absent') as present_on,
      max(coalesce(n.checked_in_at, m.midnight)) filter (where n.status <> 'absent') as attended_at,
      (count(*) filter (where n.status = 'absent'))::integer as absences,
      min(n.service_date) filter (where n.status = 'absent') as first_absent,
      max(n.service_date) filter (where n.status = 'absent') as last_absent
    from new_rows n
    -- Once a day and not once a record: it costs more than all the rest.
    join (
      select s.organization_id, s.service_date, private.local_midnight(s.service_date, o.time_zone) as midnight
      from (select distinct r.organization_id, r.service_date from new_rows r) s
      join public.organizations o on o.id = s.organization_id
      offset 0
    ) m on m.organization_id = n.organization_id and m.service_date = n.service_date
    where n.status <> 'excused'
    group by n.organization_id, n.person_id
  ) a;
  if v_person_ids is not null then
    perform private.add_attendance(
      v_organization_ids, v_person_ids, v_first_day, v_present_on, v_attended_at, v_absences, v_first_absent, v_last_absent);
  end if;
  return null;
end;
$$;
-- Definer because whoever takes attendance may not write what it says of people.
comment on function private.update_person_attendance_stats() is
  'Trigger trg_update_attendance_stats: keeps what new attendance records say of people, whatever their order and number ("Engagement Scoring & At-Risk Automation").';
revoke all on function private.update_person_attendance_stats() from public, anon, authenticated, service_role;
