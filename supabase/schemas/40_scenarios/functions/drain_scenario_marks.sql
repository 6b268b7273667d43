create function public.drain_scenario_marks(p_limit integer default 2000, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_marks integer;
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_organization_id uuid;
  v_people integer := 0;
  v_counts jsonb := '{}';
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  -- Rules that are new or changed first: whom they concern is marked here, and claimed below.
  perform private.tick_scenarios(p_now, true);
  -- Any mark nobody else holds. By row address: a join with a limit for parameter is planned as a scan of the table.
  with claimed as (
    delete from private.scenario_marks m
    where m.ctid = any (array(
      select w.ctid from private.scenario_marks w
      order by w.organization_id, w.id
      limit p_limit
      for update skip locked))
    returning m.organization_id, m.user_id
  )
  select count(*), array_agg(c.organization_id), array_agg(c.user_id) into v_marks, v_organization_ids, v_user_ids from claimed c;

  for v_organization_id in select distinct o.id from unnest(v_organization_ids) as o (id) order by o.id loop
    v_counts := private.add_counts(v_counts, public.evaluate_people(v_organization_id, (
      select array_agg(distinct c.user_id)
      from unnest(v_organization_ids, v_user_ids) as c (organization_id, user_id)
      where c.organization_id = v_organization_id), p_now) -> 'counts');
  end loop;
  select count(distinct (c.organization_id, c.user_id)) into v_people
  from unnest(v_organization_ids, v_user_ids) as c (organization_id, user_id);

  return jsonb_build_object('marks', v_marks, 'people', v_people, 'more', v_marks = p_limit, 'counts', v_counts,
    'rang_again', v_marks < p_limit and private.ring_again('scenario-trigger-engine', 'public', 'activities'));
end;
$$;
comment on function public.drain_scenario_marks(integer, timestamptz) is
  'Claims up to p_limit marks and evaluates the people they name; marks and effects go in one transaction, so a crash leaves the marks. Drainers never wait for each other. Marks of people who are gone are dropped.';
revoke all on function public.drain_scenario_marks(integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.drain_scenario_marks(integer, timestamptz) to service_role;
