create function public.drain_statistics_marks(p_limit integer default 2000, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_marks integer;
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_days date[];
  v_organization_id uuid;
  v_rows bigint := 0;
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  perform private.mark_ended_streaks(p_now);
  -- In the order of the key, so that one drain takes one person's marks together. By row address: a join with a limit for
  -- parameter is planned as a scan of the table. A day that has not begun by this clock waits (a phone's may be a minute ahead, and
  -- a drain that began before midnight is behind): it would move the last day on, and the streak that midnight breaks would stay.
  with claimed as (
    delete from private.statistics_marks m
    where m.ctid = any (array(
      select w.ctid from private.statistics_marks w
      where w.day is null or w.day <= (p_now at time zone 'UTC')::date
      order by w.organization_id, w.user_id, w.id
      limit p_limit
      for update skip locked))
    returning m.organization_id, m.user_id, m.day
  )
  select count(*), array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day)
    into v_marks, v_organization_ids, v_user_ids, v_days
  from claimed c;

  for v_organization_id in select distinct o.id from unnest(v_organization_ids) as o (id) order by o.id loop
    v_rows := v_rows + coalesce((
      select sum(r.rows_changed)
      from (select array_agg(c.user_id) as user_ids, array_agg(c.day) as days
            from unnest(v_organization_ids, v_user_ids, v_days) as c (organization_id, user_id, day)
            where c.organization_id = v_organization_id) m
      cross join lateral private.recompute_statistics(v_organization_id, m.user_ids, m.days, p_now) r), 0);
  end loop;
  return jsonb_build_object('marks', v_marks, 'rows', v_rows, 'more', v_marks = p_limit,
    'people', (select count(distinct (c.o, c.u)) from unnest(v_organization_ids, v_user_ids) as c (o, u)),
    'rang_again', v_marks < p_limit and private.ring_again('statistics-recompute', 'public', 'activities'));
end;
$$;
comment on function public.drain_statistics_marks(integer, timestamptz) is
  'Claims up to p_limit marks and recomputes the buckets they name; marks and rows change in one transaction, so a crash leaves the marks. Any number may drain at once. Marks of people who are gone are dropped. Also ends the streaks that yesterday broke.';
revoke all on function public.drain_statistics_marks(integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.drain_statistics_marks(integer, timestamptz) to service_role;
