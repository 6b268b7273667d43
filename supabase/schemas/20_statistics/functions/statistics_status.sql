create function public.statistics_status(p_now timestamptz default now()) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'marks', (select jsonb_build_object('waiting', count(*), 'people', count(distinct (m.organization_id, m.user_id)), 'oldest_at', min(m.marked_at))
              from private.statistics_marks m),
    'oldest_work_at', private.oldest_statistics_work(p_now),
    'runs', (select coalesce(jsonb_agg(public.run_report(l.id) || jsonb_build_object('lease_until',
                      (select min(rs.lease_until) from private.run_slices rs where rs.run_id = l.id)) order by l.kind), '[]')
             from (select distinct on (r.kind) r.id, r.kind from private.runs r
                   where r.kind in ('statistics-rebuild', 'statistics-reconcile') order by r.kind, r.id desc) l),
    'schedules', (select coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'expected_seconds', extract(epoch from s.expected_interval),
                    'last_started_at', s.last_started_at, 'last_succeeded_at', s.last_succeeded_at) order by s.name), '[]')
                  from private.schedules s where s.name like 'statistics-%'));
$$;
comment on function public.statistics_status(timestamptz) is
  'Whether statistics keep up: marks that wait and since when, the latest rebuild and reconcile, and when their schedules last ran.';
revoke all on function public.statistics_status(timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.statistics_status(timestamptz) to service_role;
