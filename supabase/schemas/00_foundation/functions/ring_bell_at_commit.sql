create function private.ring_bell_at_commit() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_function_name constant text := tg_argv[0];
begin
  -- Deferred to the commit because both decisions are about that moment: a writer who rang earlier in a long transaction
  -- would hold the row, and so silence everybody, until it ends. Writers who find the row taken, or rung within 0.8 s, stay
  -- silent: whoever drains within a second of a ring has it rung once more (private.ring_again), so their marks are found.
  -- A ring ahead of the clock was before the clock was put back: nobody stays silent until it is as late again.
  perform from private.bells b
  where b.function_name = v_function_name
    and (b.last_rung_at < clock_timestamp() - interval '0.8 seconds' or b.last_rung_at > clock_timestamp())
  for no key update skip locked;
  if found then
    update private.bells b set last_rung_at = clock_timestamp(), rung = b.rung + 1 where b.function_name = v_function_name;
    perform private.post_signed(v_function_name, jsonb_build_object(
      'type', 'BELL', 'schema', tg_argv[1], 'table', tg_argv[2], 'bell_id', private.new_bell_id()));
  end if;
  return null;
exception when others then
  raise warning 'attend: % was not rung (%)', v_function_name, sqlstate;
  return null;
end;
$$;
-- Definer because writers of activities may neither see nor ring bells.
comment on function private.ring_bell_at_commit() is
  'Deferred trigger on a table of marks, arguments (function, schema, table): rings that function at commit, at most about once a second. Never fails the writer.';
revoke all on function private.ring_bell_at_commit() from public, anon, authenticated, service_role;
