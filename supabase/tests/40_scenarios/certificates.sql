-- Certificates about to expire: each lead once for each certificate, the shortest of several, and a renewed one is a new one.
begin;
\ir ../helpers.psql
select plan(50);
insert into public.organizations (id, name, time_zone) values (tests.id('c'), 'Certificates', 'Europe/Oslo');
insert into public.users (organization_id, id, full_name, role, joined_at, is_active)
select tests.id('c'), tests.id('c ' || p), p, 'coordinator', '2020-01-01', p <> 'gone' from unnest('{holder,other,gone}'::text[]) p;
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, lead_days) values (tests.id('c'), tests.id('c rule'), 'certification_expiry', 'expiry', true, '{30,7}');

create function tests.certify(p_name text, p_expires_at timestamptz, p_person text default 'holder') returns void language sql as $$
  insert into public.certificates (organization_id, id, user_id, name, expires_at, created_at)
  values (tests.id('c'), tests.id('c ' || p_name), tests.id('c ' || p_person), p_name, p_expires_at, '2020-01-01')
$$;
-- As "certificate-lead gate, …".
create function tests.gates(p_now timestamptz, p_person text default 'holder') returns text language sql as $$
  select string_agg(coalesce(g.detail ->> 'name', 'none') || '-' || (g.detail ->> 'lead_days') || ' ' || g.gate, ', ' order by g.detail ->> 'name', (g.detail ->> 'lead_days')::integer desc)
  from private.scenario_gates(tests.id('c'), null, null, array[tests.id('c ' || p_person)], private.rules_of(tests.id('c'), null), p_now, null) g
$$;
create function tests.gate(p_lead integer, p_now timestamptz) returns table (subject text, crossed_at timestamptz, eligible_again_at timestamptz, detail jsonb) language sql as $$
  select g.subject, g.crossed_at, g.eligible_again_at, g.detail
  from private.scenario_gates(tests.id('c'), null, null, array[tests.id('c holder')], private.rules_of(tests.id('c'), null), p_now, null) g
  where (g.detail ->> 'lead_days')::integer = p_lead
$$;
create function tests.decide(p_now timestamptz, p_person text default 'holder') returns jsonb language sql as
$$ select public.evaluate_people(tests.id('c'), array[tests.id('c ' || p_person)], p_now) #> '{counts,certification_expiry}' $$;
-- As "certificate-lead, …", in the order of being told.
create function tests.told() returns text language sql as $$
  select coalesce(string_agg((n.context ->> 'name') || '-' || (n.context ->> 'lead_days'), ', ' order by n.triggered_at, n.subject), 'nobody') from public.notifications n where n.organization_id = tests.id('c')
$$;

select is(tests.gates('2024-06-15'), 'none-30 not_matched, none-7 not_matched', 'who holds no certificate has a row for each lead all the same');
select is((select subject from tests.gate(7, '2024-06-15')), tests.id('c rule') || ':7', 'of the rule and the lead alone');
select tests.certify('First aid', '2024-07-15 00:00+00');
select is(tests.gates('2024-06-14 23:59:59.999999+00'), 'First aid-30 not_matched, First aid-7 not_matched', 'a microsecond before the lead');
select is((select eligible_again_at from tests.gate(30, '2024-06-14 23:59:59.999999+00')), '2024-06-15 00:00+00', 'and when it will be');
select is(tests.gates('2024-06-15 00:00+00'), 'First aid-30 would_send, First aid-7 not_matched', 'thirty days before');
select results_eq($$select subject, crossed_at, detail from tests.gate(30, '2024-06-20')$$,
  $$select format('%s:%s:30', tests.id('c rule'), tests.id('c First aid')), timestamptz '2024-06-15 00:00+00',
    jsonb_build_object('certificate_id', tests.id('c First aid'), 'name', 'First aid', 'expires_at', timestamptz '2024-07-15 00:00+00', 'lead_days', 30)$$, 'it says which, and when it ends');
select is(tests.gates('2024-07-07 23:59:59.999999+00'), 'First aid-30 would_send, First aid-7 not_matched', 'until the shorter lead');
select is(tests.gates('2024-07-08 00:00+00'), 'First aid-30 superseded, First aid-7 would_send', 'of several leads due the shortest is told');
select is((select detail ->> 'told_with' from tests.gate(30, '2024-07-08')), (select subject from tests.gate(7, '2024-07-08')), 'and with which');
select is(tests.gates('2024-07-14 23:59:59.999999+00'), 'First aid-30 superseded, First aid-7 would_send', 'to the last microsecond');
select is(tests.gates('2024-07-15 00:00+00'), 'First aid-30 not_matched, First aid-7 not_matched', 'what has expired is not about to');
select is((select eligible_again_at from tests.gate(7, '2024-07-15')), null, 'and never will be');

