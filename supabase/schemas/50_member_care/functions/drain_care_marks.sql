create function public.drain_care_marks(p_limit integer default 2000, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_marks integer;
  v_organization_ids uuid[];
  v_person_ids uuid[];
  v_organization_id uuid;
  v_people integer;
  v_counts jsonb := '{}';
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  with claimed as (
    delete from private.care_marks m
    where m.ctid = any (array(
      select w.ctid from private.care_marks w
      order by w.organization_id, w.id
      limit p_limit
      for update skip locked))
    returning m.organization_id, m.person_id
  )
  select count(*), array_agg(c.organization_id), array_agg(c.person_id), count(distinct (c.organization_id, c.person_id))
    into v_marks, v_organization_ids, v_person_ids, v_people
  from claimed c;
  for v_organization_id in select distinct o.id from unnest(v_organization_ids) as o (id) order by o.id loop
    v_counts := private.add_counts(v_counts, private.tend_cases(v_organization_id, (
      select array_agg(distinct c.person_id)
      from unnest(v_organization_ids, v_person_ids) as c (organization_id, person_id)
      where c.organization_id = v_organization_id), p_now));
  end loop;
  return jsonb_build_object('marks', v_marks, 'people', v_people, 'more', v_marks = p_limit, 'counts', v_counts,
    'rang_again', v_marks < p_limit and private.ring_again('pastoral-cases', 'public', 'people'));
end;
$$;
comment on function public.drain_care_marks(integer, timestamptz) is
  'Claims up to p_limit care marks and tends the cases of the people they name; marks and effects go in one transaction, so a crash leaves the marks. Drainers never wait for each other''s marks.';
revoke all on function public.drain_care_marks(integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.drain_care_marks(integer, timestamptz) to service_role;
