-- What a person may ask of us: everything held of them, and to be forgotten; and how long what piles up is kept.
set check_function_bodies = off;

create function private.is_retention_valid(p_name text, p_keep_for interval) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  -- Null is for ever. The floor is what something still reads: a webhook id while health compares it with the calls, a run while it
  -- looks at it, a history while a question about the past may be asked.
  select coalesce(p_keep_for >= m.floor, m.floor is not null)
  from (select case p_name
    when 'webhook_deliveries' then interval '1 day'
    when 'cron_log' then interval '1 day'
    when 'runs' then interval '7 days'
    when 'findings' then interval '7 days'
    when 'outbox' then interval '30 days'
    when 'held_decisions' then interval '30 days'
    when 'invitations' then interval '30 days'
    when 'notifications' then interval '90 days'
    when 'histories' then interval '90 days'
  end as floor) m;
$$;
comment on function private.is_retention_valid(text, interval) is
  'Whether a row of private.retention may be: a known name, kept for no less than its floor (null: for ever). Cooldowns, achievements, rule versions, activities and reports have no name here: what they say holds for ever.';
revoke all on function private.is_retention_valid(text, interval) from public, anon, authenticated, service_role;
grant execute on function private.is_retention_valid(text, interval) to service_role;

create function private.kept_since(p_name text, p_now timestamptz) returns timestamptz
language sql stable
set search_path = ''
as $$
  select coalesce((select p_now - r.keep_for from private.retention r where r.name = p_name), '-infinity');
$$;
comment on function private.kept_since(text, timestamptz) is
  'Since when everything of that name in private.retention is still there; -infinity: for ever, which is also what a missing row means.';
