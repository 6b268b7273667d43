-- Statistics: see supabase/schemas/20_statistics/, to which the migrations are proven equal.
set check_function_bodies = off;

-- Pre-aggregated statistics per person and period, kept right by marks (rules.md §2, source document "Activity Statistics").

create type public.statistics_period as enum ('day', 'week', 'month', 'quarter', 'year', 'all_time');
comment on type public.statistics_period is 'Granularity of a window. Windows are UTC, start inclusive, end exclusive; weeks are ISO weeks.';

create function private.dirty_days(p_organization_id uuid, p_users uuid[], p_user_ids uuid[], p_days date[])
returns table (user_id uuid, day date)
language sql stable
set search_path = ''
as $$
  with marked as (
    select m.user_id, m.day from unnest(p_user_ids, p_days) as m (user_id, day) where m.user_id = any (p_users)
  ), whole as (
    select distinct m.user_id from marked m where m.day is null
  )
  select m.user_id, m.day from marked m where m.day is not null
  union
  select a.user_id, (a.occurred_at at time zone 'UTC')::date
  from whole w
  join public.activities a on a.organization_id = p_organization_id and a.user_id = w.user_id and a.status = 'completed'
  union
  -- Rows that stand although nothing is behind them: their days are dirty too.
  select s.user_id, (s.period_start at time zone 'UTC')::date
  from whole w
  join public.activity_statistics s on s.organization_id = p_organization_id and s.user_id = w.user_id and s.period_start is not null;
$$;
comment on function private.dirty_days(uuid, uuid[], uuid[], date[]) is
  'The UTC days to recompute: those marked, and for people marked as a whole every day that has an activity or begins a row. p_users: who still exists.';
revoke all on function private.dirty_days(uuid, uuid[], uuid[], date[]) from public, anon, authenticated, service_role;
grant execute on function private.dirty_days(uuid, uuid[], uuid[], date[]) to service_role;

create function public.drain_statistics_marks(p_limit integer default 2000, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_marks integer;
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_days date[];
  v_organization_id uuid;
  v_rows bigint := 0;
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  perform private.mark_ended_streaks(p_now);
  -- In the order of the key, so that one drain takes one person's marks together. By row address: a join with a limit for
  -- parameter is planned as a scan of the table.
  with claimed as (
    delete from private.statistics_marks m
    where m.ctid = any (array(
      select w.ctid from private.statistics_marks w
      order by w.organization_id, w.user_id, w.id
      limit p_limit
      for update skip locked))
    returning m.organization_id, m.user_id, m.day
  )
  select count(*), array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day)
    into v_marks, v_organization_ids, v_user_ids, v_days
  from claimed c;

  for v_organization_id in select distinct o.id from unnest(v_organization_ids) as o (id) order by o.id loop
    v_rows := v_rows + coalesce((
      select sum(r.rows_changed)
      from (select array_agg(c.user_id) as user_ids, array_agg(c.day) as days
            from unnest(v_organization_ids, v_user_ids, v_days) as c (organization_id, user_id, day)
            where c.organization_id = v_organization_id) m
      cross join lateral private.recompute_statistics(v_organization_id, m.user_ids, m.days, p_now) r), 0);
  end loop;
  return jsonb_build_object('marks', v_marks, 'rows', v_rows, 'more', v_marks = p_limit,
    'people', (select count(distinct (c.o, c.u)) from unnest(v_organization_ids, v_user_ids) as c (o, u)),
    'rang_again', v_marks < p_limit and private.ring_again('statistics-recompute', 'public', 'activities'));
end;
$$;
comment on function public.drain_statistics_marks(integer, timestamptz) is
  'Claims up to p_limit marks and recomputes the buckets they name; marks and rows change in one transaction, so a crash leaves the marks. Any number may drain at once. Marks of people who are gone are dropped. Also ends the streaks that yesterday broke.';
