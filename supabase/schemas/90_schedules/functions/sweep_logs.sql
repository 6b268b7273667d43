create function private.sweep_logs(p_limit integer, p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_webhooks constant timestamptz := private.kept_since('webhook_deliveries', p_now);
  v_cron constant timestamptz := private.kept_since('cron_log', p_now);
  v_runs constant timestamptz := private.kept_since('runs', p_now);
  v_findings constant timestamptz := private.kept_since('findings', p_now);
  v_ours constant bigint[] := array(select j.jobid from cron.job j where j.jobname like 'attend-%');
  v_counts jsonb;
begin
  -- Everywhere by row address, of rows that an index names in the order of their age: a batch costs its own size.
  with webhook_deliveries as (
    delete from private.webhook_deliveries d where d.ctid = any (array(
      select o.ctid from private.webhook_deliveries o where o.received_at < v_webhooks
      order by o.received_at limit p_limit for update skip locked))
    returning 1
  ), cron_log as (
    -- The log has no index but its number, which grows with time. Other people's jobs are theirs to purge.
    delete from cron.job_run_details d where d.ctid = any (array(
      select o.ctid from cron.job_run_details o where o.jobid = any (v_ours) and coalesce(o.end_time, o.start_time) < v_cron
      order by o.runid limit p_limit))
    returning 1
  ), runs as (
    delete from private.runs d where d.id = any (array(
      select o.id from private.runs o
      where o.finished_at < v_runs
        and exists (select from private.runs l where l.kind = o.kind and l.id > o.id and l.state = 'finished')
      order by o.id limit p_limit))
    returning 1
  ), case_runs as (
    delete from private.case_runs d where d.id = any (array(
      select o.id from private.case_runs o
      where o.finished_at < v_runs and exists (select from private.case_runs l where l.id > o.id and l.finished_at is not null)
      order by o.id limit p_limit))
    returning 1
  ), drift as (
    delete from private.statistics_drift d where d.ctid = any (array(
      select o.ctid from private.statistics_drift o where o.found_at < v_findings order by o.found_at limit p_limit))
    returning 1
  ), missed as (
    delete from private.sweep_findings d where d.ctid = any (array(
      select o.ctid from private.sweep_findings o where o.found_at < v_findings order by o.found_at limit p_limit))
    returning 1
  ), warnings as (
    delete from public.statistics_warnings d where d.ctid = any (array(
      select o.ctid from public.statistics_warnings o where o.recorded_at < v_findings
      order by o.recorded_at limit p_limit for update skip locked))
    returning 1
  )
  select jsonb_build_object('webhook_deliveries', (select count(*) from webhook_deliveries), 'cron_log', (select count(*) from cron_log),
    'runs', (select count(*) from runs) + (select count(*) from case_runs),
    'findings', (select count(*) from drift) + (select count(*) from missed) + (select count(*) from warnings))
    into v_counts;
  return v_counts;
end;
$$;
comment on function private.sweep_logs(integer, timestamptz) is
  'Deletes up to p_limit rows each of what was logged about the work itself and is no longer kept (private.retention). For private.sweep_expired.';
revoke all on function private.sweep_logs(integer, timestamptz) from public, anon, authenticated, service_role;
