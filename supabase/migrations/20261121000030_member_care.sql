-- Member care: families, people, attendance and what it says, engagement scores, pastoral cases.
set check_function_bodies = off;

create function private.are_engagement_numbers(p_value jsonb, p_minimum numeric) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  v_parts constant text[] := '{attendance,groups,volunteering,classes,donations}';
begin
  if jsonb_typeof(p_value) <> 'object' or p_value = '{}' or p_value - v_parts <> '{}'
    or exists (select from jsonb_each(p_value) e where jsonb_typeof(e.value) <> 'number')
  then
    return false;
  end if;
  -- Whoever names every part may not make them all nothing: the score divides by their sum.
  return (select bool_and(e.value::numeric between p_minimum and 1000000) from jsonb_each_text(p_value) e)
    and not (p_value ?& v_parts and (select bool_and(e.value::numeric = 0) from jsonb_each_text(p_value) e));
end;
$$;
comment on function private.are_engagement_numbers(jsonb, numeric) is
  'Whether this is an object of numbers from p_minimum by parts of the engagement score: some of them or all, and not all of them 0.';
revoke all on function private.are_engagement_numbers(jsonb, numeric) from public, anon, authenticated, service_role;
grant execute on function private.are_engagement_numbers(jsonb, numeric) to authenticated, service_role;
create or replace function private.is_setting_valid(p_key text, p_value jsonb) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select case p_key
    when 'absence_alert_threshold' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,3}$'
    when 'recase_after_days' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^[1-9][0-9]{0,2}$'
    when 'engagement_weights' then private.are_engagement_numbers(p_value, 0)
    when 'engagement_targets' then private.are_engagement_numbers(p_value, 0.01)
    when 'notification_daily_cap' then
      jsonb_typeof(p_value) = 'number' and (p_value #>> '{}') ~ '^([1-9][0-9]?|100)$'
    when 'quiet_hours' then
      jsonb_typeof(p_value) = 'object' and (p_value - '{from,to}'::text[]) = '{}'
      and coalesce(p_value ->> 'from' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$' and p_value ->> 'to' ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'
        and p_value ->> 'from' <> p_value ->> 'to', false)
    else btrim(p_key) <> ''
  end;
$$;
comment on function private.is_setting_valid(text, jsonb) is
  'Whether a setting may be stored: each known key names its range, other keys only need a name. absence_alert_threshold: a whole number from 1 to 9999 (rules.md §4). recase_after_days: a whole number from 1 to 999. engagement_weights: numbers from 0 to 1000000 by attendance, groups, volunteering, classes, donations, not all of them 0; engagement_targets: the same from 0.01. notification_daily_cap: a whole number from 1 to 100. quiet_hours: {"from": "21:00", "to": "08:00"}, local times that differ.';
revoke all on function private.is_setting_valid(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.is_setting_valid(text, jsonb) to authenticated, service_role;

create or replace function private.scenario_types() returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select array['inactivity', 'milestone', 'certification_expiry', 'pastoral_case'];
$$;
comment on function private.scenario_types() is
  'What people can be told of, and switch off. A new scenario adds its name here; private.rule_types leaves out those that no rule decides.';
revoke all on function private.scenario_types() from public, anon, authenticated, service_role;
grant execute on function private.scenario_types() to authenticated, service_role;
create function private.rule_types() returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select array_remove(private.scenario_types(), 'pastoral_case');
$$;
comment on function private.rule_types() is 'The scenarios that rules decide: all but those that a feature decides by itself.';
revoke all on function private.rule_types() from public, anon, authenticated, service_role;
grant execute on function private.rule_types() to service_role;
create function private.check_rule_type(p_scenario text) returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if (p_scenario = any (private.rule_types())) is not true then
    raise exception using errcode = 'PT400', message = 'unknown_scenario',
      detail = jsonb_build_object('scenario', p_scenario, 'allowed', to_jsonb(private.rule_types()))::text;
  end if;
end;
$$;
comment on function private.check_rule_type(text) is 'Raises PT400 unknown_scenario unless rules decide the scenario.';
revoke all on function private.check_rule_type(text) from public, anon, authenticated, service_role;
grant execute on function private.check_rule_type(text) to service_role;
create or replace function private.draft_rule(p_organization_id uuid, p_rule jsonb) returns private.scenario_rule
language plpgsql stable
set search_path = ''
as $$
declare
  v_common constant text[] := '{id,type,name,is_enabled,priority,is_mandatory,informs_coordinators}';
  v_allowed text[];
  v_unknown text[];
  v_old private.scenario_rule;
  v_rule private.scenario_rule;
begin
  if not exists (select from public.organizations o where o.id = p_organization_id) then
    raise exception using errcode = 'PT404', message = 'unknown_organization',
      detail = jsonb_build_object('organization_id', p_organization_id)::text;
  end if;
  if jsonb_typeof(p_rule) is distinct from 'object' then
    raise exception using errcode = 'PT400', message = 'rule_is_not_an_object', hint = 'Pass a JSON object.';
  end if;
  if p_rule ? 'id' then
    select r.* into v_old from unnest(private.rules_of(p_organization_id, null)) as r where r.id::text = p_rule ->> 'id';
    if not found then
      raise exception using errcode = 'PT404', message = 'unknown_rule',
        detail = jsonb_build_object('organization_id', p_organization_id, 'rule_id', p_rule ->> 'id')::text;
    end if;
    if p_rule ? 'type' and p_rule ->> 'type' is distinct from v_old.type then
      raise exception using errcode = 'PT400', message = 'type_cannot_change', hint = 'Make another rule.';
    end if;
    -- What is recorded names threshold and period: 50 sessions must not be taken for 50 hours.
    if v_old.type = 'milestone' and p_rule ? 'metric' and p_rule ->> 'metric' is distinct from v_old.metric then
      raise exception using errcode = 'PT400', message = 'metric_cannot_change', hint = 'Make another rule.';
    end if;
    v_rule := v_old;
  else
    perform private.check_rule_type(p_rule ->> 'type');
    if not p_rule ?& '{name,is_enabled}' then
      raise exception using errcode = 'PT400', message = 'rule_is_incomplete',
        detail = jsonb_build_object('needed', array['type', 'name', 'is_enabled'])::text;
    end if;
    -- The defaults of the columns, in one place more than one would wish; a test compares them.
    v_rule := jsonb_populate_record(v_rule, jsonb_build_object(
      'organization_id', p_organization_id, 'id', gen_random_uuid(), 'type', p_rule ->> 'type', 'threshold_days', 21,
      'cooldown_days', 14, 'version', 0, 'priority', 100, 'max_reminders', 3, 'metric', 'sessions',
      'period', 'year', 'thresholds', array[50], 'max_age_days', 7, 'lead_days', array[30], 'is_mandatory', false,
      'informs_coordinators', false));
  end if;
  v_allowed := v_common || case v_rule.type
    when 'inactivity' then '{threshold_days,cooldown_days,max_reminders}'::text[]
    when 'milestone' then '{metric,period,thresholds,max_age_days}'
    when 'certification_expiry' then '{lead_days}' end;
  v_unknown := array(select k from jsonb_object_keys(p_rule) k where k <> all (v_allowed) order by k);
  if v_unknown <> '{}' then
    raise exception using errcode = 'PT400', message = 'unknown_parameter',
      detail = jsonb_build_object('unknown', v_unknown, 'type', v_rule.type, 'allowed', v_allowed)::text;
  end if;
  begin
    v_rule := jsonb_populate_record(v_rule, p_rule);
  exception when data_exception then
    raise exception using errcode = 'PT400', message = 'parameter_of_wrong_type', detail = jsonb_build_object('problem', sqlerrm)::text;
  end;
  v_rule.organization_id := p_organization_id;
  perform private.check_rule(v_rule);
  return v_rule;
end;
$$;
comment on function private.draft_rule(uuid, jsonb) is
  'The rule that an edit would make: a new one, or with "id" the present one with these parameters changed. Writes nothing. PT400 and PT404 with what is allowed.';
revoke all on function private.draft_rule(uuid, jsonb) from public, anon, authenticated, service_role;
grant execute on function private.draft_rule(uuid, jsonb) to service_role;
create or replace function public.dry_run_scenarios(
  p_organization_id uuid, p_at timestamptz default null, p_after_user uuid default null, p_limit integer default 500,
  p_scenario text default null)
returns jsonb
language plpgsql stable
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_after uuid := p_after_user;
  v_ids uuid[];
  v_rows jsonb;
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 10000)::text;
  end if;
  if p_scenario is not null then
    perform private.check_rule_type(p_scenario);
  end if;
  perform private.question_time(p_organization_id, p_at);
  -- Until somebody has a row: of a page of people who came later, a question about the past has none, and [] means the end.
  loop
    v_ids := array(
      select u.id from public.users u
      where u.organization_id = p_organization_id and (v_after is null or u.id > v_after)
      order by u.id limit p_limit);
    if v_ids = '{}' then
      return '[]';
    end if;
    v_rows := private.explanations(p_organization_id, v_ids, p_scenario, p_at);
    if v_rows <> '[]' then
      return v_rows;
    end if;
    v_after := v_ids[cardinality(v_ids)];
  end loop;
end;
$$;
comment on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer, text) is
  'What an evaluation would do now, or would have done at p_at on the facts of then, without effects: rows of each person, rule and subject with the gate, for the p_limit people after p_after_user. Page until []. One JSON value, so no row limit of the API cuts it. PT400 time_out_of_range, limit_out_of_range, unknown_scenario; PT404 unknown_organization.';
revoke all on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer, text) from public, anon, authenticated, service_role;
grant execute on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer, text) to service_role;
alter table public.scenario_rules
  drop constraint rule_type_is_known,
  add constraint rule_type_is_known check (type = any (private.rule_types()));

-- Member care (rules.md §4): who came, who stays away, and who goes and asks.

create type public.person_status as enum ('active', 'inactive', 'moved', 'deceased');
comment on type public.person_status is 'Only the active are flagged for cases.';

