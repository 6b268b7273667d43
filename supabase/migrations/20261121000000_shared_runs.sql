-- Runs are shared: several holders work on one run at once, each on a slice of the keys. See supabase/schemas/, to which the
-- migrations are proven equal.
set check_function_bodies = off;

create table private.run_slices (
  run_id bigint not null references private.runs (id) on delete cascade,
  from_organization_id uuid not null default '00000000-0000-0000-0000-000000000000',
  from_user_id uuid not null default '00000000-0000-0000-0000-000000000000',
  to_organization_id uuid,
  to_user_id uuid,
  holder uuid,
  lease_until timestamptz,
  primary key (run_id, from_organization_id, from_user_id),
  constraint holder_has_one_slice unique (run_id, holder),
  constraint slice_has_both_ends_of_its_key check ((to_organization_id is null) = (to_user_id is null)),
  constraint slice_is_held_for_a_time check ((holder is null) = (lease_until is null))
);
comment on table private.run_slices is 'What of an open run is still to be done, by key range, and who works on it: the untouched rest, what holders have in hand, and what they left. No two overlap. Locked before the run, never after it.';
comment on column private.run_slices.from_organization_id is 'Inclusive, and no reference: organisation and person may be gone. From the nil ids without an end: everybody.';
comment on column private.run_slices.to_organization_id is 'Exclusive; null: to the end of everybody.';
comment on column private.run_slices.holder is 'Null: untouched or given back, free to be taken at once.';

alter table private.run_slices enable row level security;
revoke all on private.run_slices from public, anon, authenticated, service_role;
grant select, insert, update, delete on private.run_slices to service_role;

