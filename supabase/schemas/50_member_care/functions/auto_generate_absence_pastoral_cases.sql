create function public.auto_generate_absence_pastoral_cases(p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_run private.case_runs;
  v_organization_id uuid;
begin
  v_run.counts := '{}';
  v_run.organizations := 0;
  for v_organization_id in select o.id from public.organizations o order by o.id loop
    v_run.counts := private.add_counts(v_run.counts, private.tend_cases(v_organization_id, null, p_now));
    v_run.organizations := v_run.organizations + 1;
  end loop;
  -- At the end, and finished: only one open run may be there, and it is not this one.
  insert into private.case_runs (as_of, organizations, counts, updated_at, finished_at)
  values (p_now, v_run.organizations, v_run.counts, clock_timestamp(), clock_timestamp())
  returning * into v_run;
  return jsonb_build_object('run_id', v_run.id, 'as_of', v_run.as_of, 'organizations', v_run.organizations, 'counts', v_run.counts);
end;
$$;
comment on function public.auto_generate_absence_pastoral_cases(timestamptz) is
  'A case for every active person at risk without one, and everything else that has to happen to cases (rules.md §4), for all organisations in one transaction. Any number at once make one case a person. Returns {run_id, as_of, organizations, counts}.';
revoke all on function public.auto_generate_absence_pastoral_cases(timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.auto_generate_absence_pastoral_cases(timestamptz) to service_role;