revoke all on function private.kept_since(text, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.kept_since(text, timestamptz) to service_role;

create table private.retention (
  name text primary key,
  description text not null,
  keep_for interval,
  constraint retention_is_known_and_long_enough check (private.is_retention_valid(name, keep_for))
);
comment on table private.retention is 'How long what piles up is kept before the housekeeping deletes it. An update here is all it takes to change it.';
comment on column private.retention.keep_for is 'Null: for ever.';
alter table private.retention enable row level security;
revoke all on private.retention from public, anon, authenticated, service_role;
grant select on private.retention to service_role;

insert into private.retention (name, description, keep_for) values
  ('webhook_deliveries', 'Answers to webhooks, by webhook id, since they were given.', '1 day'),
  ('cron_log', 'Rows of cron.job_run_details of our own jobs, since they ended.', '7 days'),
  ('runs', 'Finished runs, the latest of each kind excepted, since they finished.', '90 days'),
  ('findings', 'Drift, what ticks missed, and warnings of statistics, since they were found.', '180 days'),
  ('outbox', 'Pushes that are over (sent, skipped, retracted, dead), since they were decided.', '90 days'),
  ('held_decisions', 'Who matched and was not told, since it was decided; what waits for its gate to end stays.', '1 year'),
  ('invitations', 'Invitations with their addresses, since they were accepted, revoked or expired.', '1 year'),
  ('notifications', 'Notifications that were read, dismissed or retracted, since then; what a cooldown or a quiet spell still counts stays.', '2 years'),
  ('histories', 'How people, preferences and certificates stood, since they changed. No question goes back further.', '2 years');

-- What the housekeeping asks: how old.
create index invitations_done on public.invitations (coalesce(accepted_at, revoked_at, expires_at));
create index statistics_warnings_recorded_at on public.statistics_warnings (recorded_at);
create index statistics_drift_found_at on private.statistics_drift (found_at);
create index notifications_done on public.notifications (coalesce(dismissed_at, read_at, retracted_at))
  where coalesce(dismissed_at, read_at, retracted_at) is not null;
create index outbox_done on private.outbox (created_at) where state in ('sent', 'skipped', 'retracted', 'dead');
create index preference_history_ended on private.preference_history (valid_to);
create index certificate_history_ended on private.certificate_history (valid_to);
create index user_history_ended on private.user_history (valid_to);
create index held_decisions_decided_at on private.held_decisions (decided_at) where look_again_at is null;
create index sweep_findings_found_at on private.sweep_findings (found_at);

create or replace function private.question_time(p_organization_id uuid, p_at timestamptz) returns timestamptz
language plpgsql stable
set search_path = ''
as $$
declare
  v_since timestamptz;
begin
  -- An answer that lacks what the housekeeping has deleted would be a wrong one.
  select greatest(o.created_at, private.kept_since('histories', now()), private.kept_since('notifications', now())) into v_since
  from public.organizations o where o.id = p_organization_id;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_organization',
      detail = jsonb_build_object('organization_id', p_organization_id)::text;
  end if;
  if p_at > now() + interval '1 minute' or p_at < v_since then
    raise exception using errcode = 'PT400', message = 'time_out_of_range',
      detail = jsonb_build_object('at', p_at, 'earliest', v_since, 'latest', now())::text,
      hint = 'Facts are known from the organisation''s first day until now, as far back as histories and notifications are kept.';
  end if;
  return case when p_at < now() then p_at end;
end;
$$;
comment on function private.question_time(uuid, timestamptz) is
  'The time a question is about: null for now (p_at null or this moment), else p_at. PT400 time_out_of_range for the future, for before the organisation was, and for what is no longer kept (private.retention); PT404 unknown_organization.';
revoke all on function private.question_time(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.question_time(uuid, timestamptz) to service_role;

create function private.document_of(p_organization_id uuid, p_kind text, p_person_id text) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_records constant jsonb := private.records_of(p_organization_id, p_kind, p_person_id);
begin
  if v_records is null then
    raise exception using errcode = 'PT404', message = 'unknown_person',
      detail = jsonb_build_object('organization_id', p_organization_id, 'kind', p_kind, 'person_id', p_person_id)::text;
  end if;
  return jsonb_build_object('kind', p_kind, 'person_id', p_person_id, 'exported_at', now(),
    'organization', (
      select jsonb_build_object('id', o.id, 'name', o.name, 'time_zone', o.time_zone)
      from public.organizations o where o.id = p_organization_id),
    -- What each table is for stands in the database, and nowhere a second time.
    'about', (
      select coalesce(jsonb_object_agg(c.relname, obj_description(c.oid, 'pg_class')), '{}')
      from pg_catalog.pg_class c
      where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'm')
        and v_records ? c.relname::text),
    'records', v_records);
end;
$$;
comment on function private.document_of(uuid, text, text) is
  'Everything held of a person, as one document: {kind, person_id, exported_at, organization, about: {"table": "what it is"}, records: {"section": [rows]}}. PT404 unknown_person, PT400 unknown_kind.';
revoke all on function private.document_of(uuid, text, text) from public, anon, authenticated, service_role;

create function private.erase_contact(p_organization_id uuid, p_contact_id uuid) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_nobody constant uuid := gen_random_uuid();
  v_name text;
  v_records jsonb;
begin
  select c.display_name into v_name from public.contacts c
  where c.organization_id = p_organization_id and c.id = p_contact_id for update;
  if not found then
    return null;
  end if;
  v_records := private.records_of(p_organization_id, 'contact', p_contact_id::text);
  -- They still count as one whom somebody reached; a new id, so that whoever is just writing the old one's name writes nothing.
  insert into public.contacts (organization_id, id) values (p_organization_id, v_nobody);
  update public.activity_contacts t set contact_id = v_nobody where t.organization_id = p_organization_id and t.contact_id = p_contact_id;
  delete from public.contacts c where c.organization_id = p_organization_id and c.id = p_contact_id;
  return private.erasure_counts(
    v_records, '{activity_contacts}', private.forget_names(p_organization_id, array_remove(array[v_name, p_contact_id::text], null)));
end;
$$;
comment on function private.erase_contact(uuid, uuid) is
  'Erases a person of public.contacts: that somebody was met stays, without a name and under a new id. Null: there is nobody. Returns {"erased", "kept", "mentions"}, rows by section.';
revoke all on function private.erase_contact(uuid, uuid) from public, anon, authenticated, service_role;

create function private.erase_logins(p_auth_user_ids uuid[]) returns void
language plpgsql
set search_path = ''
as $$
declare
  v_table text;
  v_constraint text;
begin
  delete from auth.users a where a.id = any (p_auth_user_ids);
exception when foreign_key_violation then
  -- A table of the project's own that we know nothing of.
  get stacked diagnostics v_table = table_name, v_constraint = constraint_name;
  raise exception using errcode = 'PT409', message = 'login_is_referenced',
    detail = jsonb_build_object('table', v_table, 'constraint', v_constraint)::text,
    hint = 'Delete or change those rows first, or let their reference cascade.';
end;
$$;
comment on function private.erase_logins(uuid[]) is
  'Deletes logins from the platform''s own table, and with them sessions and identities. PT409 login_is_referenced names the table that holds on to one.';
revoke all on function private.erase_logins(uuid[]) from public, anon, authenticated, service_role;

create function private.erase_member(p_organization_id uuid, p_person_id uuid) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_nobody constant uuid := gen_random_uuid();
  v_person public.people;
  v_records jsonb;
  v_mentions jsonb;
begin
  -- Before the row, as whoever changes the threshold holds it before all rows.
  perform private.share_absence_threshold(p_organization_id);
  select p.* into v_person from public.people p where p.organization_id = p_organization_id and p.id = p_person_id for update;
  if not found then
    return null;
  end if;
  v_records := private.records_of(p_organization_id, 'member', p_person_id::text);

  -- How many came, helped and learned, and what was given, is the congregation's: it goes to somebody who is nobody.
  insert into public.people (organization_id, id, full_name, status) values (p_organization_id, v_nobody, 'Erased', 'inactive');
  update public.attendance_records t set person_id = v_nobody where t.organization_id = p_organization_id and t.person_id = p_person_id;
  update public.volunteering t set person_id = v_nobody where t.organization_id = p_organization_id and t.person_id = p_person_id;
  update public.class_participations t set person_id = v_nobody where t.organization_id = p_organization_id and t.person_id = p_person_id;
  update public.donations t set person_id = v_nobody where t.organization_id = p_organization_id and t.person_id = p_person_id;

  -- Cases go with the person, and with the cases their visits, calls, notes and trail; and what servants were told of them.
  delete from public.notifications n
  where n.organization_id = p_organization_id and n.scenario = 'pastoral_case' and n.context ->> 'person_id' = p_person_id::text;
  delete from private.cooldowns c
  where c.organization_id = p_organization_id and c.scenario = 'pastoral_case' and c.subject in (p_person_id::text, p_person_id || ':urgent');
  delete from public.people p where p.organization_id = p_organization_id and p.id = p_person_id;
  delete from public.families f
  where f.organization_id = p_organization_id and f.id = v_person.family_id
    and not exists (select from public.people p where p.organization_id = f.organization_id and p.family_id = f.id);
  v_mentions := private.forget_names(p_organization_id, array[v_person.full_name, p_person_id::text]);
  return private.erasure_counts(v_records, '{attendance_records,volunteering,class_participations,donations}', v_mentions);
end;
$$;
comment on function private.erase_member(uuid, uuid) is
  'Erases a person of public.people: attendance, volunteering, classes and donations stay with a nameless person under a new id; cases with all their notes, memberships and a household without others go. Null: there is nobody. Returns {"erased", "kept", "mentions"}, rows by section.';
revoke all on function private.erase_member(uuid, uuid) from public, anon, authenticated, service_role;

create function public.erase_person(p_organization_id uuid, p_kind text, p_person_id text, p_rehearse boolean default false) returns jsonb
language plpgsql security definer
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_id constant text := case
    when p_kind = 'student' then case when pg_input_is_valid(p_person_id, 'integer') then p_person_id::integer::text end
    when pg_input_is_valid(p_person_id, 'uuid') then p_person_id::uuid::text end;
  v_counts jsonb;
  v_erased_at timestamptz;
begin
  if p_kind is null or p_kind <> all (private.person_kinds()) then
    raise exception using errcode = 'PT400', message = 'unknown_kind',
      detail = jsonb_build_object('kind', p_kind, 'allowed', private.person_kinds())::text;
  end if;
  -- What is shown before is the act itself, taken back: nothing is counted that would not happen, and what stands in its way
  -- is known before anybody says yes.
  begin
    v_counts := case p_kind
      when 'user' then private.erase_user(p_organization_id, v_id::uuid)
      when 'member' then private.erase_member(p_organization_id, v_id::uuid)
      when 'contact' then private.erase_contact(p_organization_id, v_id::uuid)
      when 'student' then private.erase_student(p_organization_id, v_id::integer) end;
    if v_counts is not null then
      insert into private.erasures (organization_id, kind, person_id) values (p_organization_id, p_kind, v_id)
      returning erased_at into v_erased_at;
      if p_rehearse then
        raise exception using errcode = 'AT000', message = 'only a rehearsal';
      end if;
    end if;
  exception when sqlstate 'AT000' then
    v_erased_at := null;
  end;
  if v_counts is null then
    select e.erased_at into v_erased_at from private.erasures e
    where e.organization_id = p_organization_id and e.kind = p_kind and e.person_id = v_id;
    if not found then
      raise exception using errcode = 'PT404', message = 'unknown_person',
        detail = jsonb_build_object('organization_id', p_organization_id, 'kind', p_kind, 'person_id', p_person_id)::text;
    end if;
    v_counts := '{"erased": {}, "kept": {}, "mentions": {}}';
  end if;
  return jsonb_build_object('kind', p_kind, 'person_id', v_id, 'erased_at', v_erased_at) || v_counts;
end;
$$;
-- Definer because it deletes the login, which only the owner of the schema may; it is the service's alone to call.
comment on function public.erase_person(uuid, text, text, boolean) is
  'For operators: erases a person of an organisation (kind: user, member, contact or student) in one transaction. Figures stay, under an id that leads nowhere (private.erase_user, erase_member, erase_contact, erase_student). Again for the same person: the same erased_at, and nothing else. p_rehearse: does it, counts, and takes it back. Returns {kind, person_id, erased_at, erased, kept, mentions}. PT404 unknown_person, PT400 unknown_kind, PT409 login_is_referenced.';
revoke all on function public.erase_person(uuid, text, text, boolean) from public, anon, authenticated, service_role;
grant execute on function public.erase_person(uuid, text, text, boolean) to service_role;

create function private.erase_student(p_organization_id uuid, p_student_id integer) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  -- The school's own numbers are positive; of a thousand erased, two meet once in four thousand schools, and are erased again.
  v_nobody constant integer := -1 - floor(random() * 2147483647)::integer;
  v_name text;
  v_records jsonb;
begin
  select s.full_name into v_name from public.students s
  where s.organization_id = p_organization_id and s.student_id = p_student_id for update;
  if not found then
    return null;
  end if;
  v_records := private.records_of(p_organization_id, 'student', p_student_id::text);
  -- How many came, when and for how long is the school's; how far this one got is not.
  insert into public.students (organization_id, student_id, full_name, is_active) values (p_organization_id, v_nobody, 'Erased', false);
  update public.student_attendance t set student_id = v_nobody where t.organization_id = p_organization_id and t.student_id = p_student_id;
  delete from public.students s where s.organization_id = p_organization_id and s.student_id = p_student_id;
  return private.erasure_counts(v_records, '{student_attendance}', private.forget_names(p_organization_id, array[v_name]));
end;
$$;
comment on function private.erase_student(uuid, integer) is
  'Erases a person of public.students: check-ins stay with a nameless person under a negative number, learning progress goes. Null: there is nobody. Returns {"erased", "kept", "mentions"}, rows by section. A school whose own system still has them writes them again.';
revoke all on function private.erase_student(uuid, integer) from public, anon, authenticated, service_role;

create function private.erase_user(p_organization_id uuid, p_user_id uuid) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_nobody constant uuid := gen_random_uuid();
  v_name text;
  v_records jsonb;
  v_logins uuid[];
  v_names text[];
  v_cases uuid[];
  v_mentions jsonb;
begin
  -- Whoever is writing about this person is waited for, and whoever comes later finds that there is nobody: what is theirs
  -- refers to this row. First of all locks, as a drain and an evaluation take it (docs/decisions.md).
  select u.full_name into v_name from public.users u where u.organization_id = p_organization_id and u.id = p_user_id for update;
  if not found then
    return null;
  end if;
  v_records := private.records_of(p_organization_id, 'user', p_user_id::text);
  v_logins := array(
    select l.auth_user_id from public.user_logins l where l.organization_id = p_organization_id and l.user_id = p_user_id);
  -- The id with them: the trail of a case says whose it was.
  v_names := array_remove(array[v_name, p_user_id::text] || array(
    select a.email::text from auth.users a where a.id = any (v_logins)
    union select a.phone from auth.users a where a.id = any (v_logins)
    union select i.email from public.invitations i where i.organization_id = p_organization_id and i.user_id = p_user_id), null);
  v_cases := array(
    select c.person_id from public.pastoral_cases c
    where c.organization_id = p_organization_id and c.assigned_servant_id = p_user_id and c.status in ('open', 'in_progress', 'returned'));

  -- What figures are made of goes to somebody who is nobody: activities that took place, with the statistics as they stand. A
  -- new id, since the old one is known to apps, logs and exports; joined now, which says nothing of when they did.
  insert into public.users (organization_id, id, full_name, role, is_active) values (p_organization_id, v_nobody, 'Erased', 'peer_mentor', false);
  perform set_config('attend.statistics_writer', 'drain', true);
  delete from public.activity_statistics s where s.organization_id = p_organization_id and s.user_id = v_nobody;
  update public.activity_statistics s set user_id = v_nobody where s.organization_id = p_organization_id and s.user_id = p_user_id;
  delete from public.activities a where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status <> 'completed';
  update public.activities a set user_id = v_nobody where a.organization_id = p_organization_id and a.user_id = p_user_id;
  update public.activities a set proxy_registered_by = v_nobody
  where a.organization_id = p_organization_id and a.proxy_registered_by = p_user_id;
  -- A drain that has their marks in hand will find nobody: all days anew, for whoever has them now.
  perform private.mark_statistics(array[p_organization_id], array[v_nobody], array[null::date]);

  -- All else goes with the row it refers to, what is yet to be built included.
  delete from public.users u where u.organization_id = p_organization_id and u.id = p_user_id;
  perform private.erase_logins(v_logins);
  delete from private.statistics_drift d where d.organization_id = p_organization_id and d.user_id = p_user_id;
  delete from private.sweep_findings f where f.organization_id = p_organization_id and f.user_id = p_user_id;
  v_mentions := private.forget_names(p_organization_id, v_names);
  -- Whom they looked after somebody else is to look after.
  perform private.mark_people_for_care(array_fill(p_organization_id, array[cardinality(v_cases)]), v_cases) where v_cases <> '{}';
  return private.erasure_counts(v_records, '{activities,activity_statistics,activities_registered_for_others}', v_mentions);
end;
$$;
comment on function private.erase_user(uuid, uuid) is
  'Erases a person of public.users: activities and statistics stay with a nameless person under a new id, so that no figure changes; everything else goes, logins included. Null: there is nobody. Returns {"erased", "kept", "mentions"}, rows by section.';
revoke all on function private.erase_user(uuid, uuid) from public, anon, authenticated, service_role;

create function private.erasure_counts(p_records jsonb, p_kept text[], p_mentions jsonb) returns jsonb
language sql immutable
set search_path = ''
as $$
  select jsonb_build_object(
    'erased', coalesce(jsonb_object_agg(s.key, jsonb_array_length(s.value)) filter (where s.key <> all (p_kept)), '{}'),
    'kept', coalesce(jsonb_object_agg(s.key, jsonb_array_length(s.value)) filter (where s.key = any (p_kept)), '{}'),
    'mentions', p_mentions)
  from jsonb_each(p_records) s;
$$;
comment on function private.erasure_counts(jsonb, text[], jsonb) is
  'How many rows of each section of private.records_of an erasure takes away, and how many it keeps without a name.';
revoke all on function private.erasure_counts(jsonb, text[], jsonb) from public, anon, authenticated, service_role;

create function private.export_contact(p_organization_id uuid, p_contact_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return jsonb_build_object(
    'contacts', (
      select jsonb_agg(to_jsonb(t) - 'organization_id') from public.contacts t where t.organization_id = p_organization_id and t.id = p_contact_id),
    'activity_contacts', (
      select jsonb_agg(jsonb_build_object('activity_id', t.activity_id, 'activity_type_id', a.activity_type_id, 'occurred_at', a.occurred_at,
        'duration_minutes', a.duration_minutes, 'status', a.status) order by a.occurred_at)
      from public.activity_contacts t
      join public.activities a on a.organization_id = t.organization_id and a.id = t.activity_id
      where t.organization_id = p_organization_id and t.contact_id = p_contact_id));
end;
$$;
comment on function private.export_contact(uuid, uuid) is
  'Everything held of a person of public.contacts, as {"section": [rows] or null}: when they were met, and not by whom.';
revoke all on function private.export_contact(uuid, uuid) from public, anon, authenticated, service_role;

create function private.export_member(p_organization_id uuid, p_person_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_drop constant text[] := '{organization_id,person_id}';
  v_name constant text := (select p.full_name from public.people p where p.organization_id = p_organization_id and p.id = p_person_id);
  v_cases constant uuid[] := array(
    select c.id from public.pastoral_cases c where c.organization_id = p_organization_id and c.person_id = p_person_id);
begin
  return jsonb_build_object(
    'people', (
      select jsonb_agg(to_jsonb(t) - v_drop || jsonb_build_object('family', f.name))
      from public.people t
      left join public.families f on f.organization_id = t.organization_id and f.id = t.family_id
      where t.organization_id = p_organization_id and t.id = p_person_id),
    'attendance_records', (
      select jsonb_agg(to_jsonb(t) - v_drop || jsonb_build_object('service', s.kind) order by t.service_date, t.id)
      from public.attendance_records t
      join public.services s on s.organization_id = t.organization_id and s.id = t.service_id
      where t.organization_id = p_organization_id and t.person_id = p_person_id),
    'group_memberships', (
      select jsonb_agg(to_jsonb(t) - v_drop || jsonb_build_object('group', g.name) order by t.joined_on)
      from public.group_memberships t
      join public.groups g on g.organization_id = t.organization_id and g.id = t.group_id
      where t.organization_id = p_organization_id and t.person_id = p_person_id),
    'volunteering', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.volunteered_on)
      from public.volunteering t where t.organization_id = p_organization_id and t.person_id = p_person_id),
    'class_participations', (
      select jsonb_agg(to_jsonb(t) - v_drop || jsonb_build_object('class', c.name) order by t.participated_on)
      from public.class_participations t
      join public.classes c on c.organization_id = t.organization_id and c.id = t.class_id
      where t.organization_id = p_organization_id and t.person_id = p_person_id),
    'donations', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.donated_on)
      from public.donations t where t.organization_id = p_organization_id and t.person_id = p_person_id),
    'people_engagement_scores', (
      select jsonb_agg(to_jsonb(t) - v_drop)
      from private.people_engagement_scores t where t.organization_id = p_organization_id and t.person_id = p_person_id),
    -- Written about them, and so theirs; by whom, and of whom else, is not.
    'pastoral_cases', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop - 'assigned_servant_id' order by t.opened_at))
      from public.pastoral_cases t where t.organization_id = p_organization_id and t.id = any (v_cases)),
    'pastoral_contacts', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop - 'contacted_by' order by t.contacted_at))
      from public.pastoral_contacts t where t.organization_id = p_organization_id and t.case_id = any (v_cases)),
    'pastoral_case_events', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(
        to_jsonb(t) - v_drop - 'actor_id' || jsonb_build_object('changes', t.changes - 'assigned_servant_id' - 'person_id') order by t.id))
      from public.pastoral_case_events t where t.organization_id = p_organization_id and t.case_id = any (v_cases)),
    'told_to_servants', (
      select jsonb_agg(to_jsonb(t) - '{organization_id,user_id,subject}'::text[] order by t.triggered_at, t.id)
      from public.notifications t
      where t.organization_id = p_organization_id and t.scenario = 'pastoral_case' and t.context ->> 'person_id' = p_person_id::text));
