-- The parameters are ids; "user" is she who will ask. Once for her organisation, once with other names for another.
insert into public.organizations (id, name, time_zone) values (%(organization)s, 'Norra', 'Europe/Oslo');
insert into public.org_settings_kv values (%(organization)s, 'absence_alert_threshold', '3');
insert into public.users (organization_id, id, full_name, role, joined_at, created_at, is_active, reactivated_at, away_from, away_until, time_zone, language) values
  (%(organization)s, %(user)s, %(user_name)s, 'servant', now() - interval '700 days', now() - interval '700 days', true,
    now() - interval '300 days', now() + interval '5 days', now() + interval '9 days', 'Europe/Rome', 'nb'),
  (%(organization)s, %(admin)s, 'Ada Minister', 'admin', now() - interval '800 days', now() - interval '800 days', true, null, null, null, null, null),
  (%(organization)s, %(mentor)s, 'Per Mentor', 'peer_mentor', now() - interval '600 days', now() - interval '600 days', true, null, null, null, null, null);
insert into auth.users (id, email, phone, raw_user_meta_data, recovery_token, encrypted_password, email_confirmed_at)
values (%(login)s, %(address)s, %(telephone)s, jsonb_build_object('name', %(user_name)s::text), %(secret)s, %(secret)s, now()),
  (%(admin_login)s, 'ada@' || %(organization)s, null, '{}', null, null, now());
insert into public.user_logins (auth_user_id, organization_id, user_id) values
  (%(login)s, %(organization)s, %(user)s), (%(admin_login)s, %(organization)s, %(admin)s);
insert into public.invitations (organization_id, user_id, email, invited_by, expires_at, accepted_at, revoked_at) values
  (%(organization)s, %(user)s, %(second_address)s, %(admin)s, now() + interval '1 day', now(), null),
  (%(organization)s, %(user)s, %(second_address)s, %(admin)s, now() + interval '1 day', null, now()),
  (%(organization)s, %(mentor)s, 'per@' || %(organization)s, %(user)s, now() + interval '1 day', null, null);

insert into public.contacts (organization_id, id, display_name) values
  (%(organization)s, %(contact)s, %(contact_name)s), (%(organization)s, %(other_contact)s, 'Dina Dahl');
insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at, duration_minutes, status, approval, proxy_registered_by) values
  (%(organization)s, %(activity)s, %(user)s, 'home-visit', now() - interval '40 days', 45, 'completed', 'approved', %(admin)s),
  (%(organization)s, gen_random_uuid(), %(user)s, 'phone-call', now() - interval '41 days', 30, 'completed', 'pending', null),
  (%(organization)s, gen_random_uuid(), %(user)s, 'phone-call', now() + interval '4 days', 30, 'planned', 'pending', null),
  (%(organization)s, gen_random_uuid(), %(user)s, 'phone-call', now() - interval '4 days', 30, 'cancelled', 'pending', null),
  (%(organization)s, %(proxied)s, %(mentor)s, 'phone-call', now() - interval '3 days', 30, 'completed', 'pending', %(user)s),
  (%(organization)s, gen_random_uuid(), %(mentor)s, 'home-visit', now() - interval '41 days', 60, 'completed', 'approved', null);
insert into public.activity_contacts (organization_id, activity_id, contact_id) values
  (%(organization)s, %(activity)s, %(contact)s), (%(organization)s, %(activity)s, %(other_contact)s), (%(organization)s, %(proxied)s, %(contact)s);
insert into public.bufdir_rules values (%(organization)s, '2020-01-01', 30, true, false);
insert into public.statistics_warnings (organization_id, user_id, rule, details) values (%(organization)s, %(user)s, 'r', '{"unknown_types": ["x"]}');
insert into private.statistics_drift (organization_id, user_id, run_id, rows_changed) values (%(organization)s, %(user)s, 1, 1);
insert into public.team_reports (organization_id, period_type, title, figures, frozen_by) values
  (%(organization)s, 'all_time', %(user_name)s || 's report, with ' || %(contact_name)s, '{"total_activities": 4}', %(user)s);

insert into public.notification_preferences values (%(organization)s, %(user)s, 'milestone', 'push', false);
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (%(organization)s, %(rule)s, 'inactivity', 'quiet', true);
insert into public.certificates (organization_id, id, user_id, name, issued_at, expires_at) values
  (%(organization)s, %(certificate)s, %(user)s, 'First aid', now() - interval '1 year', now() + interval '20 days');
insert into public.certificates (organization_id, user_id, name, expires_at, replaced_by, revoked_at) values
  (%(organization)s, %(user)s, 'First aid, old', now() - interval '20 days', %(certificate)s, now() - interval '21 days');
