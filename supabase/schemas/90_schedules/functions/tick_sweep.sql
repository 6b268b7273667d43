create function private.tick_sweep(p_name text, p_function_name text, p_oldest timestamptz, p_table text default 'activities')
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_rang boolean := false;
begin
  if p_oldest is not null then
    v_rang := private.post_signed(p_function_name, jsonb_build_object(
      'type', 'BELL', 'schema', 'public', 'table', p_table, 'bell_id', private.new_bell_id())) is not null;
  end if;
  update private.schedules s
  set last_started_at = clock_timestamp(), last_rung_at = case when v_rang then clock_timestamp() else s.last_rung_at end,
      last_succeeded_at = case when p_oldest is null or v_rang then clock_timestamp() else s.last_succeeded_at end,
      last_result = jsonb_build_object('oldest', p_oldest, 'rang', v_rang)
  where s.name = p_name;
end;
$$;
comment on function private.tick_sweep(text, text, timestamptz, text) is
  'Cron: rings a function when work waits since p_oldest (null: none does), whatever became of the bell that should have announced it. p_table: where that bell would have said it was.';
revoke all on function private.tick_sweep(text, text, timestamptz, text) from public, anon, authenticated, service_role;