end;
$$;
comment on function private.export_member(uuid, uuid) is
  'Everything held of a person of public.people, as {"section": [rows] or null}. In what was written about them, other people''s names are masked.';
revoke all on function private.export_member(uuid, uuid) from public, anon, authenticated, service_role;

create function public.export_my_data() returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_user_id constant uuid := private.current_user_id();
begin
  if v_user_id is null then
    raise exception using errcode = '42501', message = 'nobody_of_any_organisation', hint = 'Sign in with the login that an invitation has linked.';
  end if;
  return private.document_of(private.current_organization_id(), 'user', v_user_id::text);
end;
$$;
-- Definer because much of what is held of a person is in tables that they may not read; it takes no argument and answers about auth.uid() alone.
comment on function public.export_my_data() is
  'Everything held of who is signed in, active or not, as one document, without what is another person''s (private.document_of).';
revoke all on function public.export_my_data() from public, anon, authenticated, service_role;
grant execute on function public.export_my_data() to authenticated;

create function public.export_person(p_organization_id uuid, p_kind text, p_person_id text) returns jsonb
language plpgsql stable security definer
set search_path = ''
set statement_timeout = '55s'
as $$
begin
  return private.document_of(p_organization_id, p_kind, p_person_id);
end;
$$;
-- Definer because it reads the login's address, which only the owner of the schema may; it is the service's alone to call.
comment on function public.export_person(uuid, text, text) is
  'For operators: everything held of a person of an organisation (kind: user, member, contact or student) as one document, without what is another person''s (private.document_of). PT404 unknown_person, PT400 unknown_kind.';
