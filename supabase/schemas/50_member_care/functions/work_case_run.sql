create function public.work_case_run(p_now timestamptz default now(), p_limit integer default 50) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_run private.case_runs;
  v_organization_id uuid;
  v_counts jsonb := '{}';
  v_worked integer := 0;
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 10000)::text;
  end if;
  if not pg_try_advisory_xact_lock(hashtextextended('attend.case_runs', 0)) then
    return jsonb_build_object('state', 'busy', 'done', false, 'organizations', 0, 'counts', '{}'::jsonb);
  end if;
  select r.* into v_run from private.case_runs r where r.finished_at is null;
  if not found then
    insert into private.case_runs (as_of) values (p_now) returning * into v_run;
    update private.schedules s set last_started_at = clock_timestamp() where s.name = 'pastoral-cases';
  end if;

  for v_organization_id in
    select o.id from public.organizations o
    where v_run.cursor_organization_id is null or o.id > v_run.cursor_organization_id
    order by o.id limit p_limit
  loop
    v_counts := private.add_counts(v_counts, private.tend_cases(v_organization_id, null, p_now));
    v_run.cursor_organization_id := v_organization_id;
    v_worked := v_worked + 1;
  end loop;
  update private.case_runs r
  set as_of = p_now, cursor_organization_id = v_run.cursor_organization_id, organizations = r.organizations + v_worked,
      counts = private.add_counts(r.counts, v_counts), updated_at = clock_timestamp(),
      finished_at = case when v_worked < p_limit then clock_timestamp() end
  where r.id = v_run.id
  returning * into v_run;
  if v_run.finished_at is not null then
    update private.schedules s
    set last_succeeded_at = v_run.finished_at,
        last_result = jsonb_build_object('run_id', v_run.id, 'organizations', v_run.organizations, 'counts', v_run.counts)
    where s.name = 'pastoral-cases';
  end if;
  return jsonb_build_object('state', case when v_run.finished_at is null then 'in_progress' else 'finished' end,
    'done', v_run.finished_at is not null, 'run_id', v_run.id, 'organizations', v_worked, 'counts', v_counts);
end;
$$;
comment on function public.work_case_run(timestamptz, integer) is
  'The next p_limit organisations of the nightly run, begun if none is open: cases, notifications and the ledger''s row in one transaction, so that a crash repeats nothing and skips nobody. Returns {state: in_progress, finished or busy (another works on it this moment), done, run_id, organizations, counts}.';
revoke all on function public.work_case_run(timestamptz, integer) from public, anon, authenticated, service_role;
grant execute on function public.work_case_run(timestamptz, integer) to service_role;
