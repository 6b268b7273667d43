create function private.ring_again(p_function_name text, p_schema text, p_table text) returns boolean
language plpgsql
set search_path = ''
as $$
declare
  v_bell_id constant text := private.new_bell_id();
begin
  -- Once for all who drain side by side: both times are compared with when this drain began, as a bell queued since then comes
  -- after it, and whoever answers that decides anew. Taken: somebody queues one this moment. And one at a time: of drains that
  -- follow each other quickly each would ring, and all of those again, until the writers pause. One that is not answered within
  -- two seconds is lost. A time ahead of the clock is of before the clock was put back, and says nothing of now.
  perform from private.bells b
  where b.function_name = p_function_name and b.last_rung_at > now() - interval '1 second'
    and (b.rung_again_at < now() or b.rung_again_at > clock_timestamp())
    and not exists (
      select from private.rings r
      where r.bell_id = b.rung_again_id and r.answered_at is null
        and r.rung_at between clock_timestamp() - interval '2 seconds' and clock_timestamp())
  for no key update skip locked;
  if not found then
    return false;
  end if;
  update private.bells b set rung_again_at = clock_timestamp(), rung_again_id = v_bell_id where b.function_name = p_function_name;
  return private.post_signed(p_function_name, jsonb_build_object(
    'type', 'BELL', 'schema', p_schema, 'table', p_table, 'bell_id', v_bell_id)) is not null;
end;
$$;
comment on function private.ring_again(text, text, text) is
  'Called at the end of a drain: rings once more if a writer rang less than a second ago, for those who stayed silent since, and the last one is answered. Returns whether it rang.';
revoke all on function private.ring_again(text, text, text) from public, anon, authenticated, service_role;
grant execute on function private.ring_again(text, text, text) to service_role;