create type public.attendance_status as enum ('present', 'late', 'absent', 'excused');
comment on type public.attendance_status is 'Late is present. Excused neither ends an absence nor adds to it.';

create type public.case_status as enum ('open', 'in_progress', 'returned', 'closed', 'withdrawn');
comment on type public.case_status is
  'Open and in progress: somebody is to be asked after. Returned: they came, and the servant closes it. Withdrawn: it should not have been, or is no longer ours.';

create type public.case_priority as enum ('normal', 'urgent');
comment on type public.case_priority is 'Urgent from six absences.';

create type private.case_change as (
  person_id uuid,
  case_id uuid,
  action text,
  reason text,
  servant_id uuid,
  priority public.case_priority,
  absences integer,
  absent_since date,
  last_absent_on date,
  returned_on date
);
comment on type private.case_change is
  'What is to be done about a person''s case: open, reopen, escalate, assign, return or withdraw. case_id null: a new one.';

create function private.absence_spell(p_organization_id uuid, p_person_id uuid, p_absent_since date)
returns table (absences integer, returned_on date)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return query
  with days as (
    select r.service_date, bool_or(r.status in ('present', 'late')) as came, count(*) filter (where r.status = 'absent') as missed
    from public.attendance_records r
    where r.organization_id = p_organization_id and r.person_id = p_person_id
      and r.service_date > coalesce((
        select max(b.service_date) from public.attendance_records b
        where b.organization_id = p_organization_id and b.person_id = p_person_id and b.status in ('present', 'late')
          and b.service_date < p_absent_since), '-infinity')
    group by r.service_date
  ), spells as (
    select sum(d.missed) filter (where not d.came) as missed, max(d.service_date) filter (where not d.came and d.missed > 0) as last_missed,
      lead(min(d.service_date) filter (where d.came)) over (order by d.spell) as came_on
    from (select d.*, count(*) filter (where d.came) over (order by d.service_date) as spell from days d) d
    group by d.spell
  )
  select s.missed::integer, s.came_on
  from spells s
  where s.last_missed >= p_absent_since
  order by s.missed desc, s.came_on
  limit 1;
end;
$$;
comment on function private.absence_spell(uuid, uuid, date) is
  'The longest run of absences without a return that reaches p_absent_since, as the records have it today, and the day that ended it (null: none did). No row: no such absence is left.';
revoke all on function private.absence_spell(uuid, uuid, date) from public, anon, authenticated, service_role;
grant execute on function private.absence_spell(uuid, uuid, date) to service_role;

