create function private.absence_spell(p_organization_id uuid, p_person_id uuid, p_absent_since date)
returns table (absences integer, returned_on date)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  with days as (
    select r.service_date, bool_or(r.status in ('present', 'late')) as came, count(*) filter (where r.status = 'absent') as missed
    from public.attendance_records r
    where r.organization_id = p_organization_id and r.person_id = p_person_id
      and r.service_date > coalesce((
        select max(b.service_date) from public.attendance_records b
        where b.organization_id = p_organization_id and b.person_id = p_person_id and b.status in ('present', 'late')
          and b.service_date < p_absent_since), '-infinity')
    group by r.service_date
  ), spells as (
    select sum(d.missed) filter (where not d.came) as missed, max(d.service_date) filter (where not d.came and d.missed > 0) as last_missed,
      lead(min(d.service_date) filter (where d.came)) over (order by d.spell) as came_on
    from (select d.*, count(*) filter (where d.came) over (order by d.service_date) as spell from days d) d
    group by d.spell
  )
  select s.missed::integer, s.came_on
  from spells s
  where s.last_missed >= p_absent_since
  order by s.missed desc, s.came_on
  limit 1;
end;
$$;
comment on function private.absence_spell(uuid, uuid, date) is
  'The longest run of absences without a return that reaches p_absent_since, as the records have it today, and the day that ended it (null: none did). No row: no such absence is left.';
revoke all on function private.absence_spell(uuid, uuid, date) from public, anon, authenticated, service_role;
grant execute on function private.absence_spell(uuid, uuid, date) to service_role;
