create function public.start_run(p_kind text, p_holder uuid, p_now timestamptz default now(), p_lease_seconds integer default 60)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_run private.runs;
  v_state text := 'resumed';
begin
  if p_lease_seconds is null or p_lease_seconds not between 1 and 3600 then
    raise exception using errcode = 'PT400', message = 'lease_seconds_out_of_range',
      detail = jsonb_build_object('lease_seconds', p_lease_seconds, 'minimum', 1, 'maximum', 3600)::text;
  end if;

  -- A run whose row is locked is in the middle of a chunk: busy, and not worth waiting for.
  select r.* into v_run from private.runs r
  where r.kind = p_kind and r.state <> 'finished' and (r.lease_until <= clock_timestamp() or r.holder = p_holder)
  for update skip locked;
  if found then
    update private.runs r
    set state = 'running', holder = p_holder, as_of = p_now, updated_at = clock_timestamp(),
        lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
    where r.id = v_run.id
    returning r.* into v_run;
  else
    insert into private.runs (kind, holder, as_of, lease_until)
    values (p_kind, p_holder, p_now, clock_timestamp() + make_interval(secs => p_lease_seconds))
    on conflict (kind) where state <> 'finished' do nothing
    returning * into v_run;
    v_state := case when found then 'started' else 'busy' end;
    if v_state = 'busy' then
      select r.* into v_run from private.runs r where r.kind = p_kind and r.state <> 'finished';
    end if;
  end if;

  if v_state <> 'busy' then
    update private.schedules s set last_started_at = clock_timestamp() where s.name = p_kind;
  end if;
  return jsonb_build_object('state', v_state, 'run_id', v_run.id, 'as_of', v_run.as_of,
    'lease_until', v_run.lease_until, 'held_by', v_run.holder);
end;
$$;
comment on function public.start_run(text, uuid, timestamptz, integer) is
  'Starts a run of this kind, or resumes the open one whose lease has ended, or says busy. The clock of the run becomes p_now. Repeating the call with the same holder resumes the same run.';
revoke all on function public.start_run(text, uuid, timestamptz, integer) from public, anon, authenticated, service_role;
grant execute on function public.start_run(text, uuid, timestamptz, integer) to service_role;
