-- Bells ring after the clock of the database was put back.
set check_function_bodies = off;

create or replace function private.ring_bell_at_commit() returns trigger
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

create or replace function private.ring_again(p_function_name text, p_schema text, p_table text) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  -- Once for all who drain side by side, or each of a batch would ring, and all of those again. Both times are compared with
  -- when this drain began: a bell queued since then comes after it, and whoever answers that decides anew. Taken: somebody
  -- queues one this moment. A time ahead of the clock is of before the clock was put back, and says nothing of now.
  perform from private.bells b
  where b.function_name = p_function_name and b.last_rung_at > now() - interval '1 second'
    and (b.rung_again_at < now() or b.rung_again_at > clock_timestamp())
  for no key update skip locked;
  if not found then
    return false;
  end if;
  update private.bells b set rung_again_at = clock_timestamp() where b.function_name = p_function_name;
  return private.post_signed(p_function_name, jsonb_build_object(
    'type', 'BELL', 'schema', p_schema, 'table', p_table, 'bell_id', private.new_bell_id())) is not null;
end;
$$;
comment on function private.ring_again(text, text, text) is
  'Called at the end of a drain: rings once more if a writer rang less than a second ago, for those who stayed silent since. Returns whether it rang.';
revoke all on function private.ring_again(text, text, text) from public, anon, authenticated, service_role;
grant execute on function private.ring_again(text, text, text) to service_role;
