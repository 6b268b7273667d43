-- A night asks two indexes whose cases may have to change and judges only those, once; new cases are told of as they are.
set check_function_bodies = off;

alter table public.people add column is_long_absent boolean not null generated always as (consecutive_absences >= 6) stored;
comment on column public.people.is_long_absent is 'Six consecutive absences or more: what makes a case urgent.';
drop index public.people_at_risk;
create index people_at_risk on public.people (organization_id, id) include (is_long_absent) where at_risk_flag and status = 'active';
drop index public.pastoral_cases_live;
create index pastoral_cases_live on public.pastoral_cases (organization_id, person_id) include (status, priority, assigned_servant_id)
  where status in ('open', 'in_progress', 'returned');

drop function private.apply_case_changes(uuid, private.case_change[], timestamptz);
drop function private.tell_servants(uuid, uuid[], uuid[], timestamptz);

create function private.people_to_tend(p_organization_id uuid) returns table (person_id uuid, is_certain boolean)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  -- Both sides are read off their indexes and hashed against each other, whatever the planner thinks of a table that the first
  -- night has just filled: a full join knows no other way.
  select k.person_id, bool_or(k.is_certain)
  from (
    select coalesce(r.id, l.person_id) as person_id,
      case
        when l.person_id is null then not exists (
          select from public.pastoral_cases c
          where c.organization_id = p_organization_id and c.person_id = r.id and c.status = 'closed')
        when l.status = 'returned' then false
        else r.id is null or (r.is_long_absent and l.priority = 'normal') end as is_certain,
      r.id is not null and l.status <> 'returned' and not (r.is_long_absent and l.priority = 'normal')
        and u.is_active and u.role <> 'peer_mentor' as is_well
    from (
      select p.id, p.is_long_absent from public.people p
      where p.organization_id = p_organization_id and p.at_risk_flag and p.status = 'active'
    ) r
    full join (
      select c.person_id, c.status, c.priority, c.assigned_servant_id from public.pastoral_cases c
      where c.organization_id = p_organization_id and c.status in ('open', 'in_progress', 'returned')
    ) l on l.person_id = r.id
    left join public.users u on u.organization_id = p_organization_id and u.id = l.assigned_servant_id
  ) k
  where k.is_well is not true
  group by k.person_id;
end;
$$;
comment on function private.people_to_tend(uuid) is
  'Whose cases may not be what they should be; everybody else''s are. Certain: there is a change, unless another makes it first. The others depend on their history or their family, and private.case_changes decides.';
revoke all on function private.people_to_tend(uuid) from public, anon, authenticated, service_role;
grant execute on function private.people_to_tend(uuid) to service_role;

create function private.case_claim(
  p_case_id uuid, p_person_id uuid, p_servant_id uuid, p_event text, p_priority public.case_priority, p_absences integer, p_last_absent_on date)
returns private.notification_claim
language sql stable parallel safe
set search_path = ''
begin atomic
  -- A cooldown is one of the person asked after, not of the case: who is corrected to and fro is told of once. The sixth absence
  -- is news of its own. Urgent goes before whatever a rule says by default, and both before a milestone.
  select row(p_servant_id, 'pastoral_case', p_person_id || case when p_event = 'escalated' then ':urgent' else '' end, null, 14,
    p_last_absent_on::timestamp at time zone 'UTC',
    jsonb_build_object('case_id', p_case_id, 'person_id', p_person_id, 'event', p_event, 'priority', p_priority, 'absences', p_absences),
    null, case p_priority when 'urgent' then 300 else 200 end, false, false)::private.notification_claim;
end;
comment on function private.case_claim(uuid, uuid, uuid, text, public.case_priority, integer, date) is
  'The wish to tell a servant of a case: opened, reopened, escalated or assigned.';
revoke all on function private.case_claim(uuid, uuid, uuid, text, public.case_priority, integer, date) from public, anon, authenticated, service_role;
grant execute on function private.case_claim(uuid, uuid, uuid, text, public.case_priority, integer, date) to service_role;