-- Once for each lead.
select is(tests.decide('2024-06-15'), '{"sent": 1, "not_matched": 1}', 'told at the first lead');
select is(tests.decide('2024-06-16'), '{"not_matched": 1, "cooling_down": 1}', 'and not again');
select is((select detail -> 'cooldown_until' from tests.gate(30, '2024-06-16')), null, 'once and for all: no date at which it would be');
select is((select eligible_again_at from tests.gate(30, '2024-06-16')), '2024-07-15 00:00+00', 'but the end of the certificate');
select is(tests.decide('2024-07-08'), '{"sent": 1, "superseded": 1}', 'told at the second');
select is(tests.decide('2024-07-14'), '{"superseded": 1, "cooling_down": 1}', 'and not again');
select is(tests.told(), 'First aid-30, First aid-7', 'twice in all');
select is((select string_agg(o.state || '', ' ') from private.outbox o where o.organization_id = tests.id('c')), 'pending pending', 'each with its push');

-- Several due at once: the shorter is told, both are recorded.
select tests.certify('Driving', '2024-08-01 00:00+00', 'other');
select is(tests.decide('2024-07-26', 'other'), '{"sent": 1, "superseded": 1}', 'both leads due');
select results_eq($$select split_part(subject, ':', 3), last_triggered_at, cooldown_days from private.cooldowns where user_id = tests.id('c other') order by 1$$,
  $$values ('30', timestamptz '2024-07-26', null::integer), ('7', '2024-07-26', null)$$, 'are both recorded');
update public.scenario_rules set lead_days = '{30}';
select is(tests.decide('2024-07-26', 'other'), '{"cooling_down": 1}', 'so that without the shorter the longer is not told after all');
update public.scenario_rules set lead_days = '{30,7}';

-- Revoked, replaced, renewed, expired, several.
update public.certificates set revoked_at = '2024-06-01' where name = 'First aid';
select is(tests.gates('2024-06-20'), 'First aid-30 not_matched, First aid-7 not_matched', 'what is revoked does not expire');
select is((select (detail ->> 'is_valid')::boolean from tests.gate(7, '2024-06-20')), false, 'which is said');
update public.certificates set revoked_at = null where name = 'First aid';
select is(tests.gates('2024-06-20'), 'First aid-30 cooling_down, First aid-7 not_matched', 'not revoked after all');
select tests.certify('First aid again', '2025-07-15 00:00+00');
update public.certificates set replaced_by = tests.id('c First aid again') where name = 'First aid';
select is(tests.gates('2024-07-10'), 'First aid-30 not_matched, First aid-7 not_matched, First aid again-30 not_matched, First aid again-7 not_matched', 'what is replaced does not either');
select is(tests.decide('2025-06-20'), '{"sent": 1, "not_matched": 3}', 'the new one is a new one');
delete from public.certificates where name = 'First aid again';
select is((select replaced_by from public.certificates where name = 'First aid'), null, 'without its successor');
select is(tests.gates('2024-07-10'), 'First aid-30 superseded, First aid-7 would_send', 'a certificate stands for itself again, and what was taken back unseen is to be told again');
select tests.certify('Second', '2024-07-16 00:00+00'), tests.certify('Third', '2024-07-17 00:00+00');
select is(tests.decide('2024-07-10'), '{"sent": 3, "superseded": 3}', 'each certificate is told for itself');

-- The person.
select tests.certify('Old', '2024-07-16 00:00+00', 'gone');
select is(tests.decide('2024-07-10', 'gone'), '{"person_inactive": 2}', 'who left is not told');
update public.users set is_active = true, away_from = '2024-07-01', away_until = '2024-07-12' where id = tests.id('c gone');
select is(tests.decide('2024-07-10', 'gone'), '{"away": 2}', 'nor who is away');
select is(tests.decide('2024-07-12', 'gone'), '{"sent": 1, "superseded": 1}', 'but after');
delete from private.cooldowns where user_id = tests.id('c gone');
insert into public.notification_preferences values (tests.id('c'), tests.id('c gone'), 'certification_expiry', 'all', false);
select is(tests.decide('2024-07-13', 'gone'), '{"opted_out": 1, "superseded": 1}', 'nor who opted out');
update public.notification_preferences set is_enabled = true where user_id = tests.id('c gone');
select is(tests.decide('2024-07-14', 'gone'), '{"sent": 1, "superseded": 1}', 'but changed their mind in time');

