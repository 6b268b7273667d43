create function private.delete_old_webhook_deliveries() returns void
language plpgsql
set search_path = ''
as $$
declare
  v_deleted bigint;
begin
  -- A signature is good for minutes; a day covers every retry.
  delete from private.webhook_deliveries wd where wd.received_at < now() - interval '1 day';
  get diagnostics v_deleted = row_count;
  update private.schedules s
  set last_succeeded_at = clock_timestamp(), last_result = jsonb_build_object('webhook_deliveries_deleted', v_deleted)
  where s.name = 'housekeeping';
end;
$$;
comment on function private.delete_old_webhook_deliveries() is 'Cron: deletes answers to webhooks that can no longer be repeated.';
revoke all on function private.delete_old_webhook_deliveries() from public, anon, authenticated, service_role;