revoke all on function public.drain_statistics_marks(integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.drain_statistics_marks(integer, timestamptz) to service_role;

create function public.freeze_team_report(
  p_title text, p_period_type public.statistics_period, p_day date default (now() at time zone 'UTC')::date)
returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_figures jsonb := public.team_statistics(p_period_type, p_day);
  v_report_id uuid;
begin
  -- A funder is not told figures that change a second later.
  if (v_figures ->> 'is_being_recomputed')::boolean then
    raise exception using errcode = 'PT409', message = 'statistics_are_being_recomputed', hint = 'Try again in a few seconds.';
  end if;
  insert into public.team_reports (organization_id, period_type, period_start, period_end, title, figures, frozen_by)
  values ((v_figures ->> 'organization_id')::uuid, p_period_type, (v_figures ->> 'period_start')::timestamptz,
    (v_figures ->> 'period_end')::timestamptz, p_title, v_figures, private.current_user_id())
  returning id into v_report_id;
  return v_figures || jsonb_build_object('report_id', v_report_id);
end;
$$;
-- Definer because nobody writes reports directly; team_statistics checks the caller and names the organisation.
comment on function public.freeze_team_report(text, public.statistics_period, date) is
  'Keeps the team''s figures as they stand, as a report that nothing changes any more. PT409 statistics_are_being_recomputed while changes wait to be counted.';
revoke all on function public.freeze_team_report(text, public.statistics_period, date) from public, anon, authenticated, service_role;
grant execute on function public.freeze_team_report(text, public.statistics_period, date) to authenticated;

create function private.has_statistics_mark(p_organization_id uuid, p_user_id uuid) returns boolean
language sql stable security definer
set search_path = ''
as $$
  select exists (
    select from private.statistics_marks m where m.organization_id = p_organization_id and m.user_id = p_user_id);
$$;
-- Definer because readers of statistics may not see marks; it tells one bit, and the view that asks shows only rows the reader may read.
comment on function private.has_statistics_mark(uuid, uuid) is 'Whether a change of this person''s activities still waits to be counted.';
revoke all on function private.has_statistics_mark(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.has_statistics_mark(uuid, uuid) to authenticated, service_role;

create function private.is_period(p_type public.statistics_period, p_start timestamptz, p_end timestamptz) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select case when p_type = 'all_time' then p_start is null and p_end is null
    else coalesce(
      p_start = private.period_start(p_type, (p_start at time zone 'UTC')::date) and p_end = private.period_end(p_type, p_start),
      false)
  end;
$$;
comment on function private.is_period(public.statistics_period, timestamptz, timestamptz) is
  'Whether the bounds are those of a UTC period of this type: null only, and both, for all_time.';
revoke all on function private.is_period(public.statistics_period, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.is_period(public.statistics_period, timestamptz, timestamptz) to authenticated, service_role;

create function private.mark_ended_streaks(p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_yesterday timestamptz := (date_trunc('day', p_now at time zone 'UTC') - interval '1 day') at time zone 'UTC';
begin
  -- Whoever was last active before yesterday has no streak any more, in every period that was open then: all of those
  -- contain that last day, so its mark has them recomputed.
  -- Whoever calls this drains; no bell is needed.
  perform set_config('attend.statistics_bell', 'requested', true);
  perform private.mark_statistics(array_agg(s.organization_id), array_agg(s.user_id),
    array_agg((s.last_activity_date at time zone 'UTC')::date))
  from public.activity_statistics s
  where s.period_type = 'all_time' and s.streak_days > 0 and s.last_activity_date < v_yesterday
    -- Only a mark of that very day excuses: another's drain would move the last day on, and nobody would look back.
    and not exists (
      select from private.statistics_marks m
      where m.organization_id = s.organization_id and m.user_id = s.user_id
        and (m.day is null or m.day = (s.last_activity_date at time zone 'UTC')::date));
end;
$$;
comment on function private.mark_ended_streaks(timestamptz) is
  'Marks everybody whose streak ended before yesterday (UTC) and still shows. Costs what has decayed, not who exists; a missed midnight is made up for at the next call.';
revoke all on function private.mark_ended_streaks(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.mark_ended_streaks(timestamptz) to service_role;

create function private.mark_statistics(p_organization_ids uuid[], p_user_ids uuid[], p_days date[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_rings boolean;
begin
  if cardinality(p_user_ids) is null or cardinality(p_user_ids) = 0 then
    return;
  end if;
  -- One bell a transaction. The setting is local, so a rollback to a savepoint that takes the mark takes it too.
  v_rings := coalesce(current_setting('attend.statistics_bell', true), '') <> 'requested';
  if v_rings then
    perform set_config('attend.statistics_bell', 'requested', true);
  end if;
  insert into private.statistics_marks (organization_id, user_id, day, rings)
  select m.organization_id, m.user_id, m.day, v_rings and m.position = 1
  from unnest(p_organization_ids, p_user_ids, p_days) with ordinality as m (organization_id, user_id, day, position);
end;
$$;
comment on function private.mark_statistics(uuid[], uuid[], date[]) is
  'Marks people''s UTC days (null: all of them), given as arrays of equal length. For the marking triggers, which run it as their owner.';
revoke all on function private.mark_statistics(uuid[], uuid[], date[]) from public, anon, authenticated, service_role;
grant execute on function private.mark_statistics(uuid[], uuid[], date[]) to service_role;

create function private.mark_statistics_of_activities() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_user_ids uuid[];
  v_days date[];
begin
  -- Both sides of a move. Each branch names only the transition tables its event has.
  if tg_op = 'INSERT' then
    select array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day) into v_organization_ids, v_user_ids, v_days
    from (select distinct n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed') c;
  elsif tg_op = 'DELETE' then
    select array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day) into v_organization_ids, v_user_ids, v_days
    from (select distinct o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date as day
          from old_rows o where o.status = 'completed') c;
  else
    select array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day) into v_organization_ids, v_user_ids, v_days
    from (select n.organization_id, n.user_id, (n.occurred_at at time zone 'UTC')::date as day
          from new_rows n where n.status = 'completed'
          union
          select o.organization_id, o.user_id, (o.occurred_at at time zone 'UTC')::date
          from old_rows o where o.status = 'completed') c;
  end if;
  perform private.mark_statistics(v_organization_ids, v_user_ids, v_days);
  return null;
end;
$$;
-- Definer because whoever writes activities, or deletes what they hang on, may not see marks.
comment on function private.mark_statistics_of_activities() is 'Trigger: marks the days of completed activities that a statement made, changed or removed.';
revoke all on function private.mark_statistics_of_activities() from public, anon, authenticated, service_role;

create function private.mark_statistics_of_activity_type() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- A drain holds the shared side of this lock: it ran before these marks were made, which see what it counted, or it waits
  -- for this commit and reads the new category. Deferred to the commit, so that nobody waits long.
  perform pg_advisory_xact_lock(hashtextextended('attend.statistics ' || new.organization_id::text, 0));
  perform private.mark_statistics(array_agg(d.organization_id), array_agg(d.user_id), array_agg(d.day))
  from (
    select distinct a.organization_id, a.user_id, (a.occurred_at at time zone 'UTC')::date as day
    from public.activities a
    where a.organization_id = new.organization_id and a.activity_type_id = new.id and a.status = 'completed'
  ) d;
  return null;
end;
$$;
-- Definer because admins who change a type may not see marks.
comment on function private.mark_statistics_of_activity_type() is 'Trigger: marks the days of activities of a type whose category changed.';
revoke all on function private.mark_statistics_of_activity_type() from public, anon, authenticated, service_role;

create function private.mark_statistics_of_bufdir_rule() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_rule public.bufdir_rules;
  v_sides public.bufdir_rules[];
begin
  -- A drain holds the shared side of this lock: it ran before these marks were made, which see what it counted, or it waits
  -- for this commit and reads the new rule. Deferred to the commit, so that nobody waits long.
  perform pg_advisory_xact_lock(hashtextextended('attend.statistics ' || coalesce(new.organization_id, old.organization_id)::text, 0));
  -- Each side holds from its date until the next rule's; a rule that moved or went gives its span to the one before it,
  -- so the span between the two dates is touched as well, and both spans together cover it.
  v_sides := case
    when tg_op = 'INSERT' then array[new]
    when tg_op = 'DELETE' or old.effective_from = new.effective_from then array[old]
    else array[old, new]
  end;
  foreach v_rule in array v_sides loop
    perform private.mark_statistics(array_agg(d.organization_id), array_agg(d.user_id), array_agg(d.day))
    from (
      select distinct a.organization_id, a.user_id, (a.occurred_at at time zone 'UTC')::date as day
      from public.activities a
      where a.organization_id = v_rule.organization_id and a.status = 'completed'
        and a.occurred_at >= v_rule.effective_from::timestamp at time zone 'UTC'
        and a.occurred_at < coalesce(
          (select min(r.effective_from)::timestamp at time zone 'UTC' from public.bufdir_rules r
           where r.organization_id = v_rule.organization_id and r.effective_from > v_rule.effective_from),
          'infinity')
    ) d;
  end loop;
  return null;
end;
$$;
-- Definer because admins who change a rule may not see marks.
comment on function private.mark_statistics_of_bufdir_rule() is 'Trigger: marks exactly the days of activities that a changed Bufdir rule covers, before or after.';
revoke all on function private.mark_statistics_of_bufdir_rule() from public, anon, authenticated, service_role;

create function private.mark_statistics_of_contacts() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_activity_ids uuid[];
  v_user_ids uuid[];
  v_days date[];
begin
  if tg_op = 'INSERT' then
    select array_agg(n.organization_id), array_agg(n.activity_id) into v_organization_ids, v_activity_ids from new_rows n;
  elsif tg_op = 'DELETE' then
    select array_agg(o.organization_id), array_agg(o.activity_id) into v_organization_ids, v_activity_ids from old_rows o;
  else
    select array_agg(c.organization_id), array_agg(c.activity_id) into v_organization_ids, v_activity_ids
    from (select n.organization_id, n.activity_id from new_rows n
          union all
          select o.organization_id, o.activity_id from old_rows o) c;
  end if;
  -- An activity that is gone marked its day itself.
  select array_agg(c.organization_id), array_agg(c.user_id), array_agg(c.day) into v_organization_ids, v_user_ids, v_days
  from (
    select distinct l.organization_id, l.user_id, (l.occurred_at at time zone 'UTC')::date as day
    from (
      select a.organization_id, a.user_id, a.occurred_at, a.status
      from (select distinct u.organization_id, u.activity_id
            from unnest(v_organization_ids, v_activity_ids) as u (organization_id, activity_id)) x
      join public.activities a on a.organization_id = x.organization_id and a.id = x.activity_id
      order by x.organization_id, x.activity_id
      -- Locks every one, completed or not (offset 0 keeps the condition outside): so it waits for whoever moves or completes
      -- the activity, and sees what became of it. The reference itself locks only the key.
      offset 0
      for share of a
    ) l
    where l.status = 'completed'
  ) c;
  perform private.mark_statistics(v_organization_ids, v_user_ids, v_days);
  return null;
end;
$$;
-- Definer because whoever writes contacts of activities may not see marks.
comment on function private.mark_statistics_of_contacts() is 'Trigger: marks the days of activities whose contacts a statement changed.';
revoke all on function private.mark_statistics_of_contacts() from public, anon, authenticated, service_role;

create function private.mark_statistics_of_everybody() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- Truncate tells nobody which rows there were.
  perform private.mark_statistics(array_agg(u.organization_id), array_agg(u.id), array_agg(null::date)) from public.users u;
  return null;
end;
$$;
-- Definer because whoever truncates may not see marks.
comment on function private.mark_statistics_of_everybody() is 'Trigger: marks every day of everybody when activities or their contacts are truncated.';
revoke all on function private.mark_statistics_of_everybody() from public, anon, authenticated, service_role;

create function private.oldest_statistics_work(p_now timestamptz) returns timestamptz
language sql stable
set search_path = ''
as $$
  select least(
    (select min(m.marked_at) from private.statistics_marks m),
    -- A streak that still shows although yesterday broke it has been work since this midnight.
    (select date_trunc('day', p_now at time zone 'UTC') at time zone 'UTC'
     from public.activity_statistics s
     where s.period_type = 'all_time' and s.streak_days > 0
       and s.last_activity_date < date_trunc('day', p_now at time zone 'UTC') at time zone 'UTC' - interval '24 hours'
     limit 1));
$$;
comment on function private.oldest_statistics_work(timestamptz) is 'Since when something waits to be recomputed; null when nothing does.';
revoke all on function private.oldest_statistics_work(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.oldest_statistics_work(timestamptz) to service_role;

create function private.period_end(p_type public.statistics_period, p_start timestamptz) returns timestamptz
language sql immutable parallel safe
set search_path = ''
as $$
  select ((p_start at time zone 'UTC') + case p_type
      when 'day' then interval '1 day' when 'week' then interval '7 days' when 'month' then interval '1 month'
      when 'quarter' then interval '3 months' when 'year' then interval '1 year' end) at time zone 'UTC';
$$;
comment on function private.period_end(public.statistics_period, timestamptz) is 'Exclusive end of the UTC period that starts there; null for all_time.';
revoke all on function private.period_end(public.statistics_period, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.period_end(public.statistics_period, timestamptz) to authenticated, service_role;

create function private.period_start(p_type public.statistics_period, p_day date) returns timestamptz
language sql immutable parallel safe
set search_path = ''
as $$
  select case when p_type <> 'all_time' then
    date_trunc(case p_type when 'day' then 'day' when 'week' then 'week' when 'month' then 'month'
      when 'quarter' then 'quarter' else 'year' end, p_day::timestamp) at time zone 'UTC'
  end;
$$;
comment on function private.period_start(public.statistics_period, date) is 'Inclusive start of the UTC period that contains a UTC day; null for all_time.';
revoke all on function private.period_start(public.statistics_period, date) from public, anon, authenticated, service_role;
grant execute on function private.period_start(public.statistics_period, date) to authenticated, service_role;

create function private.rebuild_statistics(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_now timestamptz, p_reconcile_run_id bigint)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_users uuid[];
  v_marked_users uuid[];
  v_marked_days date[];
  v_rows bigint;
  v_people bigint := 0;
begin
  select array_agg(l.id) into v_users
  from (
    select u.id from public.users u
    where u.organization_id = p_organization_id
      and (p_from_user is null or u.id >= p_from_user) and (p_to_user is null or u.id < p_to_user)
    order by u.id
    for key share
  ) l;
  insert into public.activity_statistics (organization_id, user_id, period_type)
  select p_organization_id, u.id, 'all_time' from unnest(v_users) as u (id)
  on conflict do nothing;

  -- Everybody's lock first and in order, as a drain takes them; and no waiting for marks that a drain holds, which itself
  -- waits for these locks: it will recompute them after us.
  perform from public.activity_statistics s
  where s.organization_id = p_organization_id and s.period_type = 'all_time' and s.user_id = any (v_users)
  order by s.user_id
  for no key update;
  -- What a mark announces is no drift: it is recomputed first, and not counted.
  with claimed as (
    delete from private.statistics_marks m
    where m.ctid = any (array(
      select w.ctid from private.statistics_marks w
      where w.organization_id = p_organization_id and w.user_id = any (v_users)
      for update skip locked))
    returning m.user_id, m.day
  )
  select array_agg(c.user_id), array_agg(c.day) into v_marked_users, v_marked_days from claimed c;
  if v_marked_users is not null then
    perform private.recompute_statistics(p_organization_id, v_marked_users, v_marked_days, p_now);
  end if;

  with changed as (
    select r.user_id, sum(r.rows_changed) as rows_changed
    from private.recompute_statistics(
      p_organization_id, v_users, array_fill(null::date, array[cardinality(v_users)]), p_now, p_reconcile_run_id is null) r
    where not exists (select from private.statistics_marks m where m.organization_id = p_organization_id and m.user_id = r.user_id)
    group by r.user_id
  ), reported as (
    insert into private.statistics_drift (organization_id, user_id, run_id, rows_changed)
    select p_organization_id, c.user_id, p_reconcile_run_id, c.rows_changed from changed c where p_reconcile_run_id is not null
  )
  select coalesce(sum(c.rows_changed), 0), count(*) into v_rows, v_people from changed c;
  return jsonb_build_object('statistics', case when p_reconcile_run_id is null
    then jsonb_build_object('rows_written', v_rows)
    else jsonb_build_object('rows_repaired', v_rows, 'people_with_drift', v_people) end);
end;
$$;
comment on function private.rebuild_statistics(uuid, uuid, uuid, timestamptz, bigint) is
  'Recomputes every row of a range of people (from inclusive, to exclusive, null: open). With a reconcile''s run id only rows that differ are written, and whose they were is reported.';
revoke all on function private.rebuild_statistics(uuid, uuid, uuid, timestamptz, bigint) from public, anon, authenticated, service_role;
grant execute on function private.rebuild_statistics(uuid, uuid, uuid, timestamptz, bigint) to service_role;

create function public.rebuild_statistics_chunk(
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
  return private.finish_chunk(p_run_id, v_people, v_counts, p_lease_seconds);
end;
$$;
comment on function public.rebuild_statistics_chunk(bigint, uuid, integer, integer) is
  'Recomputes everything of the next people of a run, one transaction with its cursor. In a run of kind statistics-reconcile, rows that differed are reported in private.statistics_drift. PT409 lease_lost.';
revoke all on function public.rebuild_statistics_chunk(bigint, uuid, integer, integer) from public, anon, authenticated, service_role;
grant execute on function public.rebuild_statistics_chunk(bigint, uuid, integer, integer) to service_role;

create function private.recompute_buckets(
  p_organization_id uuid, p_users uuid[], p_dirty_users uuid[], p_dirty_days date[], p_touch boolean)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  with bucket as materialized (
    select distinct d.user_id, t.period_type, b.period_start at time zone 'UTC' as period_start,
      (b.period_start + t.length) at time zone 'UTC' as period_end
    from unnest(p_dirty_users, p_dirty_days) as d (user_id, day)
    cross join (values
      ('day'::public.statistics_period, interval '1 day'), ('week', interval '7 days'), ('month', interval '1 month'),
      ('quarter', interval '3 months'), ('year', interval '1 year')) as t (period_type, length)
    cross join lateral (select date_trunc(t.period_type::text, d.day::timestamp) as period_start) b
    union all
    select u.id, 'all_time', null, null from unnest(p_users) as u (id)
  ), bufdir_rule as materialized (
    select r.*, r.effective_from::timestamp at time zone 'UTC' as from_at,
      lead(r.effective_from::timestamp at time zone 'UTC', 1, 'infinity') over (order by r.effective_from) as until_at
    from public.bufdir_rules r
    where r.organization_id = p_organization_id
  ), computed as materialized (
    select b.user_id, b.period_type, b.period_start, b.period_end, f.*, c.unique_contacts_reached
    from bucket b
    cross join lateral (
      select coalesce(sum(t.activities), 0)::integer as total_activities, coalesce(sum(t.minutes), 0)::integer as total_duration_minutes,
        coalesce(jsonb_object_agg(t.activity_type_id, t.activities) filter (where t.activity_type_id is not null), '{}')
          as activity_type_breakdown,
        coalesce(sum(t.activities) filter (where t.activity_type_id = 'home-visit'), 0)::integer as home_visit_count,
        coalesce(sum(t.activities) filter (where t.activity_type_id = 'phone-call'), 0)::integer as phone_call_count,
        coalesce(sum(t.activities) filter (where at.category = 'group'), 0)::integer as group_activity_count,
        coalesce(sum(t.proxies), 0)::integer as proxy_activity_count, max(t.last_at) as last_activity_date,
        coalesce(sum(t.eligible), 0)::integer as bufdir_eligible_count
      from (
        select a.activity_type_id, count(*) as activities, sum(a.duration_minutes) as minutes,
          max(a.occurred_at) as last_at, count(a.proxy_registered_by) as proxies,
          count(*) filter (where a.duration_minutes >= r.min_duration_minutes
            and (not r.requires_approval or a.approval = 'approved')
            and (not r.requires_contact or exists (
              select from public.activity_contacts ac where ac.organization_id = p_organization_id and ac.activity_id = a.id))
          ) as eligible
        from public.activities a
        left join bufdir_rule r on a.occurred_at >= r.from_at and a.occurred_at < r.until_at
        where a.organization_id = p_organization_id and a.user_id = b.user_id and a.status = 'completed'
          and a.occurred_at >= coalesce(b.period_start, '-infinity') and a.occurred_at < coalesce(b.period_end, 'infinity')
        group by a.activity_type_id
      ) t
      left join public.activity_types at on at.organization_id = p_organization_id and at.id = t.activity_type_id
    ) f
    cross join lateral (
      select count(distinct ac.contact_id)::integer as unique_contacts_reached
      from public.activities a
      join public.activity_contacts ac on ac.organization_id = p_organization_id and ac.activity_id = a.id
      where a.organization_id = p_organization_id and a.user_id = b.user_id and a.status = 'completed'
        and a.occurred_at >= coalesce(b.period_start, '-infinity') and a.occurred_at < coalesce(b.period_end, 'infinity')
    ) c
  ), removed as (
    delete from public.activity_statistics s
    using computed c
    -- "is true" leaves only the indexes led by the person: the organisation's would be read whole while the table is young.
    where (s.organization_id = p_organization_id) is true and s.user_id = c.user_id and s.period_type = c.period_type
      and s.period_start = c.period_start and c.total_activities = 0
    returning s.user_id
  ), written as (
    insert into public.activity_statistics as s (
      organization_id, user_id, period_type, period_start, period_end, total_activities, total_duration_minutes,
      unique_contacts_reached, activity_type_breakdown, home_visit_count, phone_call_count, group_activity_count,
      proxy_activity_count, last_activity_date, bufdir_eligible_count, computed_at, updated_at)
    select p_organization_id, c.user_id, c.period_type, c.period_start, c.period_end, c.total_activities, c.total_duration_minutes,
      c.unique_contacts_reached, c.activity_type_breakdown, c.home_visit_count, c.phone_call_count, c.group_activity_count,
      c.proxy_activity_count, c.last_activity_date, c.bufdir_eligible_count, now(), now()
    from computed c
    where c.total_activities > 0 or c.period_type = 'all_time'
    on conflict on constraint one_row_per_user_period do update set
      total_activities = excluded.total_activities, total_duration_minutes = excluded.total_duration_minutes,
      unique_contacts_reached = excluded.unique_contacts_reached, activity_type_breakdown = excluded.activity_type_breakdown,
      home_visit_count = excluded.home_visit_count, phone_call_count = excluded.phone_call_count,
      group_activity_count = excluded.group_activity_count, proxy_activity_count = excluded.proxy_activity_count,
      last_activity_date = excluded.last_activity_date, bufdir_eligible_count = excluded.bufdir_eligible_count,
      computed_at = excluded.computed_at, updated_at = excluded.computed_at
    where p_touch
      or (s.total_activities, s.total_duration_minutes, s.unique_contacts_reached, s.activity_type_breakdown, s.home_visit_count,
          s.phone_call_count, s.group_activity_count, s.proxy_activity_count, s.last_activity_date, s.bufdir_eligible_count)
        is distinct from
         (excluded.total_activities, excluded.total_duration_minutes, excluded.unique_contacts_reached,
          excluded.activity_type_breakdown, excluded.home_visit_count, excluded.phone_call_count, excluded.group_activity_count,
          excluded.proxy_activity_count, excluded.last_activity_date, excluded.bufdir_eligible_count)
    returning s.user_id
  )
  select x.user_id, count(*)
  from (select w.user_id from written w union all select r.user_id from removed r) x
  group by x.user_id;
end;
$$;
comment on function private.recompute_buckets(uuid, uuid[], uuid[], date[], boolean) is
  'Every bucket that contains one of the dirty days, and everybody''s all_time, anew from the activities; emptied ones go. Returns how many rows of whom it wrote or removed. Streaks are not its business. For private.recompute_statistics, which holds the locks.';
revoke all on function private.recompute_buckets(uuid, uuid[], uuid[], date[], boolean) from public, anon, authenticated, service_role;
grant execute on function private.recompute_buckets(uuid, uuid[], uuid[], date[], boolean) to service_role;

create function private.recompute_day_streaks(p_organization_id uuid, p_dirty_users uuid[], p_dirty_days date[])
returns table (user_id uuid, day date)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  -- Nothing before the first dirty day can have changed, and what stands on the day before it is right: it is counted on
  -- from there. Probes are laterals that nothing may flatten: of a young table the planner knows nothing, and would
  -- rather read every day of the organisation; "is true" takes the organisation out of every index's reach, so that only
  -- those led by the person are left.
  return query
  with since as (
    select d.user_id, min(d.day) - 1 as day from unnest(p_dirty_users, p_dirty_days) as d (user_id, day) group by d.user_id
  ), active as (
    select s.user_id, r.id, r.day, r.streak_days, s.day as before_day,
      r.day - (row_number() over (partition by s.user_id order by r.day))::integer as island
    from since s
    cross join lateral (
      select r.ctid as id, (r.period_start at time zone 'UTC')::date as day, r.streak_days
      from public.activity_statistics r
      where (r.organization_id = p_organization_id) is true and r.user_id = s.user_id and r.period_type = 'day'
        and r.period_start >= s.day::timestamp at time zone 'UTC'
      offset 0) r
  ), streak as (
    select a.user_id, a.id, a.day, a.before_day, a.streak_days as was,
      a.day - first_value(a.day) over w
        + case when first_value(a.day) over w = a.before_day then first_value(a.streak_days) over w else 1 end as streak_days
    from active a
    window w as (partition by a.user_id, a.island order by a.day)
  )
  update public.activity_statistics s
  set streak_days = k.streak_days, computed_at = now(), updated_at = now()
  from (select k.* from streak k where k.day > k.before_day and k.was is distinct from k.streak_days offset 0) k
  -- By row address: when autovacuum comes in the midst of a chunk, the key looks no better than the organisation's index.
  where s.ctid = k.id
  returning s.user_id, k.day;
end;
$$;
comment on function private.recompute_day_streaks(uuid, uuid[], date[]) is
  'Streaks of the day rows from each person''s first dirty day on, counted on from the day before it. Returns whose rows of which days it changed.';
revoke all on function private.recompute_day_streaks(uuid, uuid[], date[]) from public, anon, authenticated, service_role;
grant execute on function private.recompute_day_streaks(uuid, uuid[], date[]) to service_role;

create function private.recompute_longer_streaks(
  p_organization_id uuid, p_users uuid[], p_touched_users uuid[], p_touched_days date[], p_now timestamptz)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_today timestamptz := date_trunc('day', p_now at time zone 'UTC') at time zone 'UTC';
begin
  return query
  with span as (
    select t.user_id, min(t.day)::timestamp at time zone 'UTC' as first_day, max(t.day)::timestamp at time zone 'UTC' as last_day
    from unnest(p_touched_users, p_touched_days) as t (user_id, day)
    group by t.user_id
  ), touched as materialized (
    select u.id as user_id, l.last_activity_date, r.id, r.period_end, r.streak_days
    from unnest(p_users) as u (id)
    cross join lateral (
      select l.ctid as id, l.last_activity_date, l.streak_days from public.activity_statistics l
      where (l.organization_id = p_organization_id) is true and l.user_id = u.id and l.period_type = 'all_time' offset 0) l
    left join span on span.user_id = u.id
    cross join lateral (
      select l.id, null::timestamptz as period_end, l.streak_days
      union all
      select s.ctid as id, s.period_end, s.streak_days
      from public.activity_statistics s
      where (s.organization_id = p_organization_id) is true and s.user_id = u.id and s.period_type = any ('{week,month,quarter,year}')
        and s.period_start > span.first_day - interval '366 days' and s.period_start <= span.last_day and s.period_end > span.first_day
      offset 0) r
  ), streak as (
    -- A row's streak is that of its last day; while it is open, that of the last active day if that is today or yesterday.
    select t.user_id, t.id, t.streak_days as was, coalesce((
      select d.streak_days from public.activity_statistics d
      where (d.organization_id = p_organization_id) is true and d.user_id = t.user_id and d.period_type = 'day'
        and d.period_start = case
          when t.period_end <= v_today then t.period_end - interval '24 hours'
          when t.last_activity_date >= v_today - interval '24 hours' then
            date_trunc('day', t.last_activity_date at time zone 'UTC') at time zone 'UTC'
        end), 0) as streak_days
    from touched t
  ), written as (
    update public.activity_statistics s
    set streak_days = k.streak_days, computed_at = now(), updated_at = now()
    from (select k.* from streak k where k.was is distinct from k.streak_days offset 0) k
    -- By row address, as in private.recompute_day_streaks.
    where s.ctid = k.id
    returning s.user_id
  )
  select w.user_id, count(*) from written w group by w.user_id;
end;
$$;
comment on function private.recompute_longer_streaks(uuid, uuid[], uuid[], date[], timestamptz) is
  'Streaks of the rows of weeks to years that overlap the touched days, and of all_time, read off the day rows, as of p_now. Returns how many rows of whom it changed.';
revoke all on function private.recompute_longer_streaks(uuid, uuid[], uuid[], date[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.recompute_longer_streaks(uuid, uuid[], uuid[], date[], timestamptz) to service_role;

create function private.recompute_statistics(
  p_organization_id uuid, p_user_ids uuid[], p_days date[], p_now timestamptz, p_touch boolean default true)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_users uuid[];
  v_dirty_users uuid[];
  v_dirty_days date[];
begin
  perform set_config('attend.statistics_writer', 'drain', true);
  -- Rules and categories change before this or after it, never meanwhile.
  perform pg_advisory_xact_lock_shared(hashtextextended('attend.statistics ' || p_organization_id::text, 0));
  -- People first, then rows, in the order in which an erasure takes them. Who is gone drops out here.
  select array_agg(l.id) into v_users
  from (
    select u.id from public.users u
    where u.organization_id = p_organization_id and u.id = any (p_user_ids)
    order by u.id
    for key share
  ) l;
  -- Their all_time rows are the locks: taken in order, and before the snapshot of everything that follows, so that of two
  -- drains of one person the later sees what the earlier wrote.
  select array_agg(l.user_id) into v_users
  from (
    select s.user_id
    from public.activity_statistics s
    where s.organization_id = p_organization_id and s.period_type = 'all_time' and s.user_id = any (v_users)
    order by s.user_id
    for no key update
  ) l;
  if v_users is null then
    return;
  end if;

  select array_agg(d.user_id), array_agg(d.day) into v_dirty_users, v_dirty_days
  from private.dirty_days(p_organization_id, v_users, p_user_ids, p_days) d;
  -- The streaks read the day rows that the buckets just wrote, hence two statements in this order.
  return query
  select b.user_id, b.rows_changed
  from private.recompute_buckets(p_organization_id, v_users, v_dirty_users, v_dirty_days, p_touch) b;
  return query
  select s.user_id, s.rows_changed
  from private.recompute_streaks(p_organization_id, v_users, v_dirty_users, v_dirty_days, p_now) s;
end;
$$;
comment on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) is
  'Recomputes every bucket of the given people and UTC days (two arrays of equal length; a null day: all days) from their activities, streaks included, as of p_now. With p_touch false, rows already right keep their computed_at. Returns how many rows of whom it wrote or removed, in one or two rows a person.';
revoke all on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.recompute_statistics(uuid, uuid[], date[], timestamptz, boolean) to service_role;

create function private.recompute_streaks(
  p_organization_id uuid, p_users uuid[], p_dirty_users uuid[], p_dirty_days date[], p_now timestamptz)
returns table (user_id uuid, rows_changed bigint)
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_changed_users uuid[];
  v_changed_days date[];
begin
  select coalesce(array_agg(d.user_id), '{}'), coalesce(array_agg(d.day), '{}') into v_changed_users, v_changed_days
  from private.recompute_day_streaks(p_organization_id, p_dirty_users, p_dirty_days) d;
  return query select c.user_id, count(*) from unnest(v_changed_users) as c (user_id) group by c.user_id;
  return query select l.user_id, l.rows_changed
  from private.recompute_longer_streaks(
    p_organization_id, p_users, p_dirty_users || v_changed_users, p_dirty_days || v_changed_days, p_now) l;
end;
$$;
comment on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz) is
  'Streaks of the dirty days, of the days that follow them, and of the longer periods that overlap what changed, as of p_now. Needs the day rows right. For private.recompute_statistics, which holds the locks.';
revoke all on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.recompute_streaks(uuid, uuid[], uuid[], date[], timestamptz) to service_role;

create function private.start_statistics() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into public.activity_statistics (organization_id, user_id, period_type)
  select n.organization_id, n.id, 'all_time' from new_rows n
  on conflict do nothing;
  return null;
end;
$$;
-- Definer because whoever adds people need not be allowed to write statistics.
comment on function private.start_statistics() is 'Trigger: a person''s all_time row exists from the moment the person does, zeroed.';
revoke all on function private.start_statistics() from public, anon, authenticated, service_role;

create function public.statistics_status(p_now timestamptz default now()) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'marks', (select jsonb_build_object('waiting', count(*), 'people', count(distinct (m.organization_id, m.user_id)), 'oldest_at', min(m.marked_at))
              from private.statistics_marks m),
    'oldest_work_at', private.oldest_statistics_work(p_now),
    'runs', (select coalesce(jsonb_agg(public.run_report(l.id) || jsonb_build_object('lease_until', l.lease_until) order by l.kind), '[]')
             from (select distinct on (r.kind) r.id, r.kind, r.lease_until from private.runs r
                   where r.kind in ('statistics-rebuild', 'statistics-reconcile') order by r.kind, r.id desc) l),
    'schedules', (select coalesce(jsonb_agg(jsonb_build_object('name', s.name, 'expected_seconds', extract(epoch from s.expected_interval),
                    'last_started_at', s.last_started_at, 'last_succeeded_at', s.last_succeeded_at) order by s.name), '[]')
                  from private.schedules s where s.name like 'statistics-%'));
$$;
comment on function public.statistics_status(timestamptz) is
  'Whether statistics keep up: marks that wait and since when, the latest rebuild and reconcile, and when their schedules last ran.';
revoke all on function public.statistics_status(timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.statistics_status(timestamptz) to service_role;

create function private.team_figures(p_organization_id uuid, p_type public.statistics_period, p_day date, p_user_ids uuid[])
returns jsonb
language sql stable
set search_path = ''
as $$
  with bounds as (
    select private.period_start(p_type, p_day) as period_start, private.period_end(p_type, private.period_start(p_type, p_day)) as period_end
  ), person as (
    select s.*
    from bounds b
    join public.activity_statistics s on s.organization_id = p_organization_id and s.period_type = p_type
      and s.period_start is not distinct from b.period_start and s.total_activities > 0
      and (p_user_ids is null or s.user_id = any (p_user_ids))
  ), breakdown as (
    select jsonb_object_agg(k.type_id, k.n) as counts
    from (select e.key as type_id, sum(e.value::bigint) as n
          from person p cross join lateral jsonb_each_text(p.activity_type_breakdown) e group by e.key) k
  ), contact as (
    select count(distinct ac.contact_id) as distinct_contacts
    from bounds b
    join public.activities a on a.organization_id = p_organization_id and a.status = 'completed'
      and a.occurred_at >= coalesce(b.period_start, '-infinity') and a.occurred_at < coalesce(b.period_end, 'infinity')
      and (p_user_ids is null or a.user_id = any (p_user_ids))
    join public.activity_contacts ac on ac.organization_id = a.organization_id and ac.activity_id = a.id
  )
  select jsonb_build_object('organization_id', p_organization_id, 'period_type', p_type,
    'period_start', (select b.period_start from bounds b), 'period_end', (select b.period_end from bounds b),
    'active_people', count(*), 'total_activities', coalesce(sum(p.total_activities), 0),
    'total_duration_minutes', coalesce(sum(p.total_duration_minutes), 0),
    'sum_of_contacts', coalesce(sum(p.unique_contacts_reached), 0), 'distinct_contacts', (select c.distinct_contacts from contact c),
    'home_visit_count', coalesce(sum(p.home_visit_count), 0), 'phone_call_count', coalesce(sum(p.phone_call_count), 0),
    'group_activity_count', coalesce(sum(p.group_activity_count), 0),
    'proxy_activity_count', coalesce(sum(p.proxy_activity_count), 0),
    'proxy_share', round(sum(p.proxy_activity_count)::numeric / nullif(sum(p.total_activities), 0), 4),
    'bufdir_eligible_count', coalesce(sum(p.bufdir_eligible_count), 0),
    'activity_type_breakdown', coalesce((select b.counts from breakdown b), '{}'),
    'oldest_computed_at', min(p.computed_at),
    'is_being_recomputed', exists (
      select from private.statistics_marks m
      where m.organization_id = p_organization_id and (p_user_ids is null or m.user_id = any (p_user_ids))))
  from person p;
$$;
comment on function private.team_figures(uuid, public.statistics_period, date, uuid[]) is
  'Statistics of an organisation''s people (null: all) summed over the period that contains a UTC day. sum_of_contacts adds what each reached; distinct_contacts counts a contact shared by two once.';
revoke all on function private.team_figures(uuid, public.statistics_period, date, uuid[]) from public, anon, authenticated, service_role;

create function public.team_statistics(
  p_period_type public.statistics_period, p_day date default (now() at time zone 'UTC')::date, p_user_ids uuid[] default null)
returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_as('{coordinator,manager,admin}');
begin
  if v_organization_id is null then
    raise exception using errcode = '42501', message = 'only_staff_read_team_statistics',
      hint = 'Sign in as an active coordinator, manager or admin of the organisation.';
  end if;
  return private.team_figures(v_organization_id, p_period_type, p_day, p_user_ids);
end;
$$;
-- Definer because a policy judged for every activity of a year would cost more than the sum; the organisation is always the caller's own.
comment on function public.team_statistics(public.statistics_period, date, uuid[]) is
  'The team''s figures for the period (UTC) that contains a day, for the caller''s organisation and nobody else''s, whatever ids are asked for. is_being_recomputed tells whether changes still wait to be counted.';
revoke all on function public.team_statistics(public.statistics_period, date, uuid[]) from public, anon, authenticated, service_role;
grant execute on function public.team_statistics(public.statistics_period, date, uuid[]) to authenticated;

create function private.warn_of_unknown_types() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into public.statistics_warnings (organization_id, user_id, rule, details)
  select n.organization_id, n.user_id, 'type_breakdown_keys_valid',
    jsonb_build_object('statistics_id', n.id, 'unknown_types', jsonb_agg(k.key order by k.key))
  from new_rows n
  cross join lateral jsonb_object_keys(n.activity_type_breakdown) as k (key)
  where not exists (select from public.activity_types t where t.organization_id = n.organization_id and t.id = k.key)
  group by n.organization_id, n.user_id, n.id;
  return null;
end;
$$;
-- Definer because whoever writes statistics need not be allowed to write warnings.
comment on function private.warn_of_unknown_types() is 'Trigger: records rows whose activity_type_breakdown names types the organisation does not have.';
revoke all on function private.warn_of_unknown_types() from public, anon, authenticated, service_role;

create table public.activity_statistics (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  period_type public.statistics_period not null,
  period_start timestamptz,
  period_end timestamptz,
  total_activities integer not null default 0,
  total_duration_minutes integer not null default 0,
  unique_contacts_reached integer not null default 0,
  activity_type_breakdown jsonb default '{}',
  home_visit_count integer not null default 0,
  phone_call_count integer not null default 0,
  group_activity_count integer not null default 0,
  proxy_activity_count integer not null default 0,
  last_activity_date timestamptz,
  streak_days integer default 0,
  bufdir_eligible_count integer not null default 0,
  computed_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (organization_id, id),
  constraint one_row_per_user_period unique nulls not distinct (organization_id, user_id, period_type, period_start),
  constraint user_belongs_to_organization
    foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  constraint period_start_before_end check (period_start < period_end),
  -- private.is_period, written out: a call for each row would cost more than the row. Bounds in the wrong order are the
  -- constraint above's to name.
  constraint period_bounds_fit_period_type check (coalesce(period_start >= period_end, false) or coalesce(case
    when period_type = 'all_time' then period_start is null and period_end is null
    else period_start = date_trunc(period_type::text, period_start at time zone 'UTC') at time zone 'UTC'
      and period_end = ((period_start at time zone 'UTC') + case period_type
        when 'day' then interval '1 day' when 'week' then interval '7 days' when 'month' then interval '1 month'
        when 'quarter' then interval '3 months' else interval '1 year' end) at time zone 'UTC'
    end, false)),
  constraint counts_non_negative check (
    least(total_activities, total_duration_minutes, unique_contacts_reached, home_visit_count, phone_call_count,
      group_activity_count, proxy_activity_count, streak_days, bufdir_eligible_count) >= 0),
  constraint computed_at_not_future check (computed_at <= now() + interval '1 minute'),
  constraint activity_type_breakdown_is_an_object check (jsonb_typeof(activity_type_breakdown) = 'object')
);
comment on table public.activity_statistics is
  'Completed activities of a person in a period. A row exists where there is at least one, and always for all_time.';
comment on column public.activity_statistics.total_duration_minutes is 'Minutes.';
comment on column public.activity_statistics.streak_days is
  'Consecutive UTC days with a completed activity, ending on the last day of the period; in a period still open it may end today or yesterday. May begin before the period.';
comment on column public.activity_statistics.group_activity_count is 'Activities of every type of category group.';
comment on column public.activity_statistics.proxy_activity_count is 'Those of total_activities that a coordinator registered.';
comment on column public.activity_statistics.computed_at is 'When this row was last recomputed, by the database''s clock.';
create index idx_activity_statistics_user_period on public.activity_statistics (user_id, period_type, period_start);
create index idx_activity_statistics_user_id on public.activity_statistics (user_id);
create index idx_activity_statistics_org_period on public.activity_statistics (organization_id, period_type, period_start);
create index idx_activity_statistics_computed_at on public.activity_statistics (computed_at);
-- What the scenario engine reads of everybody, without touching the table.
create index activity_statistics_last_activity on public.activity_statistics (organization_id, user_id)
  include (last_activity_date) where period_type = 'all_time';
-- Whose streak decays at midnight.
create index activity_statistics_live_streaks on public.activity_statistics (last_activity_date)
  where period_type = 'all_time' and streak_days > 0;

create table public.bufdir_rules (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  effective_from date not null,
  min_duration_minutes integer not null constraint min_duration_is_between_zero_and_a_day check (min_duration_minutes between 0 and 1440),
  requires_contact boolean not null,
  requires_approval boolean not null,
  primary key (organization_id, effective_from)
);
comment on table public.bufdir_rules is
  'What qualifies for Bufdir grant reporting. A rule holds for activities from its date (UTC) until the next rule''s; before the first, nothing qualifies.';

create table private.statistics_marks (
  organization_id uuid not null,
  user_id uuid not null,
  id bigint generated always as identity,
  day date,
  rings boolean not null,
  marked_at timestamptz not null default now(),
  primary key (organization_id, user_id, id)
)
with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
comment on table private.statistics_marks is
  'Append-only: people and UTC days whose statistics are no longer right, written in the transaction that changed them.';
comment on column private.statistics_marks.day is 'Null: every day of the person.';

create table public.statistics_warnings (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  rule text not null,
  details jsonb not null,
  recorded_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade
);
comment on table public.statistics_warnings is 'Rows that were written although a rule of severity "warning" speaks against them.';
create index statistics_warnings_user_id on public.statistics_warnings (organization_id, user_id);

create table private.statistics_drift (
  organization_id uuid not null,
  id bigint generated always as identity,
  user_id uuid not null,
  run_id bigint not null,
  rows_changed integer not null,
  found_at timestamptz not null default now(),
  primary key (organization_id, id)
);
comment on table private.statistics_drift is 'What a reconcile found wrong, and repaired: people whose rows differed from their activities.';

create table public.team_reports (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  period_type public.statistics_period not null,
  period_start timestamptz,
  period_end timestamptz,
  title text not null constraint report_title_is_not_blank check (btrim(title) <> ''),
  figures jsonb not null,
  frozen_by uuid,
  frozen_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, frozen_by) references public.users (organization_id, id) on delete set null (frozen_by),
  constraint period_bounds_fit_period_type check (private.is_period(period_type, period_start, period_end))
);
comment on table public.team_reports is 'Team statistics as they stood when they were reported to the funder. Never changed.';
create index team_reports_frozen_by on public.team_reports (organization_id, frozen_by);

alter table public.activity_statistics enable row level security;
alter table public.bufdir_rules enable row level security;
alter table private.statistics_marks enable row level security;
alter table public.statistics_warnings enable row level security;
alter table private.statistics_drift enable row level security;
alter table public.team_reports enable row level security;

create policy "people read their own statistics, staff their organisation's" on public.activity_statistics for select to authenticated
  using (
    organization_id = (select private.organization_as('{coordinator,manager,admin}'))
    or (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()))
  );
create policy "people read their organisation's Bufdir rules" on public.bufdir_rules for select to authenticated
  using (organization_id = (select private.current_organization_id()));
create policy "admins add Bufdir rules" on public.bufdir_rules for insert to authenticated
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins change Bufdir rules" on public.bufdir_rules for update to authenticated
  using (organization_id = (select private.organization_as('{admin}')))
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins remove Bufdir rules" on public.bufdir_rules for delete to authenticated
  using (organization_id = (select private.organization_as('{admin}')));
create policy "staff read their organisation's statistics warnings" on public.statistics_warnings for select to authenticated
  using (organization_id = (select private.organization_as('{coordinator,manager,admin}')));
create policy "staff read their organisation's reports" on public.team_reports for select to authenticated
  using (organization_id = (select private.organization_as('{coordinator,manager,admin}')));

revoke all on public.activity_statistics, public.bufdir_rules, public.statistics_warnings, public.team_reports
  from public, anon, authenticated, service_role;
revoke all on private.statistics_marks, private.statistics_drift from public, anon, authenticated, service_role;
grant select on public.activity_statistics, public.statistics_warnings, public.team_reports to authenticated;
grant select, insert, update, delete on public.bufdir_rules to authenticated;
grant select, insert, update, delete on public.activity_statistics, public.bufdir_rules to service_role;
grant select, insert on public.statistics_warnings to service_role;
grant select on public.team_reports to service_role;
grant select, insert, update, delete on private.statistics_marks to service_role;
grant select, insert on private.statistics_drift to service_role;

create trigger users_start_statistics after insert on public.users
  referencing new table as new_rows for each statement execute function private.start_statistics();

create trigger activities_mark_statistics_inserted after insert on public.activities
  referencing new table as new_rows for each statement execute function private.mark_statistics_of_activities();
create trigger activities_mark_statistics_updated after update on public.activities
  referencing old table as old_rows new table as new_rows
  for each statement execute function private.mark_statistics_of_activities();
create trigger activities_mark_statistics_deleted after delete on public.activities
  referencing old table as old_rows for each statement execute function private.mark_statistics_of_activities();
create trigger activities_mark_statistics_truncated after truncate on public.activities
  for each statement execute function private.mark_statistics_of_everybody();
create trigger activity_contacts_mark_statistics_inserted after insert on public.activity_contacts
  referencing new table as new_rows for each statement execute function private.mark_statistics_of_contacts();
create trigger activity_contacts_mark_statistics_updated after update on public.activity_contacts
  referencing old table as old_rows new table as new_rows
  for each statement execute function private.mark_statistics_of_contacts();
create trigger activity_contacts_mark_statistics_deleted after delete on public.activity_contacts
  referencing old table as old_rows for each statement execute function private.mark_statistics_of_contacts();
create trigger activity_contacts_mark_statistics_truncated after truncate on public.activity_contacts
  for each statement execute function private.mark_statistics_of_everybody();
create constraint trigger bufdir_rules_mark_statistics after insert or update or delete on public.bufdir_rules
  deferrable initially deferred
  for each row execute function private.mark_statistics_of_bufdir_rule();
create constraint trigger activity_types_mark_statistics after update of category on public.activity_types
  deferrable initially deferred
  for each row when (old.category is distinct from new.category)
  execute function private.mark_statistics_of_activity_type();

-- The drain writes keys that foreign keys vouch for; only rows from elsewhere are looked at.
create trigger activity_statistics_warn_inserted after insert on public.activity_statistics
  referencing new table as new_rows for each statement
  when (current_setting('attend.statistics_writer', true) is distinct from 'drain')
  execute function private.warn_of_unknown_types();
create trigger activity_statistics_warn_updated after update on public.activity_statistics
  referencing new table as new_rows for each statement
  when (current_setting('attend.statistics_writer', true) is distinct from 'drain')
  execute function private.warn_of_unknown_types();

create constraint trigger statistics_marks_ring_bell after insert on private.statistics_marks
  deferrable initially deferred
  for each row when (new.rings)
  execute function private.ring_bell_at_commit('statistics-recompute', 'public', 'activities');

insert into private.bells (function_name) values ('statistics-recompute');

create view public.activity_dashboard with (security_invoker = true) as
  select s.user_id, s.organization_id, s.period_type, s.period_start, s.period_end, s.total_activities, s.total_duration_minutes,
    s.unique_contacts_reached, s.activity_type_breakdown, s.home_visit_count, s.phone_call_count, s.group_activity_count,
    s.proxy_activity_count, s.last_activity_date, s.streak_days, s.bufdir_eligible_count, s.computed_at,
    private.has_statistics_mark(s.organization_id, s.user_id) as is_being_recomputed
  from public.activity_statistics s;
comment on view public.activity_dashboard is
  'Statistics with their freshness: computed_at, and whether a change still waits to be counted. Everybody sees their own rows, staff their organisation''s.';
revoke all on public.activity_dashboard from public, anon, authenticated, service_role;
grant select on public.activity_dashboard to authenticated, service_role;