-- Days are of 24 hours, whatever the clocks do.
select tests.certify('Clock', '2024-04-01 12:00 Europe/Oslo', 'other');
update public.scenario_rules set lead_days = '{2}';
select is((select string_agg(g.gate, ' ') from private.scenario_gates(tests.id('c'), null, null, array[tests.id('c other')], private.rules_of(tests.id('c'), null), '2024-03-30 11:00 Europe/Oslo', null) g where g.detail ->> 'name' = 'Clock'),
  'would_send', 'two days before noon of the day after the clocks went forward is eleven');
select is((select string_agg(g.gate, ' ') from private.scenario_gates(tests.id('c'), null, null, array[tests.id('c other')], private.rules_of(tests.id('c'), null), timestamptz '2024-03-30 11:00 Europe/Oslo' - interval '1 microsecond', null) g where g.detail ->> 'name' = 'Clock'),
  'not_matched', 'and not a microsecond sooner');

-- A rule that is new finds what has not expired yet.
update public.scenario_rules set lead_days = '{30,7}', effective_from = '2024-07-11';
delete from private.cooldowns where organization_id = tests.id('c');
select is(tests.gates('2024-07-12', 'other'), 'Clock-30 not_matched, Clock-7 not_matched, Driving-30 would_send, Driving-7 not_matched', 'a crossing from before it took effect is told');

-- The evaluator alone.
delete from public.certificates where name not in ('First aid', 'Second');
select is(public.evaluate_certification_expiry(tests.id('c holder'), 10, '2024-07-05 12:00+00'), jsonb_build_object('user_id', tests.id('c holder'), 'organization_id', tests.id('c'), 'lead_days', 10,
  'matched', true, 'gate', 'matched', 'certificates', jsonb_build_array(
    jsonb_build_object('certificate_id', tests.id('c First aid'), 'name', 'First aid', 'expires_at', timestamptz '2024-07-15 00:00+00', 'matched', true, 'crossed_at', timestamptz '2024-07-05 00:00+00'),
    jsonb_build_object('certificate_id', tests.id('c Second'), 'name', 'Second', 'expires_at', timestamptz '2024-07-16 00:00+00', 'matched', false, 'crossed_at', timestamptz '2024-07-06 00:00+00'))), 'it names every certificate');
select is(public.evaluate_certification_expiry(tests.id('c holder'), 9, '2024-07-05 12:00+00') -> 'matched', 'false', 'a shorter lead is not due');
select is(public.evaluate_certification_expiry(tests.id('c other'), 30, '2024-07-05') - '{user_id,organization_id}'::text[], '{"lead_days": 30, "matched": false, "gate": "not_matched", "certificates": []}', 'who has none');
update public.users set is_active = false where id = tests.id('c holder');
select is(public.evaluate_certification_expiry(tests.id('c holder'), 30, '2024-07-05') -> 'gate', '"person_inactive"', 'who left');
select is(tests.error(format(m.statement, tests.id('nobody'))), m.error, m.sentence) from (values
  ('select public.evaluate_certification_expiry(%L, 30)', format('PT404 unknown_user {"user_id": "%s"}', tests.id('nobody')), 'certificates: unknown user'),
  ('select public.evaluate_certification_expiry(tests.id(''c other''), 0)', 'PT400 lead_days_out_of_range {"maximum": 365, "minimum": 1, "lead_days": 0}', 'a lead of nothing'),
  ('select public.evaluate_certification_expiry(tests.id(''c other''), 366)', 'PT400 lead_days_out_of_range {"maximum": 365, "minimum": 1, "lead_days": 366}', 'a lead beyond a year'),
  ('select public.evaluate_milestone(%L, ''hours'')', format('PT404 unknown_user {"user_id": "%s"}', tests.id('nobody')), 'milestones: unknown user'),
  ('select public.evaluate_milestone(tests.id(''c other''), ''smiles'')', 'PT400 unknown_milestone_type {"allowed": ["sessions", "hours", "contacts"], "milestone_type": "smiles"}', 'an unknown metric'),
  ('select public.evaluate_milestone(tests.id(''c other''), ''hours'', 5, ''month'')', 'PT400 unknown_period {"period": "month", "allowed": ["year", "all_time"]}', 'an unknown period'),
  ('select public.evaluate_milestone(tests.id(''c other''), ''hours'', 0)', 'PT400 threshold_out_of_range {"maximum": 1000000, "minimum": 1, "threshold": 0}', 'a threshold of nothing')
) as m (statement, error, sentence);

select * from finish();
rollback;