create function private.absence_threshold(p_organization_id uuid) returns integer
language sql stable parallel safe
set search_path = ''
as $$
  select coalesce(
    (select (s.value #>> '{}')::integer from public.org_settings_kv s
     where s.organization_id = p_organization_id and s.key = 'absence_alert_threshold'),
    3);
$$;
comment on function private.absence_threshold(uuid) is
  'How many consecutive absences put somebody at risk: the setting absence_alert_threshold, 3 unless set.';
revoke all on function private.absence_threshold(uuid) from public, anon, authenticated, service_role;
grant execute on function private.absence_threshold(uuid) to service_role;

create function private.add_attendance(
  p_organization_ids uuid[], p_person_ids uuid[], p_first_day date[], p_present_on date[], p_attended_at timestamptz[],
  p_absences integer[], p_first_absent date[], p_last_absent date[])
returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_organization_ids uuid[];
  v_thresholds integer[];
  v_left_organizations uuid[];
  v_left_people uuid[];
begin
  select array_agg(o.id), array_agg(private.share_absence_threshold(o.id)) into v_organization_ids, v_thresholds
  from (select distinct u.id from unnest(p_organization_ids) u (id) order by u.id) o;

  -- Only what comes after everything known may be added to it. So nothing is counted twice where another trigger of the same
  -- statement (on conflict do update, a delete in a with clause) has recomputed the person already, and a row that somebody else
  -- changed meanwhile is judged by what it became.
  with added as materialized (
    select a.*, w.threshold
    from unnest(p_organization_ids, p_person_ids, p_first_day, p_present_on, p_attended_at, p_absences, p_first_absent, p_last_absent)
      as a (organization_id, id, first_day, present_on, attended_at, absences, first_absent, last_absent)
    join unnest(v_organization_ids, v_thresholds) as w (organization_id, threshold) on w.organization_id = a.organization_id
  ), written as (
    update public.people p
    set last_present_on = coalesce(a.present_on, p.last_present_on), last_attendance_at = coalesce(a.attended_at, p.last_attendance_at),
        consecutive_absences = a.absences + case when a.present_on is null then p.consecutive_absences else 0 end,
        at_risk_flag = a.absences + case when a.present_on is null then p.consecutive_absences else 0 end >= a.threshold,
        absent_since = case when a.present_on is null then coalesce(p.absent_since, a.first_absent) else a.first_absent end,
        last_absent_on = a.last_absent
    from added a
    where p.organization_id = a.organization_id and p.id = a.id
      and a.first_day > coalesce(greatest(p.last_present_on, p.last_absent_on), '-infinity')
    returning p.organization_id, p.id
  )
  select array_agg(a.organization_id), array_agg(a.id) into v_left_organizations, v_left_people
  from added a
  where not exists (select from written w where w.organization_id = a.organization_id and w.id = a.id);
  perform private.recompute_attendance(v_left_organizations, v_left_people);
end;
$$;
comment on function private.add_attendance(uuid[], uuid[], date[], date[], timestamptz[], integer[], date[], date[]) is
  'Adds new records to what is known of people, one row a person: the first new day, the day they came and when, or absences, and the first and last day of those. Whose new records are not all later than the known ones is recomputed.';
revoke all on function private.add_attendance(uuid[], uuid[], date[], date[], timestamptz[], integer[], date[], date[]) from public, anon, authenticated, service_role;

create function private.apply_case_changes(p_organization_id uuid, p_changes private.case_change[], p_now timestamptz) returns uuid[]
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_opened uuid[];
  v_actions text[] := array(select distinct c.action from unnest(p_changes) as c);
begin
  with opened as (
    insert into public.pastoral_cases (
      organization_id, person_id, priority, assigned_servant_id, notes, absences, absent_since, last_absent_on, opened_at)
    select p_organization_id, c.person_id, c.priority, c.servant_id,
      format('Absent %s times in a row, since %s. Please log a home visit or a phone call.', c.absences, c.absent_since),
      c.absences, c.absent_since, c.last_absent_on, p_now
    from unnest(p_changes) as c
    where c.action = 'open'
    on conflict (organization_id, person_id) where status in ('open', 'in_progress') do nothing
    returning id, assigned_servant_id
  )
  select array_agg(o.id) filter (where o.assigned_servant_id is not null) into v_opened from opened o;
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
  'Writes the changes of private.case_changes and returns the new cases that have a servant to be told. What somebody did to a case in the meantime wins.';
revoke all on function private.apply_case_changes(uuid, private.case_change[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.apply_case_changes(uuid, private.case_change[], timestamptz) to service_role;

create function public.auto_generate_absence_pastoral_cases(p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_run private.case_runs;
  v_organization_id uuid;
begin
  v_run.counts := '{}';
  v_run.organizations := 0;
  for v_organization_id in select o.id from public.organizations o order by o.id loop
    v_run.counts := private.add_counts(v_run.counts, private.tend_cases(v_organization_id, null, p_now));
    v_run.organizations := v_run.organizations + 1;
  end loop;
  -- At the end, and finished: only one open run may be there, and it is not this one.
  insert into private.case_runs (as_of, organizations, counts, updated_at, finished_at)
  values (p_now, v_run.organizations, v_run.counts, clock_timestamp(), clock_timestamp())
  returning * into v_run;
  return jsonb_build_object('run_id', v_run.id, 'as_of', v_run.as_of, 'organizations', v_run.organizations, 'counts', v_run.counts);
end;
$$;
comment on function public.auto_generate_absence_pastoral_cases(timestamptz) is
  'A case for every active person at risk without one, and everything else that has to happen to cases (rules.md §4), for all organisations in one transaction. Any number at once make one case a person. Returns {run_id, as_of, organizations, counts}.';
revoke all on function public.auto_generate_absence_pastoral_cases(timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.auto_generate_absence_pastoral_cases(timestamptz) to service_role;

create function private.case_changes(p_organization_id uuid, p_person_ids uuid[], p_now timestamptz) returns setof private.case_change
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
    where c.organization_id = p_organization_id and c.status in ('open', 'in_progress')
      and (p_person_ids is null or c.person_id = any (p_person_ids)));
  -- Read off the index alone: of most of them nothing more need be known.
  v_wanted constant uuid[] := array(
    select p.id from public.people p
    where p.organization_id = p_organization_id and p.at_risk_flag and p.status = 'active'
      and p.id <> all (v_asked_after) and (p_person_ids is null or p.id = any (p_person_ids)));
begin
  return query
  with wanted as materialized (
    -- Nobody is asked after, and somebody should be.
    select p.id, p.consecutive_absences, p.absent_since, p.last_absent_on, p.last_present_on, p.family_id,
      case when p.consecutive_absences >= 6 then 'urgent' else 'normal' end::public.case_priority as priority
    from public.people p
    where p.organization_id = p_organization_id and p.id = any (v_wanted)
  ), live as materialized (
    select c.id, c.person_id, c.status, c.priority, c.absences, c.absent_since, c.assigned_servant_id, p.status as person_status,
      p.at_risk_flag and p.status = 'active' as is_at_risk, p.consecutive_absences, p.absent_since as away_since, p.last_absent_on
    from public.pastoral_cases c
    join public.people p on p.organization_id = c.organization_id and p.id = c.person_id
    where c.organization_id = p_organization_id and c.status in ('open', 'in_progress', 'returned')
      and (p_person_ids is null or c.person_id = any (p_person_ids))
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
  where v.is_at_risk and v.status <> 'returned' and v.priority = 'normal' and v.consecutive_absences >= 6
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
  'What is to be done about the cases of an organisation''s people (null: of everybody), by what attendance, families and settings say now (rules.md §4). Reads; private.tend_cases writes.';
revoke all on function private.case_changes(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.case_changes(uuid, uuid[], timestamptz) to service_role;

create function private.check_service_date() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if new.service_date > private.local_date(now(), (select o.time_zone from public.organizations o where o.id = new.organization_id)) then
    raise exception using errcode = 'check_violation', message = 'service_is_not_in_the_future',
      detail = jsonb_build_object('service_date', new.service_date)::text, schema = tg_table_schema, table = tg_table_name,
      constraint = 'service_is_not_in_the_future', hint = 'A service is entered once it takes place, by the day of the organisation''s time zone.';
  end if;
  return new;
end;
$$;
comment on function private.check_service_date() is
  'Trigger on public.services: a day that the organisation has not reached yet is refused, and so is attendance on it.';
revoke all on function private.check_service_date() from public, anon, authenticated, service_role;

create function private.compute_engagement(p_now timestamptz)
returns table (
  organization_id uuid, person_id uuid, attendance_90d integer, active_groups integer, volunteering_90d integer, classes_90d integer,
  donations_90d numeric, attendance_part numeric, groups_part numeric, volunteering_part numeric, classes_part numeric,
  donations_part numeric, score numeric, score_without_donations numeric)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  with settings as materialized (
    select o.id, d.today, d.today - 90 as since,
      (w.value ->> 'attendance')::numeric as w_attendance, (w.value ->> 'groups')::numeric as w_groups,
      (w.value ->> 'volunteering')::numeric as w_volunteering, (w.value ->> 'classes')::numeric as w_classes,
      (w.value ->> 'donations')::numeric as w_donations,
      (t.value ->> 'attendance')::numeric as t_attendance, (t.value ->> 'groups')::numeric as t_groups,
      (t.value ->> 'volunteering')::numeric as t_volunteering, (t.value ->> 'classes')::numeric as t_classes,
      (t.value ->> 'donations')::numeric as t_donations
    from public.organizations o
    cross join lateral (select private.local_date(p_now, o.time_zone) as today) d
    cross join lateral (select private.engagement_setting(o.id, 'engagement_weights') as value offset 0) w
    cross join lateral (select private.engagement_setting(o.id, 'engagement_targets') as value offset 0) t
  ), attended as (
    select r.organization_id, r.person_id, count(*)::integer as n
    from settings s join public.attendance_records r on r.organization_id = s.id
    where r.status in ('present', 'late') and r.service_date > s.since and r.service_date <= s.today
    group by r.organization_id, r.person_id
  ), grouped as (
    select m.organization_id, m.person_id, count(distinct m.group_id)::integer as n
    from settings s join public.group_memberships m on m.organization_id = s.id
    where m.joined_on <= s.today and (m.left_on is null or m.left_on > s.today)
    group by m.organization_id, m.person_id
  ), volunteered as (
    select v.organization_id, v.person_id, count(*)::integer as n
    from settings s join public.volunteering v on v.organization_id = s.id
    where v.volunteered_on > s.since and v.volunteered_on <= s.today
    group by v.organization_id, v.person_id
  ), learned as (
    select c.organization_id, c.person_id, count(*)::integer as n
    from settings s join public.class_participations c on c.organization_id = s.id
    where c.participated_on > s.since and c.participated_on <= s.today
    group by c.organization_id, c.person_id
  ), gave as (
    select d.organization_id, d.person_id, sum(d.amount) as amount
    from settings s join public.donations d on d.organization_id = s.id
    where d.donated_on > s.since and d.donated_on <= s.today
    group by d.organization_id, d.person_id
  ), parts as (
    select s.*, p.id as person_id, coalesce(a.n, 0) as attended, coalesce(g.n, 0) as grouped, coalesce(v.n, 0) as volunteered,
      coalesce(l.n, 0) as learned, coalesce(d.amount, 0) as gave,
      least(1, coalesce(a.n, 0) / s.t_attendance) as p_attendance, least(1, coalesce(g.n, 0) / s.t_groups) as p_groups,
      least(1, coalesce(v.n, 0) / s.t_volunteering) as p_volunteering, least(1, coalesce(l.n, 0) / s.t_classes) as p_classes,
      least(1, coalesce(d.amount, 0) / s.t_donations) as p_donations
    from settings s
    join public.people p on p.organization_id = s.id and p.status = 'active'
    left join attended a on a.organization_id = p.organization_id and a.person_id = p.id
    left join grouped g on g.organization_id = p.organization_id and g.person_id = p.id
    left join volunteered v on v.organization_id = p.organization_id and v.person_id = p.id
    left join learned l on l.organization_id = p.organization_id and l.person_id = p.id
    left join gave d on d.organization_id = p.organization_id and d.person_id = p.id
  )
  select t.id, t.person_id, t.attended, t.grouped, t.volunteered, t.learned, t.gave,
    round(t.p_attendance, 4), round(t.p_groups, 4), round(t.p_volunteering, 4), round(t.p_classes, 4), round(t.p_donations, 4),
    round(100 * (x.without + t.w_donations * t.p_donations) / (x.weights + t.w_donations), 2),
    -- Of an organisation that scores nothing but donations, whoever may not see money sees no score.
    round(100 * x.without / nullif(x.weights, 0), 2)
  from parts t
  cross join lateral (
    select t.w_attendance * t.p_attendance + t.w_groups * t.p_groups + t.w_volunteering * t.p_volunteering + t.w_classes * t.p_classes as without,
      t.w_attendance + t.w_groups + t.w_volunteering + t.w_classes as weights) x;
end;
$$;
comment on function private.compute_engagement(timestamptz) is
  'Scores every active person of every organisation at p_now: attendance, volunteering, classes and donations of the 90 local days that end today, and the groups they belong to today. A part is least(1, value / target); the score 100 * sum of weight * part / sum of weights (rules.md §4).';
revoke all on function private.compute_engagement(timestamptz) from public, anon, authenticated, service_role;

create function private.correct_person_attendance_stats() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_person_ids uuid[];
begin
  if tg_op = 'DELETE' then
    select array_agg(d.organization_id), array_agg(d.person_id) into v_organization_ids, v_person_ids
    from (select distinct o.organization_id, o.person_id from old_rows o) d;
  else
    select array_agg(d.organization_id), array_agg(d.person_id) into v_organization_ids, v_person_ids
    from (select o.organization_id, o.person_id from old_rows o union select n.organization_id, n.person_id from new_rows n) d;
  end if;
  perform private.recompute_attendance(v_organization_ids, v_person_ids);
  return null;
end;
$$;
-- Definer because whoever corrects attendance may not write what it says of people.
comment on function private.correct_person_attendance_stats() is
  'Trigger: whoever''s records were changed, moved or deleted is recomputed from the history that is left.';
revoke all on function private.correct_person_attendance_stats() from public, anon, authenticated, service_role;

create function public.drain_care_marks(p_limit integer default 2000, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_marks integer;
  v_organization_ids uuid[];
  v_person_ids uuid[];
  v_organization_id uuid;
  v_people integer;
  v_counts jsonb := '{}';
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  with claimed as (
    delete from private.care_marks m
    where m.ctid = any (array(
      select w.ctid from private.care_marks w
      order by w.organization_id, w.id
      limit p_limit
      for update skip locked))
    returning m.organization_id, m.person_id
  )
  select count(*), array_agg(c.organization_id), array_agg(c.person_id), count(distinct (c.organization_id, c.person_id))
    into v_marks, v_organization_ids, v_person_ids, v_people
  from claimed c;
  for v_organization_id in select distinct o.id from unnest(v_organization_ids) as o (id) order by o.id loop
    v_counts := private.add_counts(v_counts, private.tend_cases(v_organization_id, (
      select array_agg(distinct c.person_id)
      from unnest(v_organization_ids, v_person_ids) as c (organization_id, person_id)
      where c.organization_id = v_organization_id), p_now));
  end loop;
  return jsonb_build_object('marks', v_marks, 'people', v_people, 'more', v_marks = p_limit, 'counts', v_counts,
    'rang_again', v_marks < p_limit and private.ring_again('pastoral-cases', 'public', 'people'));
end;
$$;
comment on function public.drain_care_marks(integer, timestamptz) is
  'Claims up to p_limit care marks and tends the cases of the people they name; marks and effects go in one transaction, so a crash leaves the marks. Drainers never wait for each other''s marks.';
revoke all on function public.drain_care_marks(integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.drain_care_marks(integer, timestamptz) to service_role;

create function private.engagement_scores()
returns table (
  organization_id uuid, person_id uuid, score numeric, attendance_90d integer, active_groups integer, volunteering_90d integer,
  classes_90d integer, donations_90d numeric, attendance_part numeric, groups_part numeric, volunteering_part numeric,
  classes_part numeric, donations_part numeric, computed_at timestamptz)
language plpgsql stable security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_organization_id constant uuid := private.organization_as('{servant,coordinator,manager,admin}');
  v_sees_money constant boolean := private.organization_as('{manager,admin}') is not null;
  v_computed_at constant timestamptz := (
    select (s.last_result ->> 'computed_at')::timestamptz from private.schedules s where s.name = 'engagement-scores');
begin
  return query
  select e.organization_id, e.person_id, case when v_sees_money then e.score else e.score_without_donations end,
    e.attendance_90d, e.active_groups, e.volunteering_90d, e.classes_90d, case when v_sees_money then e.donations_90d end,
    e.attendance_part, e.groups_part, e.volunteering_part, e.classes_part, case when v_sees_money then e.donations_part end,
    v_computed_at
  from private.people_engagement_scores e
  where e.organization_id = v_organization_id;
end;
$$;
-- Definer because a materialized view carries no policies and stays private; it gives the caller's organisation, to staff, and money to managers and admins.
comment on function private.engagement_scores() is
  'The scores of the reader''s organisation. Who may not see money gets the score without it, for weights and parts would tell it.';
revoke all on function private.engagement_scores() from public, anon, authenticated, service_role;
grant execute on function private.engagement_scores() to authenticated;

create function private.engagement_setting(p_organization_id uuid, p_key text) returns jsonb
language sql stable
set search_path = ''
as $$
  select case p_key
      when 'engagement_weights' then '{"attendance": 50, "groups": 20, "volunteering": 10, "classes": 10, "donations": 10}'::jsonb
      when 'engagement_targets' then '{"attendance": 12, "groups": 1, "volunteering": 3, "classes": 6, "donations": 100}'::jsonb
    end
    || coalesce((select s.value from public.org_settings_kv s where s.organization_id = p_organization_id and s.key = p_key), '{}');
$$;
comment on function private.engagement_setting(uuid, text) is
  'An organisation''s engagement_weights or engagement_targets; what it has not set is as by default.';
revoke all on function private.engagement_setting(uuid, text) from public, anon, authenticated, service_role;

create function private.forget_attendance() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  update public.people p
  set consecutive_absences = 0, at_risk_flag = false, last_attendance_at = null, last_present_on = null, absent_since = null, last_absent_on = null
  where p.consecutive_absences > 0 or p.last_present_on is not null;
  perform private.mark_people_for_care(array_agg(c.organization_id), array_agg(c.person_id))
  from public.pastoral_cases c
  where c.status in ('open', 'in_progress', 'returned');
  return null;
end;
$$;
-- Definer because whoever truncates attendance need not be who may write people.
comment on function private.forget_attendance() is
  'Trigger on truncate of public.attendance_records: nobody has a history.';
revoke all on function private.forget_attendance() from public, anon, authenticated, service_role;

create function private.keep_case_trail() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  if tg_op = 'INSERT' then
    insert into public.pastoral_case_events (organization_id, case_id, actor_id, changes)
    select n.organization_id, n.id, private.current_user_id(), jsonb_build_object('status', jsonb_build_array(null, n.status),
      'priority', jsonb_build_array(null, n.priority), 'assigned_servant_id', jsonb_build_array(null, n.assigned_servant_id),
      'absences', jsonb_build_array(null, n.absences))
    from new_rows n;
  else
    insert into public.pastoral_case_events (organization_id, case_id, actor_id, changes)
    select new.organization_id, new.id, private.current_user_id(), jsonb_object_agg(a.key, jsonb_build_array(b.value, a.value))
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

create function private.lock_case(p_case_id uuid) returns uuid
language plpgsql
set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  select c.organization_id into v_organization_id from public.pastoral_cases c
  where c.id = p_case_id and (
    c.organization_id = private.organization_as('{admin}')
    or (c.organization_id = private.organization_as('{servant,coordinator,manager}') and c.assigned_servant_id = private.current_user_id()))
  for no key update;
  if not found then
    -- Not theirs is as unknown as not there.
    raise exception using errcode = 'PT404', message = 'unknown_case', detail = jsonb_build_object('case_id', p_case_id)::text,
      hint = 'A case is worked by the servant it is assigned to, and by admins.';
  end if;
  return v_organization_id;
end;
$$;
comment on function private.lock_case(uuid) is
  'Locks a case for who is signed in, the servant it is assigned to or an admin, and returns the organisation. PT404 unknown_case.';
revoke all on function private.lock_case(uuid) from public, anon, authenticated, service_role;

create function public.log_contact(
  p_case_id uuid, p_kind text, p_outcome text, p_contacted_at timestamptz default now(), p_notes text default '')
returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.lock_case(p_case_id);
  v_contact public.pastoral_contacts;
begin
  insert into public.pastoral_contacts (organization_id, case_id, kind, contacted_by, contacted_at, outcome, notes)
  values (v_organization_id, p_case_id, p_kind, private.current_user_id(), p_contacted_at, p_outcome, coalesce(p_notes, ''))
  returning * into v_contact;
  -- Whoever has asked is at work.
  update public.pastoral_cases c set status = 'in_progress'
  where c.organization_id = v_organization_id and c.id = p_case_id and c.status = 'open';
  return to_jsonb(v_contact);
end;
$$;
-- Definer because nobody writes contacts directly; it touches only a case of the caller's, and signs with their id.
comment on function public.log_contact(uuid, text, text, timestamptz, text) is
  'Whoever works a case logs a home_visit or phone_call of theirs: reached, not_reached or asked_to_be_left_alone. An open case is then in progress. PT404 unknown_case; what is unknown or in the future is refused by name.';
revoke all on function public.log_contact(uuid, text, text, timestamptz, text) from public, anon, authenticated, service_role;
grant execute on function public.log_contact(uuid, text, text, timestamptz, text) to authenticated;

create function private.mark_care() returns trigger
language plpgsql security definer
set search_path = ''
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

create function private.mark_people_for_care(p_organization_ids uuid[], p_person_ids uuid[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_rings boolean;
begin
  if p_person_ids is null then
    return;
  end if;
  -- One bell a transaction. The setting is local, so a rollback to a savepoint that takes the mark takes it too.
  v_rings := coalesce(current_setting('attend.care_bell', true), '') <> 'requested';
  if v_rings then
    perform set_config('attend.care_bell', 'requested', true);
  end if;
  insert into private.care_marks (organization_id, person_id, rings)
  select m.organization_id, m.person_id, v_rings and m.position = 1
  from unnest(p_organization_ids, p_person_ids) with ordinality as m (organization_id, person_id, position);
end;
$$;
comment on function private.mark_people_for_care(uuid[], uuid[]) is
  'Appends a care mark for each of these people (two arrays of equal length; null: nobody).';
revoke all on function private.mark_people_for_care(uuid[], uuid[]) from public, anon, authenticated, service_role;

create function public.reassign_case(p_case_id uuid, p_servant_id uuid) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.organization_as('{admin}');
  v_case public.pastoral_cases;
  v_servant public.users;
begin
  if v_organization_id is null then
    raise exception using errcode = '42501', message = 'only_admins_reassign', hint = 'Sign in as an active admin of the organisation.';
  end if;
  perform private.lock_case(p_case_id);
  select c.* into v_case from public.pastoral_cases c where c.organization_id = v_organization_id and c.id = p_case_id;
  if v_case.status not in ('open', 'in_progress', 'returned') then
    raise exception using errcode = 'PT409', message = 'case_is_done', detail = jsonb_build_object('status', v_case.status)::text;
  end if;
  select u.* into v_servant from public.users u where u.organization_id = v_organization_id and u.id = p_servant_id;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_servant', detail = jsonb_build_object('servant_id', p_servant_id)::text,
      hint = 'Pass somebody of this organisation.';
  elsif not v_servant.is_active then
    raise exception using errcode = 'PT409', message = 'servant_has_left', detail = jsonb_build_object('servant_id', p_servant_id)::text;
  elsif v_servant.role = 'peer_mentor' then
    raise exception using errcode = 'PT409', message = 'not_a_servant',
      detail = jsonb_build_object('servant_id', p_servant_id, 'role', v_servant.role)::text;
  end if;
  if v_case.assigned_servant_id is distinct from p_servant_id then
    update public.pastoral_cases c
    set assigned_servant_id = p_servant_id, untold = case when c.status <> 'returned' then 'assigned' end
    where c.organization_id = v_organization_id and c.id = v_case.id;
    perform private.retract_case_news(v_organization_id, array[v_case.id], now());
    -- Told by whoever answers the bell, which this rings: telling locks the servant, and they may be in the middle of something.
    perform private.mark_people_for_care(array[v_organization_id], array[v_case.person_id]);
  end if;
  return jsonb_build_object('case_id', v_case.id, 'assigned_servant_id', p_servant_id);
end;
$$;
-- Definer because nobody writes cases directly; it checks that the caller is an admin and touches only their organisation.
comment on function public.reassign_case(uuid, uuid) is
  'An admin gives a case to somebody (else) of the organisation, who is told. PT404 unknown_case, unknown_servant; PT409 servant_has_left, not_a_servant, case_is_done.';
revoke all on function public.reassign_case(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function public.reassign_case(uuid, uuid) to authenticated;

create function private.recompute_attendance(p_organization_ids uuid[], p_person_ids uuid[]) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_organization_ids uuid[];
  v_thresholds integer[];
begin
  if p_person_ids is null then
    return;
  end if;
  select array_agg(o.id), array_agg(private.share_absence_threshold(o.id)) into v_organization_ids, v_thresholds
  from (select distinct u.id from unnest(p_organization_ids) u (id) order by u.id) o;
  -- Locked before it is read, in the order of the key: the statement below sees whatever others wrote of these people.
  perform from public.people p
  where (p.organization_id, p.id) in (select t.organization_id, t.id from unnest(p_organization_ids, p_person_ids) as t (organization_id, id))
  order by p.organization_id, p.id
  for no key update;

  update public.people p
  set last_present_on = h.last_present_on, last_attendance_at = h.last_attendance_at, consecutive_absences = h.absences,
      absent_since = h.absent_since, last_absent_on = h.last_absent_on, at_risk_flag = h.absences >= w.threshold
  from unnest(p_organization_ids, p_person_ids) as t (organization_id, id)
  join unnest(v_organization_ids, v_thresholds) as w (organization_id, threshold) on w.organization_id = t.organization_id
  join public.organizations o on o.id = t.organization_id
  cross join lateral (
    select l.last_present_on, c.last_attendance_at, a.*
    from (select 1) as one
    left join lateral (
      select r.service_date as last_present_on
      from public.attendance_records r
      where r.organization_id = t.organization_id and r.person_id = t.id and r.status in ('present', 'late')
      order by r.service_date desc
      limit 1) l on true
    cross join lateral (
      select max(coalesce(r.checked_in_at, private.local_midnight(r.service_date, o.time_zone))) as last_attendance_at
      from public.attendance_records r
      where r.organization_id = t.organization_id and r.person_id = t.id and r.status in ('present', 'late')
        and r.service_date = l.last_present_on) c
    cross join lateral (
      select count(*)::integer as absences, min(r.service_date) as absent_since, max(r.service_date) as last_absent_on
      from public.attendance_records r
      where r.organization_id = t.organization_id and r.person_id = t.id and r.status = 'absent'
        and r.service_date > coalesce(l.last_present_on, '-infinity')) a
    offset 0
  ) h
  where p.organization_id = t.organization_id and p.id = t.id;

  -- A correction can take the ground from a case without moving the flag: of a return that no absence came before.
  perform private.mark_people_for_care(array_agg(c.organization_id), array_agg(c.person_id))
  from (
    select distinct c.organization_id, c.person_id
    from unnest(p_organization_ids, p_person_ids) as t (organization_id, id)
    join public.pastoral_cases c on c.organization_id = t.organization_id and c.person_id = t.id
    where c.status in ('open', 'in_progress', 'returned')
  ) c;
end;
$$;
comment on function private.recompute_attendance(uuid[], uuid[]) is
  'Writes what the whole history says of these people (two arrays of equal length; null: nobody), and marks those with a case.';
revoke all on function private.recompute_attendance(uuid[], uuid[]) from public, anon, authenticated, service_role;

create function private.reflag_absences() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid;
  v_threshold integer;
begin
  for v_organization_id in
    select distinct k.organization_id
    from (values (old.organization_id, old.key), (new.organization_id, new.key)) as k (organization_id, key)
    join public.organizations o on o.id = k.organization_id
    where k.key = 'absence_alert_threshold'
    order by 1
  loop
    perform pg_advisory_xact_lock(hashtextextended('attend.absence_alert_threshold ' || v_organization_id::text, 0));
    v_threshold := private.absence_threshold(v_organization_id);
    update public.people p
    set at_risk_flag = p.consecutive_absences >= v_threshold
    where p.organization_id = v_organization_id and p.at_risk_flag <> (p.consecutive_absences >= v_threshold);
  end loop;
  return null;
end;
$$;
-- Definer because admins write settings and may not write what attendance says of people.
comment on function private.reflag_absences() is
  'Trigger on public.org_settings_kv: a changed absence_alert_threshold flags the organisation''s people anew, at once.';
revoke all on function private.reflag_absences() from public, anon, authenticated, service_role;

create function private.refresh_engagement_scores(p_now timestamptz default now()) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_message text;
  v_state text;
begin
  refresh materialized view concurrently private.people_engagement_scores;
  update private.schedules s
  set last_succeeded_at = clock_timestamp(),
      last_result = jsonb_build_object('computed_at', p_now, 'people', (select count(*) from private.people_engagement_scores))
  where s.name = 'engagement-scores';
exception when others then
  -- The scores stay as they were, and so does the time at which they were computed.
  get stacked diagnostics v_message = message_text, v_state = returned_sqlstate;
  update private.schedules s
  set last_result = coalesce(s.last_result, '{}') || jsonb_build_object('failed_at', p_now, 'sqlstate', v_state, 'message', v_message)
  where s.name = 'engagement-scores';
  raise warning 'attend: the engagement scores were not refreshed (%): %', v_state, v_message;
end;
$$;
comment on function private.refresh_engagement_scores(timestamptz) is
  'Cron: computes all scores anew while the old ones are read. Success or failure is in private.schedules; the start is committed there before.';
revoke all on function private.refresh_engagement_scores(timestamptz) from public, anon, authenticated, service_role;

create function private.retract_case_news(p_organization_id uuid, p_case_ids uuid[], p_now timestamptz) returns void
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  with taken as (
    update private.outbox o
    set state = 'retracted'
    from public.notifications n
    join public.pastoral_cases c on c.organization_id = n.organization_id and c.id::text = n.context ->> 'case_id'
    where n.organization_id = p_organization_id and n.scenario = 'pastoral_case' and n.context ->> 'case_id' = any (p_case_ids::text[])
      and o.organization_id = n.organization_id and o.notification_id = n.id and o.user_id = n.user_id and o.state in ('pending', 'deferred')
      -- Still to be done, and still theirs.
      and (c.status not in ('open', 'in_progress') or c.assigned_servant_id is distinct from n.user_id)
    returning o.notification_id
  )
  update public.notifications n
  set retracted_at = p_now
  from taken t
  where n.organization_id = p_organization_id and n.id = t.notification_id
    and n.read_at is null and n.dismissed_at is null and n.retracted_at is null;
end;
$$;
comment on function private.retract_case_news(uuid, uuid[], timestamptz) is
  'Takes back what has not reached a servant of these cases and no longer concerns them: they are done with, or somebody else''s.';
revoke all on function private.retract_case_news(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.retract_case_news(uuid, uuid[], timestamptz) to service_role;

create function private.servant_of(p_organization_id uuid, p_person_id uuid) returns uuid
language sql stable
set search_path = ''
as $$
  select u.id
  from public.people p
  join public.families f on f.organization_id = p.organization_id and f.id = p.family_id
  join public.users u on u.organization_id = f.organization_id and u.id = f.assigned_servant_id
  where p.organization_id = p_organization_id and p.id = p_person_id and u.is_active and u.role <> 'peer_mentor';
$$;
comment on function private.servant_of(uuid, uuid) is
  'The servant of a person''s family; null: no family, no servant, or one who has left.';
revoke all on function private.servant_of(uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.servant_of(uuid, uuid) to service_role;

create function private.share_absence_threshold(p_organization_id uuid) returns integer
language plpgsql
set search_path = ''
as $$
begin
  -- Whoever changes the threshold holds the other side of this lock: they see what is written under the old one, or they are
  -- waited for and the new one is read. In a statement of its own, so that the read comes after the wait.
  perform pg_advisory_xact_lock_shared(hashtextextended('attend.absence_alert_threshold ' || p_organization_id::text, 0));
  return private.absence_threshold(p_organization_id);
end;
$$;
comment on function private.share_absence_threshold(uuid) is
  'The threshold, which nobody changes until this transaction has ended.';
revoke all on function private.share_absence_threshold(uuid) from public, anon, authenticated, service_role;

create function private.tell_servants(p_organization_id uuid, p_person_ids uuid[], p_opened uuid[], p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_case_ids uuid[] := p_opened || array(
    select c.id from public.pastoral_cases c
    where c.organization_id = p_organization_id and c.untold is not null and (p_person_ids is null or c.person_id = any (p_person_ids)));
  v_claims private.notification_claim[];
  v_outcomes private.claim_outcome[];
begin
  if v_case_ids = '{}' then
    return '{}';
  end if;
  -- A cooldown is one of the person asked after, not of the case: who is corrected to and fro is told of once. The sixth absence
  -- is news of its own. Urgent goes before whatever a rule says by default, and both before a milestone.
  v_claims := array(
    select row(c.assigned_servant_id, 'pastoral_case', c.person_id || case when c.untold = 'escalated' then ':urgent' else '' end,
      null, 14, c.last_absent_on::timestamp at time zone 'UTC',
      jsonb_build_object('case_id', c.id, 'person_id', c.person_id, 'event', coalesce(c.untold, 'opened'), 'priority', c.priority, 'absences', p.consecutive_absences),
      null, case c.priority when 'urgent' then 300 else 200 end, false, false)::private.notification_claim
    from public.pastoral_cases c
    join public.people p on p.organization_id = c.organization_id and p.id = c.person_id
    where c.organization_id = p_organization_id and c.id = any (v_case_ids) and c.status in ('open', 'in_progress')
      and c.assigned_servant_id is not null
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
comment on function private.tell_servants(uuid, uuid[], uuid[], timestamptz) is
  'Tells servants what they have not been told of their cases, p_opened being new ones, by the engine''s claim: preference, cooldown of 14 days, cap, quiet hours, outbox. Returns {"pastoral_case": {"outcome": n}}.';
revoke all on function private.tell_servants(uuid, uuid[], uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.tell_servants(uuid, uuid[], uuid[], timestamptz) to service_role;

create function private.tend_cases(p_organization_id uuid, p_person_ids uuid[], p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_changes private.case_change[] := array(select c from private.case_changes(p_organization_id, p_person_ids, p_now) c);
  v_opened uuid[];
  v_counts jsonb := '{}';
begin
  if v_changes <> '{}' then
    -- Locked in the order of the key and judged again by a statement that sees what was committed meanwhile: of twenty generators
    -- at once one finds something to do.
    perform from public.people p
    where p.organization_id = p_organization_id and p.id in (select c.person_id from unnest(v_changes) as c)
    order by p.id
    for no key update;
    v_changes := array(
      select c from private.case_changes(p_organization_id, array(select distinct c.person_id from unnest(v_changes) as c), p_now) c);
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

create function private.update_person_attendance_stats() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_ids uuid[];
  v_person_ids uuid[];
  v_first_day date[];
  v_present_on date[];
  v_attended_at timestamptz[];
  v_absences integer[];
  v_first_absent date[];
  v_last_absent date[];
  v_one record;
  v_lock text;
begin
  select n.organization_id, n.person_id, n.service_date, n.status, n.checked_in_at, exists (select from new_rows offset 1) as has_more
    into v_one
  from new_rows n limit 1;
  -- Most records come alone, at the door: what the general way costs to plan is many times what they take. It says the same.
  if v_one.has_more is false then
    if v_one.status = 'excused' then
      return null;
    end if;
    v_lock := pg_advisory_xact_lock_shared(hashtextextended('attend.absence_alert_threshold ' || v_one.organization_id::text, 0));
    if v_one.status = 'absent' then
      update public.people p
      set consecutive_absences = p.consecutive_absences + 1, absent_since = coalesce(p.absent_since, v_one.service_date),
          last_absent_on = v_one.service_date,
          at_risk_flag = p.consecutive_absences + 1 >= coalesce(
            (select (s.value #>> '{}')::integer from public.org_settings_kv s
             where s.organization_id = v_one.organization_id and s.key = 'absence_alert_threshold'),
            3)
      where p.organization_id = v_one.organization_id and p.id = v_one.person_id
        and v_one.service_date > coalesce(greatest(p.last_present_on, p.last_absent_on), '-infinity');
    else
      update public.people p
      set consecutive_absences = 0, absent_since = null, last_absent_on = null, at_risk_flag = false, last_present_on = v_one.service_date,
          -- private.local_midnight, spelled out: its calls take as long as all the rest.
          last_attendance_at = coalesce(v_one.checked_in_at, (
            select case
              when ((m.midnight - interval '1 hour') at time zone m.time_zone)::date = v_one.service_date then m.midnight - interval '1 hour'
              else m.midnight end
            from (select v_one.service_date::timestamp at time zone o.time_zone as midnight, o.time_zone
                  from public.organizations o where o.id = v_one.organization_id) m))
      where p.organization_id = v_one.organization_id and p.id = v_one.person_id
        and v_one.service_date > coalesce(greatest(p.last_present_on, p.last_absent_on), '-infinity');
    end if;
    if not found then
      perform private.recompute_attendance(array[v_one.organization_id], array[v_one.person_id]);
    end if;
    return null;
  end if;

  select array_agg(a.organization_id), array_agg(a.person_id), array_agg(a.first_day), array_agg(a.present_on), array_agg(a.attended_at),
      array_agg(a.absences), array_agg(a.first_absent), array_agg(a.last_absent)
    into v_organization_ids, v_person_ids, v_first_day, v_present_on, v_attended_at, v_absences, v_first_absent, v_last_absent
  from (
    -- Of who both came and did not, or came on several days, a sum does not tell which was when: history does, for no day is later
    -- than -infinity.
    select n.organization_id, n.person_id,
      case when max(n.service_date) filter (where n.status <> 'absent') is not null
          and (count(*) filter (where n.status = 'absent') > 0 or min(n.service_date) <> max(n.service_date)) then '-infinity'
        else min(n.service_date) end as first_day,
      max(n.service_date) filter (where n.status <> 'absent') as present_on,
      max(coalesce(n.checked_in_at, m.midnight)) filter (where n.status <> 'absent') as attended_at,
      (count(*) filter (where n.status = 'absent'))::integer as absences,
      min(n.service_date) filter (where n.status = 'absent') as first_absent,
      max(n.service_date) filter (where n.status = 'absent') as last_absent
    from new_rows n
    -- Once a day and not once a record: it costs more than all the rest.
    join (
      select s.organization_id, s.service_date, private.local_midnight(s.service_date, o.time_zone) as midnight
      from (select distinct r.organization_id, r.service_date from new_rows r) s
      join public.organizations o on o.id = s.organization_id
      offset 0
    ) m on m.organization_id = n.organization_id and m.service_date = n.service_date
    where n.status <> 'excused'
    group by n.organization_id, n.person_id
  ) a;
  if v_person_ids is not null then
    perform private.add_attendance(
      v_organization_ids, v_person_ids, v_first_day, v_present_on, v_attended_at, v_absences, v_first_absent, v_last_absent);
  end if;
  return null;
end;
$$;
-- Definer because whoever takes attendance may not write what it says of people.
comment on function private.update_person_attendance_stats() is
  'Trigger trg_update_attendance_stats: keeps what new attendance records say of people, whatever their order and number ("Engagement Scoring & At-Risk Automation").';
revoke all on function private.update_person_attendance_stats() from public, anon, authenticated, service_role;

create function public.work_case(p_case_id uuid, p_status public.case_status default null, p_notes text default null) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.lock_case(p_case_id);
  v_case public.pastoral_cases;
  v_allowed public.case_status[];
begin
  select c.* into v_case from public.pastoral_cases c where c.organization_id = v_organization_id and c.id = p_case_id;
  v_allowed := case v_case.status
    when 'open' then '{in_progress,closed}' when 'in_progress' then '{open,closed}' when 'returned' then '{closed}' else '{}' end;
  if p_status <> v_case.status and p_status <> all (v_allowed) then
    raise exception using errcode = 'PT409', message = 'status_cannot_change',
      detail = jsonb_build_object('from', v_case.status, 'to', p_status, 'allowed', v_allowed)::text,
      hint = 'That somebody returned, and that a case should not have been, follows from attendance.';
  end if;
  update public.pastoral_cases c
  set status = coalesce(p_status, c.status), notes = coalesce(p_notes, c.notes),
      closed_at = case when coalesce(p_status, c.status) = 'closed' then coalesce(c.closed_at, now()) end,
      untold = case when p_status = 'closed' then null else c.untold end
  where c.organization_id = v_case.organization_id and c.id = v_case.id
  returning c.* into v_case;
  if p_status = 'closed' then
    perform private.retract_case_news(v_case.organization_id, array[v_case.id], now());
  end if;
  return jsonb_build_object('case_id', v_case.id, 'status', v_case.status, 'notes', v_case.notes, 'closed_at', v_case.closed_at);
end;
$$;
-- Definer because nobody writes cases directly; it touches only a case of the caller's (private.lock_case).
comment on function public.work_case(uuid, public.case_status, text) is
  'The servant of a case, or an admin, changes its status (open, in_progress, closed) or its notes; null leaves either as it is. PT404 unknown_case, PT409 status_cannot_change with what is allowed.';
revoke all on function public.work_case(uuid, public.case_status, text) from public, anon, authenticated, service_role;
grant execute on function public.work_case(uuid, public.case_status, text) to authenticated;

create function public.work_case_run(p_now timestamptz default now(), p_limit integer default 50) returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_run private.case_runs;
  v_organization_id uuid;
  v_counts jsonb := '{}';
  v_worked integer := 0;
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 10000)::text;
  end if;
  if not pg_try_advisory_xact_lock(hashtextextended('attend.case_runs', 0)) then
    return jsonb_build_object('state', 'busy', 'done', false, 'organizations', 0, 'counts', '{}'::jsonb);
  end if;
  select r.* into v_run from private.case_runs r where r.finished_at is null;
  if not found then
    insert into private.case_runs (as_of) values (p_now) returning * into v_run;
    update private.schedules s set last_started_at = clock_timestamp() where s.name = 'pastoral-cases';
  end if;

  for v_organization_id in
    select o.id from public.organizations o
    where v_run.cursor_organization_id is null or o.id > v_run.cursor_organization_id
    order by o.id limit p_limit
  loop
    v_counts := private.add_counts(v_counts, private.tend_cases(v_organization_id, null, p_now));
    v_run.cursor_organization_id := v_organization_id;
    v_worked := v_worked + 1;
  end loop;
  update private.case_runs r
  set as_of = p_now, cursor_organization_id = v_run.cursor_organization_id, organizations = r.organizations + v_worked,
      counts = private.add_counts(r.counts, v_counts), updated_at = clock_timestamp(),
      finished_at = case when v_worked < p_limit then clock_timestamp() end
  where r.id = v_run.id
  returning * into v_run;
  if v_run.finished_at is not null then
    update private.schedules s
    set last_succeeded_at = v_run.finished_at,
        last_result = jsonb_build_object('run_id', v_run.id, 'organizations', v_run.organizations, 'counts', v_run.counts)
    where s.name = 'pastoral-cases';
  end if;
  return jsonb_build_object('state', case when v_run.finished_at is null then 'in_progress' else 'finished' end,
    'done', v_run.finished_at is not null, 'run_id', v_run.id, 'organizations', v_worked, 'counts', v_counts);
end;
$$;
comment on function public.work_case_run(timestamptz, integer) is
  'The next p_limit organisations of the nightly run, begun if none is open: cases, notifications and the ledger''s row in one transaction, so that a crash repeats nothing and skips nobody. Returns {state: in_progress, finished or busy (another works on it this moment), done, run_id, organizations, counts}.';
revoke all on function public.work_case_run(timestamptz, integer) from public, anon, authenticated, service_role;
grant execute on function public.work_case_run(timestamptz, integer) to service_role;

create table public.families (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null constraint family_name_is_not_blank check (btrim(name) <> ''),
  assigned_servant_id uuid,
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, assigned_servant_id) references public.users (organization_id, id) on delete set null (assigned_servant_id)
);
comment on table public.families is 'A household, and the servant who is its shepherd.';
create index families_assigned_servant_id on public.families (organization_id, assigned_servant_id) where assigned_servant_id is not null;

create table public.people (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  family_id uuid,
  full_name text not null constraint person_name_is_not_blank check (btrim(full_name) <> ''),
  status public.person_status not null default 'active',
  consecutive_absences integer not null default 0 constraint absences_are_not_negative check (consecutive_absences >= 0),
  at_risk_flag boolean not null default false,
  last_attendance_at timestamptz,
  last_present_on date,
  absent_since date,
  last_absent_on date,
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, family_id) references public.families (organization_id, id) on delete set null (family_id),
  constraint absences_say_since_when check ((consecutive_absences > 0) = (absent_since is not null)
    and (absent_since is null) = (last_absent_on is null))
)
-- Every service updates nearly everybody, and nothing that an index holds: with room on the page the indexes stay as they are.
with (fillfactor = 80);
comment on table public.people is 'A member of the congregation. (A person of public.users works for it.) What attendance says of them is kept by trg_update_attendance_stats.';
comment on column public.people.consecutive_absences is 'Absent records after the last day on which they were present or late.';
comment on column public.people.at_risk_flag is 'Whether that is as many as the setting absence_alert_threshold says (3 unless set).';
comment on column public.people.last_attendance_at is 'When they checked in, or local midnight of the day, the last time they came.';
comment on column public.people.absent_since is 'Day of the first of the consecutive absences; last_absent_on: of the last.';
create index people_family_id on public.people (organization_id, family_id) where family_id is not null;
create index people_at_risk on public.people (organization_id, id) where at_risk_flag and status = 'active';

create table public.services (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  service_date date not null constraint service_date_is_a_date check (isfinite(service_date)),
  kind text not null constraint service_kind_is_not_blank check (btrim(kind) <> ''),
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  constraint one_service_a_day_and_kind unique (organization_id, service_date, kind),
  -- What the records refer to, so that a record cannot bear another day than its service.
  constraint service_has_one_date unique (organization_id, id, service_date)
);
comment on table public.services is 'What took place. One that turns out not to have is deleted, and its records with it: it is nobody''s absence.';

create table public.attendance_records (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  person_id uuid not null,
  service_id uuid not null,
  service_date date not null,
  status public.attendance_status not null,
  checked_in_at timestamptz
    constraint check_in_is_not_in_the_future check (checked_in_at <= now() + interval '1 minute'),
  recorded_at timestamptz not null default now(),
  primary key (organization_id, id),
  constraint one_record_a_person_and_service unique (organization_id, person_id, service_id),
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade,
  constraint record_bears_the_date_of_its_service foreign key (organization_id, service_id, service_date)
    references public.services (organization_id, id, service_date) on update cascade on delete cascade,
  constraint only_who_came_checked_in check (checked_in_at is null or status in ('present', 'late'))
);
comment on table public.attendance_records is 'Who came to a service, and who did not. Without a record there is no absence.';
comment on column public.attendance_records.service_date is 'The day of the service, which the foreign key holds it to; it follows a service that is moved.';
create index attendance_records_by_day on public.attendance_records (organization_id, person_id, service_date);
create index attendance_records_service_id on public.attendance_records (organization_id, service_id, service_date);

create table public.groups (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null constraint group_name_is_not_blank check (btrim(name) <> ''),
  primary key (organization_id, id)
);
comment on table public.groups is 'A group that meets: a choir, a circle.';

create table public.group_memberships (
  organization_id uuid not null,
  group_id uuid not null,
  person_id uuid not null,
  joined_on date not null default current_date,
  left_on date,
  primary key (organization_id, person_id, group_id, joined_on),
  foreign key (organization_id, group_id) references public.groups (organization_id, id) on delete cascade,
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade,
  constraint members_leave_after_they_joined check (left_on >= joined_on)
);
comment on table public.group_memberships is 'Who belongs to a group, from when until when (exclusive).';
create index group_memberships_group_id on public.group_memberships (organization_id, group_id);
create index group_memberships_person_id on public.group_memberships (organization_id, person_id);

create table public.volunteering (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  person_id uuid not null,
  volunteered_on date not null,
  task text not null constraint volunteering_task_is_not_blank check (btrim(task) <> ''),
  primary key (organization_id, id),
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade
);
comment on table public.volunteering is 'Each time somebody lent a hand.';
create index volunteering_person_id on public.volunteering (organization_id, person_id);

create table public.classes (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null constraint class_name_is_not_blank check (btrim(name) <> ''),
  primary key (organization_id, id)
);
comment on table public.classes is 'A class that is taught: Sunday school, a course.';

create table public.class_participations (
  organization_id uuid not null,
  class_id uuid not null,
  person_id uuid not null,
  participated_on date not null,
  primary key (organization_id, person_id, class_id, participated_on),
  foreign key (organization_id, class_id) references public.classes (organization_id, id) on delete cascade,
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade
);
comment on table public.class_participations is 'Who took part in a class on a day.';
create index class_participations_class_id on public.class_participations (organization_id, class_id);
create index class_participations_person_id on public.class_participations (organization_id, person_id);

create table public.donations (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  person_id uuid not null,
  donated_on date not null,
  amount numeric(14, 2) not null constraint donation_is_positive check (amount > 0),
  primary key (organization_id, id),
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade
);
comment on table public.donations is 'What somebody gave, in the one currency the organisation counts in. Only who may see money reads it.';
create index donations_person_id on public.donations (organization_id, person_id);

create table public.pastoral_cases (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  person_id uuid not null,
  type text not null default 'auto_absence' constraint case_type_is_known check (type = 'auto_absence'),
  status public.case_status not null default 'open',
  priority public.case_priority not null default 'normal',
  assigned_servant_id uuid,
  notes text not null default '',
  absences integer not null,
  absent_since date not null,
  last_absent_on date not null,
  opened_at timestamptz not null,
  escalated_at timestamptz,
  returned_on date,
  reopened_at timestamptz,
  closed_at timestamptz,
  withdrawn_at timestamptz,
  withdrawn_reason text,
  untold text constraint untold_is_known check (untold in ('opened', 'reopened', 'escalated', 'assigned')),
  primary key (organization_id, id),
  foreign key (organization_id, person_id) references public.people (organization_id, id) on delete cascade,
  foreign key (organization_id, assigned_servant_id) references public.users (organization_id, id) on delete set null (assigned_servant_id),
  constraint closed_cases_say_when check ((status = 'closed') = (closed_at is not null)),
  constraint returned_cases_say_when check (status <> 'returned' or returned_on is not null),
  constraint withdrawn_cases_say_when_and_why check ((status = 'withdrawn') = (withdrawn_at is not null)
    and (withdrawn_at is null) = (withdrawn_reason is null)),
  constraint case_is_last_absent_after_the_first check (last_absent_on >= absent_since)
);
comment on table public.pastoral_cases is 'Somebody stays away, and a servant is to ask after them.';
comment on column public.pastoral_cases.absences is 'When it was opened, or opened again; so are absent_since and last_absent_on.';
comment on column public.pastoral_cases.escalated_at is 'When the sixth absence made it urgent. A case that began urgent was never escalated.';
comment on column public.pastoral_cases.untold is 'What the servant is still to be told of it.';
create unique index pastoral_cases_one_open on public.pastoral_cases (organization_id, person_id) where status in ('open', 'in_progress');
-- The condition always holds; it keeps the index away from the checks of foreign keys (see activities_user_id).
create index pastoral_cases_person_id on public.pastoral_cases (organization_id, person_id, opened_at) where person_id is not null;
create index pastoral_cases_assigned_servant_id on public.pastoral_cases (organization_id, assigned_servant_id) where assigned_servant_id is not null;
create index pastoral_cases_live on public.pastoral_cases (organization_id, person_id) where status in ('open', 'in_progress', 'returned');
create index pastoral_cases_untold on public.pastoral_cases (organization_id, person_id) where untold is not null;

create table public.pastoral_contacts (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  case_id uuid not null,
  kind text not null constraint contact_kind_is_known check (kind in ('home_visit', 'phone_call')),
  contacted_by uuid,
  contacted_at timestamptz not null constraint contact_is_not_in_the_future check (contacted_at <= now() + interval '1 minute'),
  outcome text not null constraint contact_outcome_is_known check (outcome in ('reached', 'not_reached', 'asked_to_be_left_alone')),
  notes text not null default '',
  logged_at timestamptz not null default now(),
  primary key (organization_id, id),
  foreign key (organization_id, case_id) references public.pastoral_cases (organization_id, id) on delete cascade,
  foreign key (organization_id, contacted_by) references public.users (organization_id, id) on delete set null (contacted_by)
);
comment on table public.pastoral_contacts is 'Home visits and phone calls of a case: who, when, and what came of it.';
comment on column public.pastoral_contacts.contacted_by is 'Null: whoever it was is erased.';
create index pastoral_contacts_case_id on public.pastoral_contacts (organization_id, case_id);
create index pastoral_contacts_contacted_by on public.pastoral_contacts (organization_id, contacted_by) where contacted_by is not null;

create table public.pastoral_case_events (
  organization_id uuid not null,
  id bigint generated always as identity,
  case_id uuid not null,
  happened_at timestamptz not null default now(),
  actor_id uuid,
  changes jsonb not null,
  primary key (organization_id, id),
  foreign key (organization_id, case_id) references public.pastoral_cases (organization_id, id) on delete cascade,
  foreign key (organization_id, actor_id) references public.users (organization_id, id) on delete set null (actor_id)
);
comment on table public.pastoral_case_events is 'The audit trail: every change of every case, written by a trigger and by nothing else.';
comment on column public.pastoral_case_events.actor_id is 'Null: no person did it, or one who is erased.';
comment on column public.pastoral_case_events.changes is '{"column": [before, after]}; before is null where the case was made.';
create index pastoral_case_events_case_id on public.pastoral_case_events (organization_id, case_id, id);
create index pastoral_case_events_actor_id on public.pastoral_case_events (organization_id, actor_id) where actor_id is not null;

create table private.care_marks (
  organization_id uuid not null,
  id bigint generated always as identity,
  person_id uuid not null,
  rings boolean not null,
  marked_at timestamptz not null default now(),
  primary key (organization_id, id)
)
-- A queue lives from being vacuumed often: dead rows are all that makes claiming slow.
with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
comment on table private.care_marks is
  'Append-only: people whose case may have to change, written in the transaction that changed them. Whoever drains deletes the mark in the transaction that looks at the person.';
comment on column private.care_marks.rings is 'The first mark of its transaction: at commit it rings the bell.';

create table private.case_runs (
  id bigint generated always as identity primary key,
  as_of timestamptz not null,
  cursor_organization_id uuid,
  organizations integer not null default 0,
  counts jsonb not null default '{}',
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz
);
comment on table private.case_runs is 'The ledger of the nightly generator: one row a run over all organisations.';
comment on column private.case_runs.cursor_organization_id is 'The last organisation that is done.';
create unique index case_runs_one_open on private.case_runs ((finished_at is null)) where finished_at is null;

alter table public.families enable row level security;
alter table public.people enable row level security;
alter table public.services enable row level security;
alter table public.attendance_records enable row level security;
alter table public.groups enable row level security;
alter table public.group_memberships enable row level security;
alter table public.volunteering enable row level security;
alter table public.classes enable row level security;
alter table public.class_participations enable row level security;
alter table public.donations enable row level security;
alter table public.pastoral_cases enable row level security;
alter table public.pastoral_contacts enable row level security;
alter table public.pastoral_case_events enable row level security;
alter table private.care_marks enable row level security;
alter table private.case_runs enable row level security;

create policy "staff read families" on public.families for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "coordinators and admins add families" on public.families for insert to authenticated
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins change families" on public.families for update to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins remove families" on public.families for delete to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "staff read people" on public.people for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "coordinators and admins add people" on public.people for insert to authenticated
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins change people" on public.people for update to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins remove people" on public.people for delete to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "staff read services" on public.services for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "servants, coordinators and admins add services" on public.services for insert to authenticated
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins change services" on public.services for update to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins remove services" on public.services for delete to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "staff read attendance" on public.attendance_records for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "servants, coordinators and admins add attendance" on public.attendance_records for insert to authenticated
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins change attendance" on public.attendance_records for update to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins remove attendance" on public.attendance_records for delete to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "staff read groups" on public.groups for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "coordinators and admins add groups" on public.groups for insert to authenticated
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins change groups" on public.groups for update to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins remove groups" on public.groups for delete to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "staff read memberships" on public.group_memberships for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "servants, coordinators and admins add memberships" on public.group_memberships for insert to authenticated
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins change memberships" on public.group_memberships for update to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins remove memberships" on public.group_memberships for delete to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "staff read volunteering" on public.volunteering for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "servants, coordinators and admins add volunteering" on public.volunteering for insert to authenticated
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins change volunteering" on public.volunteering for update to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins remove volunteering" on public.volunteering for delete to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "staff read classes" on public.classes for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "coordinators and admins add classes" on public.classes for insert to authenticated
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins change classes" on public.classes for update to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "coordinators and admins remove classes" on public.classes for delete to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')));
create policy "staff read participations" on public.class_participations for select to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,manager,admin}')));
create policy "servants, coordinators and admins add participations" on public.class_participations for insert to authenticated
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins change participations" on public.class_participations for update to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "servants, coordinators and admins remove participations" on public.class_participations for delete to authenticated
  using (organization_id = (select private.organization_as('{servant,coordinator,admin}')));
create policy "who may see money reads donations" on public.donations for select to authenticated
  using (organization_id = (select private.organization_as('{manager,admin}')));
create policy "admins add donations" on public.donations for insert to authenticated
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins change donations" on public.donations for update to authenticated
  using (organization_id = (select private.organization_as('{admin}')))
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins remove donations" on public.donations for delete to authenticated
  using (organization_id = (select private.organization_as('{admin}')));

-- Whoever is asked after by a servant need not be known to every other.
create policy "servants read their cases, managers and admins all" on public.pastoral_cases for select to authenticated
  using (
    organization_id = (select private.organization_as('{manager,admin}'))
    or (organization_id = (select private.organization_as('{servant,coordinator}'))
      and assigned_servant_id = (select private.current_user_id()))
  );
create policy "whoever reads the case reads its contacts" on public.pastoral_contacts for select to authenticated
  using (exists (
    select from public.pastoral_cases c
    where c.organization_id = pastoral_contacts.organization_id and c.id = pastoral_contacts.case_id));
create policy "whoever reads the case reads its trail" on public.pastoral_case_events for select to authenticated
  using (exists (
    select from public.pastoral_cases c
    where c.organization_id = pastoral_case_events.organization_id and c.id = pastoral_case_events.case_id));

revoke all on public.families, public.people, public.services, public.attendance_records, public.groups, public.group_memberships,
  public.volunteering, public.classes, public.class_participations, public.donations, public.pastoral_cases, public.pastoral_contacts,
  public.pastoral_case_events
  from public, anon, authenticated, service_role;
revoke all on sequence public.pastoral_case_events_id_seq from public, anon, authenticated, service_role;
revoke all on private.care_marks, private.case_runs from public, anon, authenticated, service_role;
grant select, insert, update, delete
  on public.families, public.services, public.groups, public.group_memberships, public.volunteering, public.classes,
  public.class_participations, public.donations
  to authenticated, service_role;
-- What attendance says of people is the triggers' to write, and nobody else's, the service included.
grant select, delete on public.people, public.attendance_records to authenticated, service_role;
-- (Keys, too, because an upsert through the API sets every column it is sent.)
grant insert (organization_id, id, family_id, full_name, status), update (organization_id, id, family_id, full_name, status)
  on public.people to authenticated, service_role;
grant insert (organization_id, id, person_id, service_id, service_date, status, checked_in_at),
  update (organization_id, id, person_id, service_id, service_date, status, checked_in_at) on public.attendance_records
  to authenticated, service_role;
-- Cases are worked by public.work_case, public.reassign_case and public.log_contact.
grant select on public.pastoral_cases, public.pastoral_contacts, public.pastoral_case_events to authenticated;
grant select, insert, update on public.pastoral_cases to service_role;
grant select on public.pastoral_contacts, public.pastoral_case_events to service_role;
grant select, insert, update, delete on private.care_marks to service_role;
grant select, insert, update on private.case_runs to service_role;

create trigger services_check_date before insert or update of service_date, organization_id on public.services
  for each row execute function private.check_service_date();

create trigger trg_update_attendance_stats after insert on public.attendance_records
  referencing new table as new_rows for each statement execute function private.update_person_attendance_stats();
create trigger trg_update_attendance_stats_updated after update on public.attendance_records
  referencing old table as old_rows new table as new_rows for each statement execute function private.correct_person_attendance_stats();
create trigger trg_update_attendance_stats_deleted after delete on public.attendance_records
  referencing old table as old_rows for each statement execute function private.correct_person_attendance_stats();
create trigger trg_update_attendance_stats_truncated after truncate on public.attendance_records
  for each statement execute function private.forget_attendance();

create trigger org_settings_kv_reflag_absences after insert or update or delete on public.org_settings_kv
  for each row execute function private.reflag_absences();

create trigger pastoral_cases_keep_trail_inserted after insert on public.pastoral_cases
  referencing new table as new_rows for each statement execute function private.keep_case_trail();
create trigger pastoral_cases_keep_trail_updated after update on public.pastoral_cases
  for each row execute function private.keep_case_trail();

-- Judged as each row is written: of a hundred thousand who came, only those whose case may have to change call it.
create trigger people_mark_care after update on public.people
  for each row when (old.at_risk_flag is distinct from new.at_risk_flag or old.status is distinct from new.status
    or (new.at_risk_flag and old.consecutive_absences < 6 and new.consecutive_absences >= 6))
  execute function private.mark_care();

-- The bell is a trigger of its own: dropping it loses seconds, never work.
create constraint trigger care_marks_ring_bell after insert on private.care_marks
  deferrable initially deferred
  for each row when (new.rings)
  execute function private.ring_bell_at_commit('pastoral-cases', 'public', 'people');

insert into private.bells (function_name) values ('pastoral-cases');

create materialized view private.people_engagement_scores as
select e.* from private.compute_engagement(now()) e;
comment on materialized view private.people_engagement_scores is
  'What private.compute_engagement said at the last refresh, by night. When that was is in private.schedules and not in every row: a refresh writes only rows that differ.';
-- Concurrent refreshes need it.
create unique index people_engagement_scores_person on private.people_engagement_scores (organization_id, person_id);
revoke all on private.people_engagement_scores from public, anon, authenticated, service_role;

create view public.people_engagement_scores with (security_invoker = true) as
select s.* from private.engagement_scores() s;
comment on view public.people_engagement_scores is
  'How engaged each active person of the reader''s organisation is, by parts, as computed at computed_at. Donations are null, and not in the score, for who may not see money.';
revoke all on public.people_engagement_scores from public, anon, authenticated, service_role;
grant select on public.people_engagement_scores to authenticated;

create view public.unassigned_pastoral_cases with (security_invoker = true) as
select c.organization_id, c.id as case_id, c.person_id, p.full_name, p.family_id, c.status, c.priority, p.consecutive_absences, c.opened_at,
  case
    when p.family_id is null then 'no_family'
    when f.assigned_servant_id is null then 'no_servant'
    else 'servant_has_left'
  end as reason
from public.pastoral_cases c
join public.people p on p.organization_id = c.organization_id and p.id = c.person_id
left join public.families f on f.organization_id = p.organization_id and f.id = p.family_id
where c.assigned_servant_id is null and c.status in ('open', 'in_progress', 'returned');
comment on view public.unassigned_pastoral_cases is
  'Cases that nobody works, and why: for who may read every case, which is managers and admins. public.reassign_case takes one off the list, and so does the family''s next servant.';
revoke all on public.unassigned_pastoral_cases from public, anon, authenticated, service_role;
grant select on public.unassigned_pastoral_cases to authenticated;

drop function private.tick_sweep(text, text, timestamptz);
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
create function private.tick_cases() returns void
language plpgsql
set search_path = ''
as $$
begin
  perform private.tick_run('pastoral-cases', 'pastoral-cases');
  -- One that nobody has gone on with for a minute and a half ran out of time, or died.
  if exists (
    select from private.case_runs r, private.schedules s
    where r.finished_at is null and r.updated_at <= clock_timestamp() - interval '90 seconds'
      and s.name = 'pastoral-cases' and (s.last_rung_at is null or s.last_rung_at <= clock_timestamp() - interval '90 seconds'))
  then
    update private.schedules s set last_rung_at = clock_timestamp() where s.name = 'pastoral-cases';
    perform private.post_signed('pastoral-cases', jsonb_build_object(
      'type', 'SCHEDULE', 'schedule', 'pastoral-cases', 'bell_id', private.new_bell_id()));
  end if;
end;
$$;
comment on function private.tick_cases() is
  'Cron: rings pastoral-cases for the nightly run when it is due, and for one that was left open.';
revoke all on function private.tick_cases() from public, anon, authenticated, service_role;

insert into private.schedules (name, description, expected_interval) values
  ('pastoral-cases', 'Makes, escalates and ends pastoral cases for everybody, through the function pastoral-cases.', interval '1 day'),
  ('care-sweep', 'Rings pastoral-cases for marks that no bell announced.', interval '1 minute'),
  ('engagement-scores', 'Refreshes the engagement scores.', interval '1 day');
select cron.schedule('attend-pastoral-cases', '* 2-5 * * *', $job$select private.tick_cases()$job$);
select cron.schedule('attend-care-sweep', '* * * * *',
  $job$select private.tick_sweep('care-sweep', 'pastoral-cases', (select min(m.marked_at) from private.care_marks m), 'people')$job$);
select cron.schedule('attend-engagement-scores', '27 2 * * *', $job$
do $do$
begin
  perform private.note_schedule_started('engagement-scores');
  commit;
  perform private.refresh_engagement_scores();
end
$do$
$job$);
