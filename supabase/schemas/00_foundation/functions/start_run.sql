create function public.start_run(
  p_kind text, p_holder uuid, p_now timestamptz default null, p_lease_seconds integer default 60, p_chunk_size integer default 2000)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_run private.runs;
  v_slice private.run_slices;
  v_state text := 'resumed';
begin
  if p_lease_seconds is null or p_lease_seconds not between 1 and 3600 then
    raise exception using errcode = 'PT400', message = 'lease_seconds_out_of_range',
      detail = jsonb_build_object('lease_seconds', p_lease_seconds, 'minimum', 1, 'maximum', 3600)::text;
  end if;

  -- A holder that asks again, after a lost answer, may have its slice already.
  perform private.lock_slice(r.id, p_holder) from private.runs r where r.kind = p_kind and r.state <> 'finished';
  v_run.id := private.open_run(p_kind, p_now);
  select r.* into v_run from private.runs r where r.id = v_run.id;
  if not exists (select from private.run_slices s where s.run_id = v_run.id) then
    insert into private.run_slices (run_id) values (v_run.id);
    v_state := 'started';
  end if;

  -- Those who work at once decide by one clock; a run that nobody works on any more goes by that of who takes it over.
  if p_now <> v_run.as_of and exists (
    select from private.run_slices s
    where s.run_id = v_run.id and s.holder <> p_holder and s.lease_until > clock_timestamp())
  then
    v_state := 'busy';
  else
    update private.run_slices s set lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
    where s.run_id = v_run.id and s.holder = p_holder;
    if not found then
      v_state := case when private.take_slice(v_run.id, p_holder, p_chunk_size, p_lease_seconds) then v_state else 'busy' end;
    end if;
  end if;
  if v_state <> 'busy' then
    update private.runs r
    set state = 'running', updated_at = clock_timestamp(), is_clock_given = r.is_clock_given or p_now is not null,
        as_of = coalesce(p_now, case when r.is_clock_given then r.as_of else greatest(r.as_of, now()) end)
    where r.id = v_run.id
    returning r.* into v_run;
    update private.schedules s set last_started_at = clock_timestamp() where s.name = p_kind;
  end if;

  -- Busy: the first whom one may hope to follow.
  select s.* into v_slice from private.run_slices s
  where s.run_id = v_run.id and s.holder is not null and (v_state = 'busy' or s.holder = p_holder)
  order by s.lease_until
  limit 1;
  return jsonb_build_object('state', v_state, 'run_id', v_run.id, 'as_of', v_run.as_of,
    'lease_until', v_slice.lease_until, 'held_by', v_slice.holder);
end;
$$;
comment on function public.start_run(text, uuid, timestamptz, integer, integer) is
  'Starts a run of this kind or joins the open one, and takes the first slice, of up to p_chunk_size people; busy when nothing is left to take at the moment. p_now is the clock of the run; without it the database''s, or the one the run was given. A clock other than the run''s is busy while somebody works at that one. Repeating the call with the same holder resumes the same run.';
revoke all on function public.start_run(text, uuid, timestamptz, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.start_run(text, uuid, timestamptz, integer, integer) to service_role;