-- An open run goes on where its cursor stood; no person has the highest id.
insert into private.run_slices (run_id, from_organization_id, from_user_id, holder, lease_until)
select r.id, coalesce(r.cursor_organization_id, '00000000-0000-0000-0000-000000000000'),
  case when r.cursor_organization_id is null then '00000000-0000-0000-0000-000000000000'
    else coalesce(r.cursor_user_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff') end, r.holder, r.lease_until
from private.runs r
where r.state <> 'finished';

alter table private.runs
  drop column holder,
  drop column lease_until,
  drop column cursor_organization_id,
  drop column cursor_user_id,
  add column is_clock_given boolean not null default false;
comment on column private.runs.state is 'in_progress: open, and given back by everybody who worked on it. A holder that died leaves it running.';
comment on column private.runs.as_of is 'The clock that decides in this run: the latest who joined it set it anew, unless the clock was given.';
comment on column private.runs.is_clock_given is 'Whether a caller set the clock: then it stays for whoever joins without one.';

drop function public.start_run(text, uuid, timestamptz, integer);
drop function private.next_people(uuid, uuid, integer);
drop function private.finish_chunk(bigint, integer, jsonb, integer);

create function private.open_run(p_kind text, p_now timestamptz) returns bigint
language plpgsql
set search_path = ''
as $$
declare
  v_id bigint;
begin
  loop
    -- Locked, so that nobody else takes a slice meanwhile, nor finishes the run.
    select r.id into v_id from private.runs r where r.kind = p_kind and r.state <> 'finished' for no key update;
    exit when found;
    -- Refused when another began one a moment before, which is then found, unless it is finished by then.
    insert into private.runs (kind, as_of, is_clock_given) values (p_kind, coalesce(p_now, now()), p_now is not null)
    on conflict (kind) where state <> 'finished' do nothing
    returning id into v_id;
    exit when found;
  end loop;
  return v_id;
end;
$$;
comment on function private.open_run(text, timestamptz) is
  'Locks the open run of a kind and returns its id; begins one at the clock p_now (null: the database''s) where there is none. A new run has no slices yet.';
revoke all on function private.open_run(text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.open_run(text, timestamptz) to service_role;

create function private.lock_slice(p_run_id bigint, p_holder uuid) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  -- Twice, because a chunk of the same holder may end while this waits for it, as after an answer that was lost: then
  -- the slice waited for is gone, and the holder has the next.
  for v_attempt in 1..2 loop
    perform from private.run_slices s join private.runs r on r.id = s.run_id
    where s.run_id = p_run_id and s.holder = p_holder and r.state <> 'finished'
    for update of s;
    if found then
      return true;
    end if;
  end loop;
  return false;
end;
$$;
comment on function private.lock_slice(bigint, uuid) is
  'Locks the slice that a holder has in hand of an open run; false: there is none. Called before the run is locked, never after it.';
revoke all on function private.lock_slice(bigint, uuid) from public, anon, authenticated, service_role;
grant execute on function private.lock_slice(bigint, uuid) to service_role;

create function private.next_people(
  p_from_organization uuid, p_from_user uuid, p_to_organization uuid, p_to_user uuid, p_limit integer)
returns table (organization_id uuid, people integer, next_user uuid)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'chunk_size_out_of_range',
      detail = jsonb_build_object('chunk_size', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  -- One statement, so that the people counted and the person who follows them are of one snapshot. Where the range ends is
  -- asked outside: as a condition of the index it would be read to the end of the organisation in search of one more.
  return query
    select p.organization_id, (count(*) filter (where p.nth <= p_limit))::integer, (array_agg(p.id) filter (where p.nth > p_limit))[1]
    from (
      select u.organization_id, u.id, row_number() over (order by u.organization_id, u.id) as nth
      from public.users u
      where (u.organization_id, u.id) >= (p_from_organization, p_from_user)
      order by u.organization_id, u.id
      limit p_limit + 1
    ) p
    where p_to_organization is null or (p.organization_id, p.id) < (p_to_organization, p_to_user)
    group by p.organization_id
    order by p.organization_id;
end;
$$;
comment on function private.next_people(uuid, uuid, uuid, uuid, integer) is
  'The next p_limit people of a range (from inclusive, to exclusive, null: open) in key order, counted by organisation; next_user is who follows them, in their own organisation''s row. PT400 chunk_size_out_of_range.';
revoke all on function private.next_people(uuid, uuid, uuid, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function private.next_people(uuid, uuid, uuid, uuid, integer) to service_role;

create function private.take_slice(p_run_id bigint, p_holder uuid, p_chunk_size integer, p_lease_seconds integer) returns boolean
language plpgsql
set search_path = ''
as $$
declare
  v_slice private.run_slices;
  v_rest record;
begin
  -- In key order, so that what a dead holder left comes before the untouched rest. A slice whose row is locked is being
  -- worked on, whatever its lease says.
  select s.* into v_slice from private.run_slices s
  where s.run_id = p_run_id and (s.holder is null or s.lease_until <= clock_timestamp())
  order by s.from_organization_id, s.from_user_id
  limit 1
  for update skip locked;
  if not found then
    return false;
  end if;

  select n.organization_id, n.next_user into v_rest
  from private.next_people(v_slice.from_organization_id, v_slice.from_user_id,
    v_slice.to_organization_id, v_slice.to_user_id, p_chunk_size) n
  where n.next_user is not null;
  update private.run_slices s
  set holder = p_holder, lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds),
      to_organization_id = coalesce(v_rest.organization_id, s.to_organization_id),
      to_user_id = coalesce(v_rest.next_user, s.to_user_id)
  where s.run_id = p_run_id and s.from_organization_id = v_slice.from_organization_id and s.from_user_id = v_slice.from_user_id;
  if v_rest.next_user is not null then
    insert into private.run_slices (run_id, from_organization_id, from_user_id, to_organization_id, to_user_id)
    values (p_run_id, v_rest.organization_id, v_rest.next_user, v_slice.to_organization_id, v_slice.to_user_id);
  end if;
  return true;
end;
$$;
comment on function private.take_slice(bigint, uuid, integer, integer) is
  'Gives a holder the next slice that nobody holds or whose lease has ended, cut to p_chunk_size people; false: there is none. Whoever calls it has locked the run, so that two cannot take the same rest.';
revoke all on function private.take_slice(bigint, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function private.take_slice(bigint, uuid, integer, integer) to service_role;

create or replace function private.take_chunk(p_run_id bigint, p_holder uuid, p_chunk_size integer)
returns table (organization_id uuid, from_user uuid, to_user uuid, people integer, as_of timestamptz)
language plpgsql
set search_path = ''
as $$
declare
  v_slice private.run_slices;
  v_part record;
  v_rest_organization uuid;
  v_rest_user uuid;
begin
  -- The slice, never the run: the others' chunks go on meanwhile.
  if not private.lock_slice(p_run_id, p_holder) then
    raise exception using errcode = 'PT409', message = 'lease_lost',
      detail = jsonb_build_object('run_id', p_run_id)::text, hint = 'Another holder goes on with these people, or the run is finished.';
  end if;
  select s.* into v_slice from private.run_slices s where s.run_id = p_run_id and s.holder = p_holder;
  select r.as_of into as_of from private.runs r where r.id = p_run_id;

  -- Large organisations take several chunks; a chunk takes as many small ones as fit.
  for v_part in
    select n.* from private.next_people(v_slice.from_organization_id, v_slice.from_user_id,
      v_slice.to_organization_id, v_slice.to_user_id, p_chunk_size) n
  loop
    if v_part.next_user is not null then
      v_rest_organization := v_part.organization_id;
      v_rest_user := v_part.next_user;
    end if;
    if v_part.people > 0 then
      organization_id := v_part.organization_id;
      from_user := case when v_part.organization_id = v_slice.from_organization_id then v_slice.from_user_id end;
      to_user := coalesce(v_part.next_user,
        case when v_part.organization_id = v_slice.to_organization_id then v_slice.to_user_id end);
      people := v_part.people;
      return next;
    end if;
  end loop;

  -- A slice larger than the chunk keeps its rest: a chunk that was too long for its time-out is tried again smaller.
  if v_rest_user is null then
    delete from private.run_slices s where s.run_id = p_run_id and s.holder = p_holder;
  else
    update private.run_slices s
    set from_organization_id = v_rest_organization, from_user_id = v_rest_user
    where s.run_id = p_run_id and s.holder = p_holder;
  end if;
end;
$$;
comment on function private.take_chunk(bigint, uuid, integer) is
  'Locks the slice that a holder still has, takes up to p_chunk_size people off it and returns them as ranges of one organisation each (from inclusive, to exclusive, null: open). Belongs to one transaction with the work and private.finish_chunk. PT409 lease_lost.';
revoke all on function private.take_chunk(bigint, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function private.take_chunk(bigint, uuid, integer) to service_role;

create function private.finish_chunk(
  p_run_id bigint, p_holder uuid, p_chunk_size integer, p_people integer, p_counts jsonb, p_lease_seconds integer)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_run private.runs;
  v_has_more boolean;
  v_is_done boolean;
begin
  -- From here to the commit, which follows at once, this holder is alone: of two that end together the later sees that
  -- nothing is left.
  perform from private.runs r where r.id = p_run_id for no key update;
  update private.run_slices s set lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
  where s.run_id = p_run_id and s.holder = p_holder;
  v_has_more := found;
  if not v_has_more then
    v_has_more := private.take_slice(p_run_id, p_holder, p_chunk_size, p_lease_seconds);
  end if;
  v_is_done := not v_has_more and not exists (select from private.run_slices s where s.run_id = p_run_id);

  update private.runs r
  set counts = private.add_counts(r.counts, p_counts), chunks = r.chunks + 1, people = r.people + p_people,
      updated_at = clock_timestamp(), state = case when v_is_done then 'finished' else r.state end,
      finished_at = case when v_is_done then clock_timestamp() else r.finished_at end
  where r.id = p_run_id
  returning r.* into v_run;
  if v_is_done then
    update private.schedules s
    set last_succeeded_at = v_run.finished_at,
        last_result = jsonb_build_object('run_id', v_run.id, 'people', v_run.people, 'chunks', v_run.chunks, 'counts', v_run.counts)
    where s.name = v_run.kind;
  end if;
  return jsonb_build_object('done', v_is_done, 'more', v_has_more, 'people', p_people, 'counts', p_counts);
end;
$$;
comment on function private.finish_chunk(bigint, uuid, integer, integer, jsonb, integer) is
  'Writes what a chunk did into the ledger and gives its holder the next slice, last of all: the run is locked to the commit. Whoever leaves no slice behind finishes the run and reports to its schedule. Returns done, more (the holder has a slice in hand), people and counts of the chunk.';
revoke all on function private.finish_chunk(bigint, uuid, integer, integer, jsonb, integer) from public, anon, authenticated, service_role;
grant execute on function private.finish_chunk(bigint, uuid, integer, integer, jsonb, integer) to service_role;

create or replace function public.pause_run(p_run_id bigint, p_holder uuid) returns jsonb
language plpgsql
set search_path = ''
as $$
begin
  if private.lock_slice(p_run_id, p_holder) then
    update private.run_slices s set holder = null, lease_until = null
    where s.run_id = p_run_id and s.holder = p_holder;
    perform from private.runs r where r.id = p_run_id for no key update;
    update private.runs r
    set updated_at = clock_timestamp(),
        state = case when exists (select from private.run_slices s where s.run_id = p_run_id and s.holder is not null)
          then r.state else 'in_progress' end
    where r.id = p_run_id;
  end if;
  return public.run_report(p_run_id);
end;
$$;
comment on function public.pause_run(bigint, uuid) is
  'Gives back what the holder has in hand, so that the next who asks continues there at once; returns the report. The run is in_progress when nobody holds anything of it. No effect for anybody but the holder.';
revoke all on function public.pause_run(bigint, uuid) from public, anon, authenticated, service_role;
grant execute on function public.pause_run(bigint, uuid) to service_role;

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

create or replace function public.rebuild_statistics_chunk(
  p_run_id bigint, p_holder uuid, p_chunk_size integer default 200, p_lease_seconds integer default 60)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_slice record;
  v_people integer := 0;
  v_counts jsonb := '{}';
  v_is_reconcile boolean;
begin
  select r.kind = 'statistics-reconcile' into v_is_reconcile from private.runs r where r.id = p_run_id;
  for v_slice in select t.* from private.take_chunk(p_run_id, p_holder, p_chunk_size) t loop
    v_counts := private.add_counts(v_counts, private.rebuild_statistics(
      v_slice.organization_id, v_slice.from_user, v_slice.to_user, v_slice.as_of, case when v_is_reconcile then p_run_id end));
    v_people := v_people + v_slice.people;
  end loop;
  return private.finish_chunk(p_run_id, p_holder, p_chunk_size, v_people, v_counts, p_lease_seconds);
end;
$$;
comment on function public.rebuild_statistics_chunk(bigint, uuid, integer, integer) is
  'Recomputes everything of the people whom the holder has in hand, and takes the next, in one transaction. Several holders work at once. In a run of kind statistics-reconcile, rows that differed are reported in private.statistics_drift. PT409 lease_lost.';
revoke all on function public.rebuild_statistics_chunk(bigint, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.rebuild_statistics_chunk(bigint, uuid, integer, integer) to service_role;

create or replace function public.statistics_status(p_now timestamptz default now()) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'marks', (select jsonb_build_object('waiting', count(*), 'people', count(distinct (m.organization_id, m.user_id)), 'oldest_at', min(m.marked_at))
              from private.statistics_marks m),
    'oldest_work_at', private.oldest_statistics_work(p_now),
    'runs', (select coalesce(jsonb_agg(public.run_report(l.id) || jsonb_build_object('lease_until',
                      (select min(rs.lease_until) from private.run_slices rs where rs.run_id = l.id)) order by l.kind), '[]')
             from (select distinct on (r.kind) r.id, r.kind from private.runs r
                   where r.kind in ('statistics-rebuild', 'statistics-reconcile') order by r.kind, r.id desc) l),
    'schedules', (select coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'expected_seconds', extract(epoch from s.expected_interval),
                    'last_started_at', s.last_started_at, 'last_succeeded_at', s.last_succeeded_at) order by s.name), '[]')
                  from private.schedules s where s.name like 'statistics-%'));
$$;
comment on function public.statistics_status(timestamptz) is
  'Whether statistics keep up: marks that wait and since when, the latest rebuild and reconcile, and when their schedules last ran.';
revoke all on function public.statistics_status(timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.statistics_status(timestamptz) to service_role;

create or replace function public.evaluate_chunk(
  p_run_id bigint, p_holder uuid, p_chunk_size integer default 2000, p_lease_seconds integer default 60)
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_slice record;
  v_people integer := 0;
  v_counts jsonb := '{}';
begin
  for v_slice in select t.* from private.take_chunk(p_run_id, p_holder, p_chunk_size) t loop
    v_counts := private.add_counts(v_counts,
      private.decide(v_slice.organization_id, v_slice.from_user, v_slice.to_user, null, v_slice.as_of));
    v_people := v_people + v_slice.people;
  end loop;
  return private.finish_chunk(p_run_id, p_holder, p_chunk_size, v_people, v_counts, p_lease_seconds);
end;
$$;
comment on function public.evaluate_chunk(bigint, uuid, integer, integer) is
  'Evaluates the people whom the holder has in hand, and takes the next: effects and slices in one transaction, so that a crash repeats nothing and skips nobody. Several holders work at once. Returns done, more (the holder has people in hand), people and counts of this chunk. PT409 lease_lost when somebody else has taken them over.';
revoke all on function public.evaluate_chunk(bigint, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.evaluate_chunk(bigint, uuid, integer, integer) to service_role;

create or replace function private.tick_run(p_name text, p_function_name text) returns void
language plpgsql
set search_path = ''
as $$
begin
  -- A tenth early is on time: the tick of the exact minute may come a moment before the interval has passed. A bell that
  -- opened no run yet gets a minute and a half before it counts as lost: a cold start must not make two runs of one.
  update private.schedules s
  set last_rung_at = clock_timestamp()
  where s.name = p_name
    and ((coalesce(s.last_started_at, '-infinity') <= clock_timestamp() - s.expected_interval * 0.9
        and (s.last_rung_at is null or s.last_rung_at <= s.last_started_at
          or s.last_rung_at <= clock_timestamp() - interval '90 seconds'))
      or exists (select from private.runs r join private.run_slices rs on rs.run_id = r.id
                 where r.kind = s.name and r.state <> 'finished' and (rs.holder is null or rs.lease_until <= clock_timestamp())));
  if found then
    perform private.post_signed(p_function_name, jsonb_build_object(
      'type', 'SCHEDULE', 'schedule', p_name, 'bell_id', private.new_bell_id()));
  end if;
end;
$$;
comment on function private.tick_run(text, text) is
  'Cron: rings a function for its run when that is due by private.schedules.expected_interval, or when an open run has people whom nobody works on: the rest, what was given back, and what the dead held. While others work, whoever answers joins them. Without an interval it only continues.';
revoke all on function private.tick_run(text, text) from public, anon, authenticated, service_role;