revoke all on function public.export_person(uuid, text, text) from public, anon, authenticated, service_role;
grant execute on function public.export_person(uuid, text, text) to service_role;

create function private.export_student(p_organization_id uuid, p_student_id integer) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_drop constant text[] := '{organization_id,student_id}';
begin
  return jsonb_build_object(
    'students', (
      select jsonb_agg(to_jsonb(t) - 'organization_id')
      from public.students t where t.organization_id = p_organization_id and t.student_id = p_student_id),
    'student_attendance', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.checkin_time, t.id)
      from public.student_attendance t where t.organization_id = p_organization_id and t.student_id = p_student_id),
    'learning_progress', (
      select jsonb_agg(to_jsonb(t) - v_drop)
      from public.learning_progress t where t.organization_id = p_organization_id and t.student_id = p_student_id));
end;
$$;
comment on function private.export_student(uuid, integer) is
  'Everything held of a person of public.students, as {"section": [rows] or null}.';
revoke all on function private.export_student(uuid, integer) from public, anon, authenticated, service_role;

create function private.export_user(p_organization_id uuid, p_user_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_drop constant text[] := '{organization_id,user_id}';
  v_name constant text := (select u.full_name from public.users u where u.organization_id = p_organization_id and u.id = p_user_id);
begin
  -- Whole rows less what names somebody else, so that a column that is new is there without anybody thinking of it.
  return jsonb_build_object(
    'users', (
      select jsonb_agg(to_jsonb(t) - v_drop) from public.users t where t.organization_id = p_organization_id and t.id = p_user_id),
    'logins', (
      select jsonb_agg(jsonb_build_object('id', a.id, 'email', a.email, 'phone', a.phone, 'created_at', a.created_at,
        'last_sign_in_at', a.last_sign_in_at, 'raw_user_meta_data', a.raw_user_meta_data, 'linked_at', t.linked_at))
      from public.user_logins t join auth.users a on a.id = t.auth_user_id
      where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'invitations', (
      select jsonb_agg(to_jsonb(t) - v_drop - 'invited_by' order by t.created_at)
      from public.invitations t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'activities', (
      select jsonb_agg(to_jsonb(t) - v_drop - 'proxy_registered_by' || jsonb_build_object(
        'was_registered_by_somebody_else', t.proxy_registered_by is not null,
        'contacts', (select count(*) from public.activity_contacts c where c.organization_id = t.organization_id and c.activity_id = t.id))
        order by t.occurred_at)
      from public.activities t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'activity_statistics', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.period_type, t.period_start)
      from public.activity_statistics t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'statistics_warnings', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.recorded_at)
      from public.statistics_warnings t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'statistics_drift', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.id)
      from private.statistics_drift t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'notification_preferences', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.scenario, t.channel)
      from public.notification_preferences t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'preference_history', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.id)
      from private.preference_history t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    -- What coordinators and servants are told is about others: that they were told is theirs, what it said is not.
    'notifications', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop - 'about_user_id'
        - case when t.about_user_id is not null or t.scenario = 'pastoral_case' then '{subject,context}' else '{}' end::text[]
        order by t.triggered_at, t.id))
      from public.notifications t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'told_to_others', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop - '{about_user_id,subject}'::text[] order by t.triggered_at, t.id))
      from public.notifications t where t.organization_id = p_organization_id and t.about_user_id = p_user_id),
    'outbox', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.created_at, t.id)
      from private.outbox t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'outbox_devices', (
      select jsonb_agg(to_jsonb(t) - 'organization_id' order by t.attempted_at, t.device_id)
      from private.outbox_devices t
      join private.outbox o on o.organization_id = t.organization_id and o.id = t.outbox_id
      where t.organization_id = p_organization_id and o.user_id = p_user_id),
    'outbox_history', (
      select jsonb_agg(to_jsonb(t) - 'organization_id' order by t.id)
      from private.outbox_history t
      join private.outbox o on o.organization_id = t.organization_id and o.id = t.outbox_id
      where t.organization_id = p_organization_id and o.user_id = p_user_id),
    'devices', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.created_at)
      from public.devices t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'cooldowns', (
      select jsonb_agg(to_jsonb(t) - v_drop - case when t.scenario = 'pastoral_case' then '{subject}' else '{}' end::text[] order by t.last_triggered_at)
      from private.cooldowns t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'held_decisions', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.decided_at)
      from private.held_decisions t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'sweep_findings', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.id)
      from private.sweep_findings t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'quarantine', (
      select private.mask_others(p_organization_id, v_name, jsonb_agg(to_jsonb(t) - v_drop))
      from private.quarantine t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'achievements', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.crossed_at)
      from public.achievements t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'certificates', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.expires_at)
      from public.certificates t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'certificate_history', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.id)
      from private.certificate_history t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'user_history', (
      select jsonb_agg(to_jsonb(t) - v_drop order by t.id)
      from private.user_history t where t.organization_id = p_organization_id and t.user_id = p_user_id)
  ) || private.export_work(p_organization_id, p_user_id);
