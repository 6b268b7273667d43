create function private.contacts_of_people(p_organization_id uuid, p_users uuid[])
returns table (user_id uuid, activity_ids uuid[], days date[], contact_ids uuid[])
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set work_mem = '32MB'
as $$
declare
  v_share uuid[];
  v_activities bigint;
  v_scans boolean;
begin
  -- In shares of so many activities: the more, the more of them find their contacts on one page of the index, if not in one
  -- pass over the table; but memory must not follow from how many people have how long a history.
  for v_share, v_activities in
    select array_agg(c.id), sum(c.activities)
    from (
      select u.id, n.activities, sum(n.activities) over (order by u.id) as until
      from unnest(p_users) as u (id)
      cross join lateral (
        select count(*) as activities from public.activities a
        where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed') n) c
    group by div(c.until - c.activities, 200000)
  loop
    -- Eighty activities cost in the index what a page of the table costs. Its size is asked of the file, because statistics
    -- may be from before an import.
    v_scans := pg_relation_size('public.activity_contacts') < 100 * v_activities;
    return query
    -- Read twice, for the array and for whose they are: kept, they would be most of the memory, and no faster.
    -- No full join is planned as a loop within a loop, also not where statistics know nothing of a history just imported.
    select m.user_id, array_agg(m.activity_id order by m.day), array_agg(m.day order by m.day), array_agg(m.contact_id order by m.day)
    from (
      select a.user_id, a.day, c.activity_id, c.contact_id
      from (
        select u.id as user_id, l.id, l.day
        from unnest(v_share) as u (id)
        cross join lateral (
          select a.id, (a.occurred_at at time zone 'UTC')::date as day
          from public.activities a
          where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed'
          offset 0) l) a
      full join (
        select ac.activity_id, ac.contact_id
        from public.activity_contacts ac
        where ac.organization_id = p_organization_id and (v_scans or ac.activity_id = any (array(
          select l.id
          from unnest(v_share) as u (id)
          cross join lateral (
            select a.id
            from public.activities a
            where a.organization_id = p_organization_id and a.user_id = u.id and a.status = 'completed'
            offset 0) l)))
        offset 0) c on c.activity_id = a.id
      offset 0) m
    where m.contact_id is not null and m.user_id is not null
    group by m.user_id;
  end loop;
end;
$$;
comment on function private.contacts_of_people(uuid, uuid[]) is
  'Who was met in the completed activities of these people: three arrays of equal length, one element a meeting, in the order of the days. Whoever met nobody is left out.';
revoke all on function private.contacts_of_people(uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function private.contacts_of_people(uuid, uuid[]) to service_role;