update public.certificates set name = name || '!' where organization_id = %(organization)s;
insert into private.user_history (organization_id, user_id, role, is_active, joined_at, reactivated_at, away_from, away_until, time_zone)
values (%(organization)s, %(user)s, 'peer_mentor', true, now(), now(), now(), now(), 'Europe/Paris');
insert into public.achievements (organization_id, user_id, subject, rule_id, metric, period, period_start, threshold, crossed_at, outcome)
values (%(organization)s, %(user)s, 's', %(rule)s, 'sessions', 'year', now(), 50, now(), 'celebrated');
insert into public.user_coordinators values (%(organization)s, %(user)s, %(admin)s), (%(organization)s, %(mentor)s, %(user)s);
insert into private.held_decisions (organization_id, user_id, subject, scenario, rule_id, rule_version, gate, crossed_at, decided_at, look_again_at)
values (%(organization)s, %(user)s, 's', 'inactivity', %(rule)s, 1, 'capped', now(), now(), now());
insert into private.quarantine (organization_id, user_id, reason, message) values (%(organization)s, %(user)s, '22012', 'division by zero');
insert into private.sweep_findings (organization_id, user_id, run_id, scenario, subject, crossed_at) values (%(organization)s, %(user)s, 1, 'inactivity', 's', now());
insert into private.cooldowns values
  (%(organization)s, %(user)s, 'inactivity', %(rule)s, now(), 14, now(), 1), (%(organization)s, %(user)s, 'pastoral_case', %(member)s, now(), 14, null, null),
  (%(organization)s, %(admin)s, 'pastoral_case', %(member)s || ':urgent', now(), 14, null, null), (%(organization)s, %(admin)s, 'pastoral_case', %(other_member)s, now(), 14, null, null);

insert into public.families (organization_id, id, name, assigned_servant_id) values
  (%(organization)s, %(family)s, 'The house of ' || %(member_name)s, %(user)s), (%(organization)s, %(other_family)s, 'Next to ' || %(member_name)s, %(user)s);
insert into public.people (organization_id, id, family_id, full_name) values
  (%(organization)s, %(member)s, %(family)s, %(member_name)s), (%(organization)s, %(other_member)s, %(other_family)s, 'Olga Other');
insert into public.services (organization_id, id, service_date, kind)
  select %(organization)s, md5(%(organization)s || n)::uuid, current_date - 60 + n, 'liturgy' from generate_series(1, 5) n;
insert into public.attendance_records (organization_id, person_id, service_id, service_date, status, checked_in_at)
  select %(organization)s, p.id, s.id, s.service_date, case when s.service_date < current_date - 58 then 'late' else 'absent' end::public.attendance_status,
    case when s.service_date < current_date - 58 then s.service_date end
  from public.people p join public.services s on s.organization_id = p.organization_id where p.organization_id = %(organization)s;
insert into public.groups (organization_id, id, name) values (%(organization)s, %(group)s, 'Circle of ' || %(member_name)s);
insert into public.group_memberships values (%(organization)s, %(group)s, %(member)s, current_date - 50, current_date - 1), (%(organization)s, %(group)s, %(other_member)s, current_date - 50, null);
insert into public.volunteering (organization_id, person_id, volunteered_on, task) values
  (%(organization)s, %(member)s, current_date - 1, 'Kitchen'), (%(organization)s, %(other_member)s, current_date - 1, 'Drives ' || %(member_name)s || ' home');
insert into public.classes (organization_id, id, name) values (%(organization)s, %(class)s, 'Reading with ' || %(user_name)s);
insert into public.class_participations values (%(organization)s, %(class)s, %(member)s, current_date - 1), (%(organization)s, %(class)s, %(other_member)s, current_date - 1);
insert into public.donations (organization_id, person_id, donated_on, amount) values (%(organization)s, %(member)s, current_date - 1, 70), (%(organization)s, %(other_member)s, current_date - 1, 50);
insert into public.pastoral_cases (organization_id, id, person_id, assigned_servant_id, notes, absences, absent_since, last_absent_on, opened_at,
    status, escalated_at, returned_on, reopened_at, closed_at, withdrawn_at, withdrawn_reason, untold) values
  (%(organization)s, %(case)s, %(member)s, %(user)s, 'Visit ' || %(member_name)s || '; ask Dina Dahl', 3, current_date - 57, current_date - 55, now(),
    'in_progress', now(), current_date, now(), null, null, null, 'opened'),
  (%(organization)s, gen_random_uuid(), %(member)s, %(user)s, '', 3, current_date - 57, current_date - 55, now(), 'withdrawn', null, null, null, null, now(), 'x', null),
  (%(organization)s, gen_random_uuid(), %(member)s, %(user)s, '', 3, current_date - 57, current_date - 55, now(), 'closed', null, null, null, now(), null, null, null),
  (%(organization)s, %(other_case)s, %(other_member)s, %(user)s, 'Neighbour of ' || %(member_name)s, 3, current_date - 57, current_date - 55, now(),
    'open', null, null, null, null, null, null, null);