end;
$$;
comment on function private.export_user(uuid, uuid) is
  'Everything held of a person of public.users, as {"section": [rows] or null}; sections are called after their tables. Others appear as counts, or not at all.';
revoke all on function private.export_user(uuid, uuid) from public, anon, authenticated, service_role;

create function private.export_work(p_organization_id uuid, p_user_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  -- What they did is theirs, for whom they did it is not: rows without those whom they are about.
  return jsonb_build_object(
    'activities_registered_for_others', (
      select jsonb_agg(jsonb_build_object('activity_type_id', t.activity_type_id, 'recorded_at', t.recorded_at) order by t.recorded_at)
      from public.activities t
      where t.organization_id = p_organization_id and t.proxy_registered_by = p_user_id and t.user_id <> p_user_id),
    'people_invited', (
      select jsonb_agg(jsonb_build_object('created_at', t.created_at) order by t.created_at)
      from public.invitations t where t.organization_id = p_organization_id and t.invited_by = p_user_id),
    'coordinated_by', (
      select jsonb_agg(jsonb_build_object('coordinator', 'a colleague'))
      from public.user_coordinators t where t.organization_id = p_organization_id and t.user_id = p_user_id),
    'coordinates', (
      select jsonb_agg(jsonb_build_object('person', 'a colleague'))
      from public.user_coordinators t where t.organization_id = p_organization_id and t.coordinator_id = p_user_id),
    'team_reports_frozen', (
      select jsonb_agg(jsonb_build_object('title', t.title, 'frozen_at', t.frozen_at) order by t.frozen_at)
      from public.team_reports t where t.organization_id = p_organization_id and t.frozen_by = p_user_id),
    'households_served', (
      select jsonb_agg(jsonb_build_object('household', 'a household'))
      from public.families t where t.organization_id = p_organization_id and t.assigned_servant_id = p_user_id),
    'pastoral_cases_assigned', (
      select jsonb_agg(jsonb_build_object('opened_at', t.opened_at, 'status', t.status) order by t.opened_at)
      from public.pastoral_cases t where t.organization_id = p_organization_id and t.assigned_servant_id = p_user_id),
    'pastoral_contacts_made', (
      select jsonb_agg(jsonb_build_object('kind', t.kind, 'contacted_at', t.contacted_at, 'logged_at', t.logged_at) order by t.contacted_at)
      from public.pastoral_contacts t where t.organization_id = p_organization_id and t.contacted_by = p_user_id),
    'pastoral_cases_changed', (
      select jsonb_agg(jsonb_build_object('happened_at', t.happened_at) order by t.happened_at)
      from public.pastoral_case_events t where t.organization_id = p_organization_id and t.actor_id = p_user_id));
end;
$$;
comment on function private.export_work(uuid, uuid) is
  'What a person of public.users did for others, without those others: part of private.export_user.';
revoke all on function private.export_work(uuid, uuid) from public, anon, authenticated, service_role;

create function private.forget_names(p_organization_id uuid, p_names text[]) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_mask constant text := '[erased]';
  v_pattern constant text := private.name_pattern(array(
    select n.name from unnest(p_names) as n (name)
    -- A single word that is part of somebody else's name as well would take theirs away from them.
    where btrim(n.name) ~ '[\s@]' or not exists (
      select from public.users u where u.organization_id = p_organization_id and u.full_name ~* private.name_pattern(array[n.name])
      union all
      select from public.people p where p.organization_id = p_organization_id and p.full_name ~* private.name_pattern(array[n.name])
      union all
      select from public.contacts c where c.organization_id = p_organization_id and c.display_name ~* private.name_pattern(array[n.name])
      union all
      select from public.students s where s.organization_id = p_organization_id and s.full_name ~* private.name_pattern(array[n.name]))));
  v_counts jsonb;
begin
  if v_pattern is null then
    return '{}';
  end if;
  with cases as (
    update public.pastoral_cases t set notes = regexp_replace(t.notes, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.notes ~* v_pattern returning 1
  ), contacts as (
    update public.pastoral_contacts t set notes = regexp_replace(t.notes, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.notes ~* v_pattern returning 1
  ), reports as (
    update public.team_reports t set title = regexp_replace(t.title, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.title ~* v_pattern returning 1
  ), told as (
    update public.notifications t set context = private.mask_names(t.context, v_pattern, v_mask)
    where t.organization_id = p_organization_id and t.context::text ~* v_pattern returning 1
  ), tasks as (
    update public.volunteering t set task = regexp_replace(t.task, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.task ~* v_pattern returning 1
  ), templates as (
    update public.notification_templates t
    set title = regexp_replace(t.title, v_pattern, v_mask, 'gi'), body = regexp_replace(t.body, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and (t.title ~* v_pattern or t.body ~* v_pattern) returning 1
  ), families as (
    update public.families t set name = regexp_replace(t.name, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.name ~* v_pattern returning 1
  ), groups as (
    update public.groups t set name = regexp_replace(t.name, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.name ~* v_pattern returning 1
  ), classes as (
    update public.classes t set name = regexp_replace(t.name, v_pattern, v_mask, 'gi')
    where t.organization_id = p_organization_id and t.name ~* v_pattern returning 1
  )
  select jsonb_build_object('pastoral_cases', (select count(*) from cases), 'pastoral_contacts', (select count(*) from contacts),
    'team_reports', (select count(*) from reports), 'notifications', (select count(*) from told), 'volunteering', (select count(*) from tasks),
    'notification_templates', (select count(*) from templates),
    'families', (select count(*) from families), 'groups', (select count(*) from groups), 'classes', (select count(*) from classes))
    into v_counts;
  -- After the cases, whose trail has just kept what their notes said before.
  with events as (
    update public.pastoral_case_events t set changes = private.mask_names(t.changes, v_pattern, v_mask)
    where t.organization_id = p_organization_id and t.changes::text ~* v_pattern returning 1
  )
  select v_counts || jsonb_build_object('pastoral_case_events', count(*)) into v_counts from events;
  return (select coalesce(jsonb_object_agg(c.key, c.value), '{}') from jsonb_each(v_counts) c where c.value <> '0');
end;
$$;
comment on function private.forget_names(uuid, text[]) is
  'Replaces these names and addresses with "[erased]" wherever free text of the organisation has them, and counts the rows by table. What somebody calls a person otherwise is not found.';
revoke all on function private.forget_names(uuid, text[]) from public, anon, authenticated, service_role;

create function private.mask_names(p_value jsonb, p_pattern text, p_mask text) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
begin
  -- Strings alone: in the text of the document somebody called Null or 42 would break it.
  return case
    when p_pattern is null then p_value
    else case jsonb_typeof(p_value)
      when 'string' then to_jsonb(regexp_replace(p_value #>> '{}', p_pattern, p_mask, 'gi'))
      when 'array' then (
        select coalesce(jsonb_agg(private.mask_names(e.value, p_pattern, p_mask) order by e.position), '[]')
        from jsonb_array_elements(p_value) with ordinality as e (value, position))
      when 'object' then (
        select coalesce(jsonb_object_agg(e.key, private.mask_names(e.value, p_pattern, p_mask)), '{}') from jsonb_each(p_value) e)
      else p_value
    end
  end;
end;
$$;
comment on function private.mask_names(jsonb, text, text) is
  'A document with every match of a pattern (private.name_pattern; null: nothing) in its strings replaced by a mask. Keys stay.';
revoke all on function private.mask_names(jsonb, text, text) from public, anon, authenticated, service_role;

create function private.mask_others(p_organization_id uuid, p_own_name text, p_value jsonb) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_text constant text := lower(p_value::text);
begin
  return private.mask_names(p_value, private.name_pattern(array(
    select o.name
    from (
      select u.full_name as name from public.users u where u.organization_id = p_organization_id
      union all
      select p.full_name from public.people p where p.organization_id = p_organization_id
      union all
      select c.display_name from public.contacts c where c.organization_id = p_organization_id
      union all
      select s.full_name from public.students s where s.organization_id = p_organization_id
    ) o
    -- Nobody may be told who else is written of; their own name, and what is part of it, is theirs.
    where strpos(v_text, lower(btrim(to_json(o.name)::text, '"'))) > 0
      and strpos(lower(coalesce(p_own_name, '')), lower(o.name)) = 0)), '[another person]');
end;
$$;
comment on function private.mask_others(uuid, text, jsonb) is
  'A document of free text in which the names of other people of the organisation read "[another person]". A first name alone, or a nickname, is not found.';
revoke all on function private.mask_others(uuid, text, jsonb) from public, anon, authenticated, service_role;

create function private.name_pattern(p_names text[]) returns text
language sql immutable parallel safe
set search_path = ''
as $$
  -- From the beginning of a word (\m would want the name to begin with a letter). What has more than one word may go on, as
  -- languages inflect names; of a single word only the genitive is it, for "Ann" is not "Annual". However many spaces, and
  -- composed or not, as keyboards differ.
  select '(?<!\w)(?:' || string_agg(distinct
      regexp_replace(regexp_replace(f.name, '([^[:alnum:][:space:]])', '\\\1', 'g'), '\s+', '\\s+', 'g')
      || case when f.name ~ '[\s@]' then '' else 's?(?!\w)' end, '|') || ')'
  from unnest(p_names) as n (name)
  cross join lateral (values (normalize(btrim(n.name), nfc)), (normalize(btrim(n.name), nfd))) as f (name)
  where f.name <> '';
$$;
comment on function private.name_pattern(text[]) is
  'A regular expression (flags gi) that finds any of these names and addresses, inflected at the end too; null: there are none.';
revoke all on function private.name_pattern(text[]) from public, anon, authenticated, service_role;

create function private.person_kinds() returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
  select '{user,member,contact,student}'::text[];
$$;
comment on function private.person_kinds() is
  'The kinds of people who may ask: user (public.users, who works for the organisation), member (public.people, whom it cares for), contact (public.contacts, whom its people meet), student (public.students, whom it teaches).';
revoke all on function private.person_kinds() from public, anon, authenticated, service_role;
grant execute on function private.person_kinds() to service_role;

create function private.records_of(p_organization_id uuid, p_kind text, p_person_id text) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_records jsonb;
begin
  if p_kind is null or p_kind <> all (private.person_kinds()) then
    raise exception using errcode = 'PT400', message = 'unknown_kind',
      detail = jsonb_build_object('kind', p_kind, 'allowed', private.person_kinds())::text;
  end if;
  if pg_input_is_valid(p_person_id, case p_kind when 'student' then 'integer' else 'uuid' end) then
    v_records := case p_kind
      when 'user' then private.export_user(p_organization_id, p_person_id::uuid)
      when 'member' then private.export_member(p_organization_id, p_person_id::uuid)
      when 'contact' then private.export_contact(p_organization_id, p_person_id::uuid)
      when 'student' then private.export_student(p_organization_id, p_person_id::integer) end;
  end if;
  return (select jsonb_object_agg(s.key, s.value) from jsonb_each(v_records) s where s.value <> 'null');
end;
$$;
comment on function private.records_of(uuid, text, text) is
  'Everything held of a person as {"section": [rows]}, without the sections that are empty; null: there is nobody. PT400 unknown_kind.';
revoke all on function private.records_of(uuid, text, text) from public, anon, authenticated, service_role;

create table private.erasures (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  kind text not null constraint erased_kind_is_known check (kind = any (private.person_kinds())),
  person_id text not null,
  erased_at timestamptz not null default now(),
  primary key (organization_id, kind, person_id)
);
comment on table private.erasures is
  'Who was erased, and when, by an id that leads nowhere any more: it answers whoever asks again, and is what a restored backup has to be told.';

alter table private.erasures enable row level security;
revoke all on private.erasures from public, anon, authenticated, service_role;
grant select on private.erasures to service_role;

drop function private.delete_old_webhook_deliveries();

create function private.sweep_expired(p_counts jsonb default '{}', p_limit integer default 5000, p_now timestamptz default now()) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_batch constant jsonb := private.sweep_logs(p_limit, p_now) || private.sweep_traces(p_limit, p_now);
  v_more constant boolean := exists (select from jsonb_each_text(v_batch) b where b.value::integer >= p_limit);
  v_counts constant jsonb := (
    select jsonb_object_agg(b.key, b.value::integer + coalesce((p_counts ->> b.key)::integer, 0)) from jsonb_each_text(v_batch) b);
begin
  -- What a night did not get to is the next night's; only then is it a success.
  update private.schedules s
  set last_result = jsonb_build_object('deleted', v_counts, 'more', v_more),
      last_succeeded_at = case when v_more then s.last_succeeded_at else clock_timestamp() end
  where s.name = 'housekeeping';
  return v_counts || jsonb_build_object('more', v_more);
end;
$$;
comment on function private.sweep_expired(jsonb, integer, timestamptz) is
  'Cron: deletes up to p_limit rows of each kind that private.retention no longer keeps, adds them to p_counts, the answer of the batch before, and notes it in private.schedules. "more": another batch may find some. Each batch is a transaction of its own.';
revoke all on function private.sweep_expired(jsonb, integer, timestamptz) from public, anon, authenticated, service_role;

create function private.sweep_logs(p_limit integer, p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_webhooks constant timestamptz := private.kept_since('webhook_deliveries', p_now);
  v_cron constant timestamptz := private.kept_since('cron_log', p_now);
  v_runs constant timestamptz := private.kept_since('runs', p_now);
  v_findings constant timestamptz := private.kept_since('findings', p_now);
  v_ours constant bigint[] := array(select j.jobid from cron.job j where j.jobname like 'attend-%');
  v_counts jsonb;
begin
  -- Everywhere by row address, of rows that an index names in the order of their age: a batch costs its own size.
  with webhook_deliveries as (
    delete from private.webhook_deliveries d where d.ctid = any (array(
      select o.ctid from private.webhook_deliveries o where o.received_at < v_webhooks
      order by o.received_at limit p_limit for update skip locked))
    returning 1
  ), cron_log as (
    -- The log has no index but its number, which grows with time. Other people's jobs are theirs to purge.
    delete from cron.job_run_details d where d.ctid = any (array(
      select o.ctid from cron.job_run_details o where o.jobid = any (v_ours) and coalesce(o.end_time, o.start_time) < v_cron
      order by o.runid limit p_limit))
    returning 1
  ), runs as (
    delete from private.runs d where d.id = any (array(
      select o.id from private.runs o
      where o.finished_at < v_runs
        and exists (select from private.runs l where l.kind = o.kind and l.id > o.id and l.state = 'finished')
      order by o.id limit p_limit))
    returning 1
  ), case_runs as (
    delete from private.case_runs d where d.id = any (array(
      select o.id from private.case_runs o
      where o.finished_at < v_runs and exists (select from private.case_runs l where l.id > o.id and l.finished_at is not null)
      order by o.id limit p_limit))
    returning 1
  ), drift as (
    delete from private.statistics_drift d where d.ctid = any (array(
      select o.ctid from private.statistics_drift o where o.found_at < v_findings order by o.found_at limit p_limit))
    returning 1
  ), missed as (
    delete from private.sweep_findings d where d.ctid = any (array(
      select o.ctid from private.sweep_findings o where o.found_at < v_findings order by o.found_at limit p_limit))
    returning 1
  ), warnings as (
    delete from public.statistics_warnings d where d.ctid = any (array(
      select o.ctid from public.statistics_warnings o where o.recorded_at < v_findings
      order by o.recorded_at limit p_limit for update skip locked))
    returning 1
  )
  select jsonb_build_object('webhook_deliveries', (select count(*) from webhook_deliveries), 'cron_log', (select count(*) from cron_log),
    'runs', (select count(*) from runs) + (select count(*) from case_runs),
    'findings', (select count(*) from drift) + (select count(*) from missed) + (select count(*) from warnings))
    into v_counts;
  return v_counts;
end;
$$;
comment on function private.sweep_logs(integer, timestamptz) is
  'Deletes up to p_limit rows each of what was logged about the work itself and is no longer kept (private.retention). For private.sweep_expired.';
revoke all on function private.sweep_logs(integer, timestamptz) from public, anon, authenticated, service_role;

create function private.sweep_traces(p_limit integer, p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_outbox constant timestamptz := private.kept_since('outbox', p_now);
  v_held constant timestamptz := private.kept_since('held_decisions', p_now);
  v_invitations constant timestamptz := private.kept_since('invitations', p_now);
  v_told constant timestamptz := private.kept_since('notifications', p_now);
  v_histories constant timestamptz := private.kept_since('histories', p_now);
  v_counts jsonb;
begin
  with outbox as (
    delete from private.outbox d where d.ctid = any (array(
      select o.ctid from private.outbox o
      where o.created_at < v_outbox and o.state in ('sent', 'skipped', 'retracted', 'dead')
      order by o.created_at limit p_limit for update skip locked))
    returning 1
  ), held_decisions as (
    delete from private.held_decisions d where d.ctid = any (array(
      select o.ctid from private.held_decisions o where o.decided_at < v_held and o.look_again_at is null
      order by o.decided_at limit p_limit for update skip locked))
    returning 1
  ), invitations as (
    delete from public.invitations d where d.ctid = any (array(
      select o.ctid from public.invitations o where coalesce(o.accepted_at, o.revoked_at, o.expires_at) < v_invitations
      order by coalesce(o.accepted_at, o.revoked_at, o.expires_at) limit p_limit for update skip locked))
    returning 1
  ), notifications as (
    -- A question may be asked about any time since v_told, and must be answered as it would have been then. So what a cooldown,
    -- a day's cap or a count of reminders of such a time would read stays: of a quiet spell, all until an activity ended it.
    delete from public.notifications d where d.ctid = any (array(
      select o.ctid from public.notifications o
      where coalesce(o.dismissed_at, o.read_at, o.retracted_at) < v_told and o.triggered_at < v_told - interval '2 days'
        and not exists (
          select from private.cooldowns c
          where c.organization_id = o.organization_id and c.user_id = o.user_id and c.scenario = o.scenario and c.subject = o.subject
            and o.triggered_at + make_interval(hours => 24 * c.cooldown_days) > v_told)
        and (o.scenario <> 'inactivity' or o.about_user_id is not null or exists (
          select from public.activities a
          where a.organization_id = o.organization_id and a.user_id = o.user_id and a.status = 'completed'
            and a.occurred_at > o.triggered_at and a.occurred_at <= v_told and a.recorded_at <= v_told))
      order by coalesce(o.dismissed_at, o.read_at, o.retracted_at) limit p_limit for update skip locked))
    returning 1
  ), users as (
    delete from private.user_history d where d.ctid = any (array(
      select o.ctid from private.user_history o where o.valid_to < v_histories order by o.valid_to limit p_limit))
    returning 1
  ), preferences as (
    delete from private.preference_history d where d.ctid = any (array(
      select o.ctid from private.preference_history o where o.valid_to < v_histories order by o.valid_to limit p_limit))
    returning 1
  ), certificates as (
    delete from private.certificate_history d where d.ctid = any (array(
      select o.ctid from private.certificate_history o where o.valid_to < v_histories order by o.valid_to limit p_limit))
    returning 1
  )
  select jsonb_build_object('outbox', (select count(*) from outbox), 'held_decisions', (select count(*) from held_decisions),
    'invitations', (select count(*) from invitations), 'notifications', (select count(*) from notifications),
    'histories', (select count(*) from users) + (select count(*) from preferences) + (select count(*) from certificates))
    into v_counts;
  return v_counts;
end;
$$;
comment on function private.sweep_traces(integer, timestamptz) is
  'Deletes up to p_limit rows each of what tells of people and is no longer kept (private.retention), except what a rule or a question about the past still reads. For private.sweep_expired.';
revoke all on function private.sweep_traces(integer, timestamptz) from public, anon, authenticated, service_role;

update private.schedules set description = 'Deletes what is no longer kept (private.retention).' where name = 'housekeeping';

-- Batches, each a transaction, for no longer than hosted projects let a statement run; the rest is for ten minutes later.
select cron.schedule('attend-housekeeping', '7,17,27,37,47,57 3-4 * * *', $job$
do $do$
declare
  v_counts jsonb := '{}';
  v_until constant timestamptz := clock_timestamp() + interval '60 seconds';
begin
  perform private.note_schedule_started('housekeeping');
  commit;
  loop
    v_counts := private.sweep_expired(v_counts);
    commit;
    exit when not (v_counts ->> 'more')::boolean or clock_timestamp() > v_until;
  end loop;
end
$do$
$job$);
