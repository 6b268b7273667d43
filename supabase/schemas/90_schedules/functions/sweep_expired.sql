create function private.sweep_expired(p_counts jsonb default '{}', p_limit integer default 5000, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_batch constant jsonb := private.sweep_logs(p_limit, p_now) || private.sweep_traces(p_limit, p_now);
  v_more constant boolean := exists (select from jsonb_each_text(v_batch) b where b.value::integer >= p_limit);
  v_counts constant jsonb := (
    select jsonb_object_agg(b.key, b.value::integer + coalesce((p_counts ->> b.key)::integer, 0)) from jsonb_each_text(v_batch) b);
begin
  -- What a night did not get to is the next night's; only then is it a success.
  update private.schedules s
  set last_result = jsonb_build_object('deleted', v_counts, 'more', v_more),
      last_succeeded_at = case when v_more then s.last_succeeded_at else clock_timestamp() end
  where s.name = 'housekeeping';
  return v_counts || jsonb_build_object('more', v_more);
end;
$$;
comment on function private.sweep_expired(jsonb, integer, timestamptz) is
  'Cron: deletes up to p_limit rows of each kind that private.retention no longer keeps, adds them to p_counts, the answer of the batch before, and notes it in private.schedules. "more": another batch may find some. Each batch is a transaction of its own.';
revoke all on function private.sweep_expired(jsonb, integer, timestamptz) from public, anon, authenticated, service_role;