select set_config('request.jwt.claims', jsonb_build_object('sub', %(login)s)::text, false);
update public.pastoral_cases set notes = notes || ', says ' || %(user_name)s || ' <' || upper(%(address)s) || '>', priority = 'urgent' where id in (%(case)s, %(other_case)s);
select set_config('request.jwt.claims', '', false);
insert into public.students (organization_id, student_id, full_name, level) values (%(organization)s, %(student)s, %(student_name)s, 'A1'), (%(organization)s, 8, 'Sven Skole', 'A1');
insert into public.student_attendance (organization_id, student_id, checkin_time, minutes)
  select %(organization)s, s, now() - make_interval(days => n), 30 from unnest(array[1, 2, 20]) n, unnest(array[%(student)s, 8]) s;
insert into public.learning_progress (organization_id, student_id, lessons_completed, lessons_total, average_score, last_progress_at)
values (%(organization)s, %(student)s, 3, 10, 61.5, now() + interval '1 second'), (%(organization)s, 8, 3, 10, 61.5, null);
insert into public.pastoral_contacts (organization_id, case_id, kind, contacted_by, contacted_at, outcome, notes) values
  (%(organization)s, %(case)s, 'home_visit', %(user)s, now(), 'reached', %(member_name)s || ' was well, Olga Other too'),
  (%(organization)s, %(other_case)s, 'phone_call', %(admin)s, now(), 'reached', 'as ' || %(user_name)s || ' had said of ' || %(member_name)s || ' and ' || %(contact_name)s || ' and ' || %(student_name)s);
insert into public.student_notes (organization_id, student_id, author_id, kind, body) values
  (%(organization)s, %(student)s, %(user)s, 'contacted', %(student_name)s || ' comes on Monday, says Olga Other'),
  (%(organization)s, 8, %(admin)s, 'note', %(user_name)s || ' spoke with him and ' || %(student_name)s);
insert into public.notifications (organization_id, id, user_id, scenario, subject, rule_id, rule_version, context, crossed_at, triggered_at, read_at, dismissed_at, about_user_id, release_on, retracted_at) values
  (%(organization)s, %(notification)s, %(user)s, 'inactivity', 's', %(rule)s, 1, '{"threshold_days": 21}', now(), now(), now(), now(), null, current_date, now()),
  (%(organization)s, gen_random_uuid(), %(user)s, 'inactivity', 's/m', %(rule)s, 1, '{"threshold_days": 22}', now(), now(), now(), now(), %(mentor)s, current_date, now()),
  (%(organization)s, gen_random_uuid(), %(admin)s, 'inactivity', 's/u', %(rule)s, 1, '{"threshold_days": 23}', now(), now(), now(), now(), %(user)s, current_date, now()),
  (%(organization)s, gen_random_uuid(), %(admin)s, 'pastoral_case', %(member)s, %(rule)s, 1, jsonb_build_object('person_id', %(member)s, 'absences', 3), now(), now(), now(), now(), %(mentor)s, current_date, now()),
  (%(organization)s, gen_random_uuid(), %(mentor)s, 'milestone', 'outside', null, null, jsonb_build_object('why', 'met ' || %(user_name)s, 'deep', jsonb_build_array(%(member_name)s, %(contact_name)s)), now(), now(), null, null, null, null, null);
insert into private.outbox (organization_id, id, notification_id, user_id, channel, state, holder, last_error, skipped_reason, settled_at)
values (%(organization)s, %(push)s, %(notification)s, %(user)s, 'push', 'skipped', gen_random_uuid(), 'e', 'no_device', now());
insert into private.outbox_devices (organization_id, outbox_id, device_id, verdict, provider_id, reason, attempted_at, receipt_due_at)
values (%(organization)s, %(push)s, %(device)s, 'sent', 'ticket', 'r', now(), now());
insert into private.outbox_history (organization_id, outbox_id, event, reason, at) values (%(organization)s, %(push)s, 'failed', 'r', now());
insert into public.devices (organization_id, id, user_id, provider, platform, token, is_active, deactivated_at, deactivated_reason) values
  (%(organization)s, %(device)s, %(user)s, 'fcm', 'ios', %(device_token)s, false, now(), 'unregistered');
insert into public.notification_templates (organization_id, scenario, form, language, title, body) values
  (%(organization)s, 'inactivity', 'self', 'en', 'Call ' || %(user_name)s, 'or ' || %(member_name)s);
insert into private.statistics_marks (organization_id, user_id, rings, day) values (%(organization)s, %(user)s, false, current_date);
insert into private.scenario_marks (organization_id, user_id, rings) values (%(organization)s, %(user)s, false);
insert into private.care_marks (organization_id, person_id, rings) values (%(organization)s, %(member)s, false);
insert into private.preference_history (organization_id, user_id, scenario, channel, was_enabled) values (%(organization)s, %(user)s, 'all', 'all', true);
refresh materialized view private.people_engagement_scores;