create or replace function private.case_changes(p_organization_id uuid, p_person_ids uuid[], p_now timestamptz) returns setof private.case_change
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_recase_after_days constant integer := coalesce(
    (select (s.value #>> '{}')::integer from public.org_settings_kv s
     where s.organization_id = p_organization_id and s.key = 'recase_after_days'), 28);
  v_threshold constant integer := private.absence_threshold(p_organization_id);
  -- As a list, which is hashed whatever the planner thinks of a table that the first night has just filled.
  v_asked_after constant uuid[] := array(
    select c.person_id from public.pastoral_cases c
    where c.organization_id = p_organization_id and c.status in ('open', 'in_progress') and c.person_id = any (p_person_ids));
begin
  return query
  with wanted as materialized (
    -- Nobody is asked after, and somebody should be.
    select p.id, p.consecutive_absences, p.absent_since, p.last_absent_on, p.last_present_on, p.family_id,
      case when p.is_long_absent then 'urgent' else 'normal' end::public.case_priority as priority
    from public.people p
    where p.organization_id = p_organization_id and p.at_risk_flag and p.status = 'active' and p.id = any (p_person_ids)
      and p.id <> all (v_asked_after)
  ), live as materialized (
    select c.id, c.person_id, c.status, c.priority, c.absences, c.absent_since, c.assigned_servant_id, p.status as person_status,
      p.at_risk_flag and p.status = 'active' as is_at_risk, p.is_long_absent, p.consecutive_absences, p.absent_since as away_since, p.last_absent_on
    from public.pastoral_cases c
    join public.people p on p.organization_id = c.organization_id and p.id = c.person_id
    where c.organization_id = p_organization_id and c.status in ('open', 'in_progress', 'returned')
      and c.person_id = any (p_person_ids)
  ), remembered as (
    select r.*, l.id as latest_id, l.status as latest_status, l.priority as latest_priority, l.closed_at, l.returned_on,
      r.last_present_on > l.last_absent_on as came_back
    from wanted r
    left join lateral (
      select c.id, c.status, c.priority, c.closed_at, c.last_absent_on,
        (select min(a.service_date) from public.attendance_records a
         where a.organization_id = p_organization_id and a.person_id = r.id and a.status in ('present', 'late')
           and a.service_date > c.last_absent_on) as returned_on
      from public.pastoral_cases c
      where c.organization_id = p_organization_id and c.person_id = r.id and c.status in ('returned', 'closed')
      order by c.opened_at desc, c.id
      limit 1
    ) l on true
  ), judged as (
    select w.*,
      case
        when w.latest_id is null then 'open'
        when w.came_back then case when w.at_risk_on - w.returned_on <= 30 then 'reopen' else 'open' end
        -- What ended the absence was itself a mistake.
        when w.latest_status = 'returned' then 'reopen'
        when p_now >= w.closed_at + make_interval(hours => 24 * v_recase_after_days) then 'open'
        when w.priority = 'urgent' and w.latest_priority = 'normal' then 'open'
      end as action,
      case when w.latest_id is not null then case
        when w.came_back and w.at_risk_on - w.returned_on <= 30 then 'relapse'
        when w.came_back then null
        when w.latest_status = 'returned' then 'return_corrected'
        else 'closed_too_early' end end as reason
    from (
      select w.*, case when w.came_back then (
        select a.service_date from public.attendance_records a
        where a.organization_id = p_organization_id and a.person_id = w.id and a.status = 'absent' and a.service_date >= w.absent_since
        order by a.service_date offset v_threshold - 1 limit 1) end as at_risk_on
      from remembered w
    ) w
  )
  select j.id, case when j.action = 'reopen' then j.latest_id end, j.action, j.reason, u.id, j.priority, j.consecutive_absences,
    j.absent_since, j.last_absent_on, null::date
  from judged j
  -- private.servant_of, for many at once.
  left join public.families f on f.organization_id = p_organization_id and f.id = j.family_id
  left join public.users u on u.organization_id = p_organization_id and u.id = f.assigned_servant_id and u.is_active and u.role <> 'peer_mentor'
  where j.action is not null
  union all
  select v.person_id, v.id, 'escalate', null, v.assigned_servant_id, 'urgent', v.consecutive_absences, v.away_since, v.last_absent_on, null
  from live v
  where v.is_at_risk and v.status <> 'returned' and v.priority = 'normal' and v.is_long_absent
  union all
  -- Whoever asked has left, or there was nobody and now there is.
  select v.person_id, v.id, 'assign', null, s.servant_id, v.priority, null, null, null, null
  from live v
  left join public.users u on u.organization_id = p_organization_id and u.id = v.assigned_servant_id
  cross join lateral (
    select case when u.is_active is not true or u.role = 'peer_mentor' then private.servant_of(p_organization_id, v.person_id) else u.id end as servant_id
    offset 0) s
  where s.servant_id is distinct from v.assigned_servant_id and (v.status = 'returned' or v.is_at_risk)
  union all
  select v.person_id, v.id, case when s.absences >= v_threshold and s.returned_on is not null and v.person_status = 'active' then 'return' else 'withdraw' end,
    case
      when v.person_status <> 'active' then 'person_' || v.person_status
      when s.absences >= v.absences then 'threshold_raised'
      else 'attendance_corrected' end,
    v.assigned_servant_id, v.priority, null, null, null, s.returned_on
  from live v
  left join lateral (
    select * from private.absence_spell(p_organization_id, v.person_id, v.absent_since) where v.person_status = 'active'
  ) s on true
  where not v.is_at_risk
    -- What was a return stays one, unless the absence before it never was.
    and (v.status <> 'returned' or (v.person_status = 'active' and coalesce(s.absences < v_threshold and s.absences < v.absences, true)));
end;
$$;
comment on function private.case_changes(uuid, uuid[], timestamptz) is
  'What is to be done about the cases of these people of an organisation, by what attendance, families and settings say now (rules.md §4). Reads; private.tend_cases writes.';
revoke all on function private.case_changes(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.case_changes(uuid, uuid[], timestamptz) to service_role;

create function private.apply_case_changes(p_organization_id uuid, p_changes private.case_change[], p_now timestamptz) returns private.notification_claim[]
language plpgsql
set search_path = ''
as $$
declare
  v_opened private.notification_claim[];
  v_actions text[] := array(select distinct c.action from unnest(p_changes) as c);
begin
  -- (Without force_custom_plan, here and in whoever calls this: every check of a foreign key would be planned anew, row by row.)
  with opened as (
    insert into public.pastoral_cases (
      organization_id, person_id, priority, assigned_servant_id, notes, absences, absent_since, last_absent_on, opened_at)
    select p_organization_id, c.person_id, c.priority, c.servant_id,
      format('Absent %s times in a row, since %s. Please log a home visit or a phone call.', c.absences, c.absent_since),
      c.absences, c.absent_since, c.last_absent_on, p_now
    from unnest(p_changes) as c
    where c.action = 'open'
    on conflict (organization_id, person_id) where status in ('open', 'in_progress') do nothing
    returning id, person_id, assigned_servant_id, priority, absences, last_absent_on
  )
  select array_agg(private.case_claim(o.id, o.person_id, o.assigned_servant_id, 'opened', o.priority, o.absences, o.last_absent_on))
    into v_opened
  from opened o
  where o.assigned_servant_id is not null;
  -- One statement an action: a case may have to be escalated and given to somebody else at once. None where there is none: on
  -- a first night the planner knows nothing of the table that has just been filled.
  if 'reopen' = any (v_actions) then
    update public.pastoral_cases p
    set status = 'open', priority = c.priority, assigned_servant_id = c.servant_id, absences = c.absences, absent_since = c.absent_since,
        last_absent_on = c.last_absent_on, reopened_at = p_now, escalated_at = null, returned_on = null, closed_at = null,
        untold = case when c.servant_id is not null then 'reopened' end
    from unnest(p_changes) as c
    where c.action = 'reopen' and p.organization_id = p_organization_id and p.id = c.case_id and p.status in ('returned', 'closed');
  end if;
  if 'escalate' = any (v_actions) then
    update public.pastoral_cases p
    set priority = 'urgent', escalated_at = p_now, untold = case when p.assigned_servant_id is not null then 'escalated' end
    from unnest(p_changes) as c
    where c.action = 'escalate' and p.organization_id = p_organization_id and p.id = c.case_id and p.status in ('open', 'in_progress')
      and p.priority = 'normal';
  end if;
  if 'assign' = any (v_actions) then
    update public.pastoral_cases p
    set assigned_servant_id = c.servant_id, untold = case when c.servant_id is not null and p.status <> 'returned' then coalesce(p.untold, 'assigned') end
    from unnest(p_changes) as c
    where c.action = 'assign' and p.organization_id = p_organization_id and p.id = c.case_id and p.status in ('open', 'in_progress', 'returned')
      and p.assigned_servant_id is distinct from c.servant_id;
  end if;
  if 'return' = any (v_actions) then
    update public.pastoral_cases p
    set status = 'returned', returned_on = c.returned_on, untold = null
    from unnest(p_changes) as c
    where c.action = 'return' and p.organization_id = p_organization_id and p.id = c.case_id and p.status in ('open', 'in_progress');
  end if;
  if 'withdraw' = any (v_actions) then
    update public.pastoral_cases p
    set status = 'withdrawn', withdrawn_at = p_now, withdrawn_reason = c.reason, untold = null
    from unnest(p_changes) as c
    where c.action = 'withdraw' and p.organization_id = p_organization_id and p.id = c.case_id and p.status in ('open', 'in_progress', 'returned');
  end if;
  return v_opened;
end;
$$;
comment on function private.apply_case_changes(uuid, private.case_change[], timestamptz) is
  'Writes the changes of private.case_changes and returns what servants are to be told of new cases. What somebody did to a case in the meantime wins.';
revoke all on function private.apply_case_changes(uuid, private.case_change[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.apply_case_changes(uuid, private.case_change[], timestamptz) to service_role;

create function private.tell_servants(
  p_organization_id uuid, p_person_ids uuid[], p_opened private.notification_claim[], p_now timestamptz)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_claims private.notification_claim[];
  v_outcomes private.claim_outcome[];
begin
  v_claims := p_opened || array(
    select private.case_claim(c.id, c.person_id, c.assigned_servant_id, c.untold, c.priority, p.consecutive_absences, c.last_absent_on)
    from public.pastoral_cases c
    join public.people p on p.organization_id = c.organization_id and p.id = c.person_id
    where c.organization_id = p_organization_id and c.untold is not null and (p_person_ids is null or c.person_id = any (p_person_ids))
      and c.status in ('open', 'in_progress') and c.assigned_servant_id is not null
    -- Another generator is telling of it this moment.
    for no key update of c skip locked);
  if v_claims = '{}' then
    return '{}';
  end if;
  v_outcomes := array(select o from private.claim_notifications(p_organization_id, v_claims, p_now) o);
  -- A full day ends: whoever could not be told is tried again by the next run.
  update public.pastoral_cases c
  set untold = case when o.outcome = 'capped' then coalesce(c.untold, 'opened') end
  from unnest(v_outcomes) as o
  where c.organization_id = p_organization_id and c.person_id = left(o.subject, 36)::uuid and c.status in ('open', 'in_progress')
    and (o.outcome = 'capped') <> (c.untold is not null);
  return private.count_outcomes(v_outcomes);
end;
$$;
comment on function private.tell_servants(uuid, uuid[], private.notification_claim[], timestamptz) is
  'Tells servants what they have not been told of their cases, p_opened being claims of new ones, by the engine''s claim: preference, cooldown of 14 days, cap, quiet hours, outbox. Returns {"pastoral_case": {"outcome": n}}.';
revoke all on function private.tell_servants(uuid, uuid[], private.notification_claim[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.tell_servants(uuid, uuid[], private.notification_claim[], timestamptz) to service_role;

create or replace function private.tend_cases(p_organization_id uuid, p_person_ids uuid[], p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_person_ids uuid[] := p_person_ids;
  v_perhaps uuid[];
  v_changes private.case_change[];
  v_opened private.notification_claim[];
  v_counts jsonb := '{}';
begin
  if p_person_ids is null then
    select array_agg(t.person_id) filter (where t.is_certain), array_agg(t.person_id) filter (where not t.is_certain)
      into v_person_ids, v_perhaps
    from private.people_to_tend(p_organization_id) t;
    -- Judged without their locks, so that a case which waits for its servant and nothing else is not written to night after night.
    if v_perhaps <> '{}' then
      v_person_ids := v_person_ids || array(
        select distinct c.person_id from private.case_changes(p_organization_id, v_perhaps, p_now) c);
    end if;
  end if;
  if v_person_ids <> '{}' then
    -- Locked in the order of the key, and judged by a statement that sees what was committed meanwhile: of twenty generators at
    -- once one finds something to do.
    perform from public.people p
    where p.organization_id = p_organization_id and p.id = any (v_person_ids)
    order by p.id
    for no key update;
    v_changes := array(select c from private.case_changes(p_organization_id, v_person_ids, p_now) c);
    v_opened := private.apply_case_changes(p_organization_id, v_changes, p_now);
    perform private.retract_case_news(p_organization_id, array(
      select c.case_id from unnest(v_changes) as c where c.action in ('return', 'withdraw', 'assign')), p_now);
    select coalesce(jsonb_object_agg('cases', a.counts), '{}') into v_counts
    from (
      select jsonb_object_agg(n.action, n.n) as counts
      from (select c.action, count(*) as n from unnest(v_changes) as c group by c.action) n
    ) a
    where a.counts is not null;
  end if;
  return private.add_counts(v_counts, private.tell_servants(p_organization_id, p_person_ids, v_opened, p_now));
end;
$$;
comment on function private.tend_cases(uuid, uuid[], timestamptz) is
  'Brings the cases of an organisation''s people (null: of everybody) to what they should be, and tells the servants, in the caller''s transaction. Repeating it changes nothing. Returns {"cases": {"action": n}, "pastoral_case": {"outcome": n}}.';
revoke all on function private.tend_cases(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.tend_cases(uuid, uuid[], timestamptz) to service_role;

create or replace function private.keep_case_trail() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  -- Once, and not for each of the many cases of one statement.
  v_actor_id constant uuid := private.current_user_id();
begin
  if tg_op = 'INSERT' then
    insert into public.pastoral_case_events (organization_id, case_id, actor_id, changes)
    select n.organization_id, n.id, v_actor_id, jsonb_build_object('status', jsonb_build_array(null, n.status),
      'priority', jsonb_build_array(null, n.priority), 'assigned_servant_id', jsonb_build_array(null, n.assigned_servant_id),
      'absences', jsonb_build_array(null, n.absences))
    from new_rows n;
  else
    insert into public.pastoral_case_events (organization_id, case_id, actor_id, changes)
    select new.organization_id, new.id, v_actor_id, jsonb_object_agg(a.key, jsonb_build_array(b.value, a.value))
    from jsonb_each(to_jsonb(new) - 'untold') as a
    join jsonb_each(to_jsonb(old)) as b on b.key = a.key
    where b.value <> a.value
      -- The trail of a case goes with it, and an erasure may pass by here on the way.
      and exists (select from public.pastoral_cases c where c.organization_id = new.organization_id and c.id = new.id)
    having count(*) > 0;
  end if;
  return null;
end;
$$;
-- Definer because nobody may write the trail, so that nobody can leave a change out.
comment on function private.keep_case_trail() is
  'Trigger on public.pastoral_cases: who changed what, column by column. Nobody''s id means that a run did.';
revoke all on function private.keep_case_trail() from public, anon, authenticated, service_role;

create or replace function private.mark_care() returns trigger
language plpgsql security definer
set search_path = ''
-- Of its own: the statements that fire it are planned anew each time, and each mark with them would take longer than all the rest.
set plan_cache_mode = auto
as $$
begin
  perform private.mark_people_for_care(array[new.organization_id], array[new.id]);
  return null;
end;
$$;
-- Definer because whoever changes a person may not see marks.
comment on function private.mark_care() is
  'Trigger on public.people: whoever is now at risk, or no longer, or has left, or has been absent six times, may need another case.';
revoke all on function private.mark_care() from public, anon, authenticated, service_role;
