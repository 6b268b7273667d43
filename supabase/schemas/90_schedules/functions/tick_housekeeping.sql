create procedure private.tick_housekeeping()
language plpgsql
-- No SET clause: a procedure that has one may not commit. Every name below is qualified instead.
as $$
declare
  v_deleted bigint;
begin
  update private.schedules s set last_started_at = pg_catalog.clock_timestamp() where s.name = 'housekeeping';
  -- So that a failure leaves its start behind.
  commit;
  -- A signature is good for minutes; a day covers every retry.
  delete from private.webhook_deliveries wd where wd.received_at < pg_catalog.now() - interval '1 day';
  get diagnostics v_deleted = row_count;
  update private.schedules s
  set last_succeeded_at = pg_catalog.clock_timestamp(), last_result = pg_catalog.jsonb_build_object('webhook_deliveries_deleted', v_deleted)
  where s.name = 'housekeeping';
end;
$$;
comment on procedure private.tick_housekeeping() is 'Cron: deletes answers to webhooks that can no longer be repeated.';
revoke all on procedure private.tick_housekeeping() from public, anon, authenticated, service_role;
