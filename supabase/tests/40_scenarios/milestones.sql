-- Milestones: reached when the activity took place that reached them, told once and for ever, recorded when not told.
-- The year is 2024, whatever year it is.
begin;
\ir ../helpers.psql
select plan(79);
insert into public.organizations (id, name, time_zone) values (tests.id('m'), 'Milestones', 'Pacific/Auckland');
insert into public.users (organization_id, id, full_name, role, joined_at, is_active)
select tests.id('m'), tests.id('m ' || p), p, case p when 'servant' then 'servant' else 'peer_mentor' end::public.user_role, '2020-01-01', p <> 'gone'
from unnest('{mentor,friend,servant,gone}'::text[]) p;
insert into public.contacts (organization_id, id) select tests.id('m'), tests.id('contact ' || n) from generate_series(1, 5) n;
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, thresholds) values (tests.id('m'), tests.id('m rule'), 'milestone', 'sessions', true, '{3,5}');

create function tests.act(p_at timestamptz, p_person text default 'mentor', p_minutes integer default 30, p_contact integer default null) returns uuid language plpgsql as $$
declare
  v_id uuid := gen_random_uuid();
begin
  insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at, duration_minutes)
  values (tests.id('m'), v_id, tests.id('m ' || p_person), 'other', p_at, p_minutes);
  if p_contact is not null then
    insert into public.activity_contacts values (tests.id('m'), v_id, tests.id('contact ' || p_contact));
  end if;
  return v_id;
end;
$$;
-- As "threshold:period gate, …".
create function tests.gates(p_now timestamptz, p_person text default 'mentor') returns text language sql as $$
  select string_agg(split_part(g.subject, ':', 2) || ':' || split_part(g.subject, ':', 3) || ' ' || g.gate, ', '
    order by split_part(g.subject, ':', 3), split_part(g.subject, ':', 2)::integer)
  from private.scenario_gates(tests.id('m'), null, null, array[tests.id('m ' || p_person)], private.rules_of(tests.id('m'), null), p_now, null) g
$$;
create function tests.gate(p_threshold integer, p_now timestamptz) returns table (crossed_at timestamptz, eligible_again_at timestamptz, detail jsonb) language sql as $$
  select g.crossed_at, g.eligible_again_at, g.detail
  from private.scenario_gates(tests.id('m'), null, null, array[tests.id('m mentor')], private.rules_of(tests.id('m'), null), p_now, null) g
  where split_part(g.subject, ':', 2) = p_threshold::text
$$;
create function tests.decide(p_now timestamptz, p_person text default 'mentor') returns jsonb language sql as
$$ select public.evaluate_people(tests.id('m'), array[tests.id('m ' || p_person)], p_now) #> '{counts,milestone}' $$;
-- As "threshold:period outcome, …".
create function tests.recorded(p_person text default 'mentor') returns text language sql as $$
  select coalesce(string_agg(a.threshold || ':' || split_part(a.subject, ':', 3) || ' ' || a.outcome, ', ' order by a.subject, a.threshold), 'nothing')
  from public.achievements a where a.user_id = tests.id('m ' || p_person)
$$;
-- As if nothing had ever been told.
create function tests.forget() returns void language sql as $$
  delete from public.achievements where organization_id = tests.id('m');
  delete from private.cooldowns where organization_id = tests.id('m');
  delete from private.held_decisions where organization_id = tests.id('m');
$$;
create function tests.told() returns bigint language sql as $$ select count(*) from public.notifications where organization_id = tests.id('m') $$;

-- Reaching.
select tests.act('2024-06-01 10:00+00'), tests.act('2024-06-03 10:00+00');
select is(tests.gates('2024-06-10'), '3:2024 not_matched, 5:2024 not_matched', 'two of three sessions');
select is((select detail from tests.gate(3, '2024-06-10')), '{"metric": "sessions", "period": "year", "period_start": "2024-01-01T00:00:00+00:00", "threshold": 3, "value": 2}', 'the value beside the threshold');
select tests.act('2024-06-09 10:00+00');
select is(tests.gates('2024-06-10'), '3:2024 would_send, 5:2024 not_matched', 'three');
select is((select crossed_at from tests.gate(3, '2024-06-10')), '2024-06-09 10:00+00', 'reached when the third took place');
select tests.act('2024-06-02 10:00+00');
select is((select crossed_at from tests.gate(3, '2024-06-10')), '2024-06-03 10:00+00', 'counted in the order in which they took place, not in which they were written');
select is(tests.gates('2024-06-10 10:00+00'), '3:2024 would_send, 5:2024 not_matched', 'seven days after');
select is(tests.gates('2024-06-10 10:00:00.000001+00'), '3:2024 crossing_too_old, 5:2024 not_matched', 'and a microsecond: too old to celebrate');
update public.scenario_rules set max_age_days = 8;
select is(tests.gates('2024-06-10 10:00:00.000001+00'), '3:2024 would_send, 5:2024 not_matched', 'how old is the rule''s to say');
update public.scenario_rules set max_age_days = 7;
update public.activities set status = 'cancelled' where occurred_at = '2024-06-01 10:00+00';
select is((select crossed_at from tests.gate(3, '2024-06-10')), '2024-06-09 10:00+00', 'what was cancelled does not count');

-- Once, and for ever.
select is(tests.decide('2024-06-10'), '{"sent": 1, "not_matched": 1}', 'told');
select is(tests.recorded(), '3:2024 celebrated', 'and recorded');
select results_eq($$select metric, period, period_start, threshold, crossed_at, recorded_at, rule_id from public.achievements$$,
  $$values ('sessions', 'year', timestamptz '2024-01-01 00:00+00', 3, timestamptz '2024-06-09 10:00+00', timestamptz '2024-06-10 00:00+00', tests.id('m rule'))$$, 'with what was reached, and when');
select is(tests.decide('2024-06-10'), '{"not_matched": 1, "already_celebrated": 1}', 'again: the record answers');
select is(tests.decide('2024-06-30'), '{"not_matched": 1, "already_celebrated": 1}', 'and beats the date');
delete from public.activities where occurred_at = '2024-06-09 10:00+00';
select is(tests.gates('2024-06-10'), '3:2024 not_matched, 5:2024 not_matched', 'fallen below');
select tests.act('2024-06-11 10:00+00');
select is(tests.decide('2024-06-12'), '{"not_matched": 1, "already_celebrated": 1}', 'and reached again: never twice');
select is(tests.told(), 1::bigint, 'one notification');
select is((select crossed_at from tests.gate(3, '2024-06-12')), '2024-06-09 10:00+00', 'the record keeps when it was first reached');

-- Several at once: the highest is told, all are recorded.
select tests.act('2024-06-12 10:00+00'), tests.act('2024-06-12 11:00+00');
update public.scenario_rules set thresholds = '{3,5,4}';
select is(tests.gates('2024-06-13'), '3:2024 already_celebrated, 4:2024 superseded, 5:2024 would_send', 'four and five at once: five is told');
select is((select detail ->> 'told_with' from tests.gate(4, '2024-06-13')), tests.id('m rule') || ':5:2024', 'and says with which');
select is(tests.decide('2024-06-13'), '{"sent": 1, "superseded": 1, "already_celebrated": 1}', 'so it is decided');
select is(tests.recorded(), '3:2024 celebrated, 4:2024 superseded, 5:2024 celebrated', 'all are recorded');
select is(tests.told(), 2::bigint, 'with one notification');
update public.scenario_rules set thresholds = '{1,3,5,4}';
select is(tests.decide('2024-06-13'), '{"superseded": 1, "already_celebrated": 3}', 'a lower threshold added later');
select is(tests.recorded(), '1:2024 superseded, 3:2024 celebrated, 4:2024 superseded, 5:2024 celebrated', 'is recorded with the one that was told');
select is(tests.told(), 2::bigint, 'and tells nobody');

-- Recorded, and not told.
select tests.act('2024-03-01') from generate_series(1, 3);
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) select tests.id('m'), tests.id('m friend'), 'other', '2024-03-01' from generate_series(1, 3);
update public.scenario_rules set thresholds = '{2,3,5}';
select is(tests.decide('2024-11-01', 'friend'), '{"not_matched": 1, "superseded": 1, "crossing_too_old": 1}', 'an import does not congratulate in November for March');
select is(tests.recorded('friend'), '2:2024 superseded, 3:2024 crossing_too_old', 'it records');
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) select tests.id('m'), tests.id('m friend'), 'other', '2024-11-02' from generate_series(1, 2);
insert into public.notification_preferences values (tests.id('m'), tests.id('m friend'), 'milestone', 'all', false);
select is(tests.decide('2024-11-03', 'friend'), '{"opted_out": 1, "already_celebrated": 2}', 'reached while opted out');
delete from public.notification_preferences where organization_id = tests.id('m');
select is(tests.decide('2024-11-03', 'friend'), '{"already_celebrated": 3}', 'is never told later');
select is(tests.recorded('friend'), '2:2024 superseded, 3:2024 crossing_too_old, 5:2024 opted_out', 'for it is recorded');
select results_eq($$select subject, gate, crossed_at, look_again_at from private.held_decisions where user_id = tests.id('m friend') and gate = 'opted_out'$$,
  $$values (tests.id('m rule') || ':5:2024', 'opted_out', timestamptz '2024-11-02', null::timestamptz)$$, 'as is why nobody was told');
select is(tests.told(), 2::bigint, 'and nobody was');
select tests.forget();
update public.users set away_from = '2024-11-03', away_until = '2024-11-05' where id = tests.id('m friend');
select is(tests.decide('2024-11-03', 'friend'), '{"away": 3}', 'whoever is away is not told');
select is(tests.recorded('friend'), 'nothing', 'nor anything recorded');
select is(tests.decide('2024-11-05', 'friend'), '{"sent": 1, "superseded": 2}', 'but after');
select tests.forget();
select is(tests.decide('2024-11-09 00:00:00.000001+00', 'friend'), '{"superseded": 2, "crossing_too_old": 1}', 'unless the absence was long: then it is too late');
select is(tests.decide('2024-11-03', 'gone'), '{"person_inactive": 3}', 'who left reaches nothing');

-- Who: everybody who is active.
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) select tests.id('m'), tests.id('m servant'), 'other', '2024-11-02' from generate_series(1, 2);
select is(tests.gates('2024-11-03', 'servant'), '2:2024 would_send, 3:2024 not_matched, 5:2024 not_matched', 'milestones are not the mentors'' alone');

-- New Year, in UTC wherever people live.
delete from public.activities where organization_id = tests.id('m');
select tests.forget();
update public.scenario_rules set thresholds = '{2}';
select tests.act('2024-12-31 23:59:59.999999+00'), tests.act('2024-12-31 12:00+00'), tests.act('2025-01-01 00:00+00');
select is(tests.gates('2024-12-31 23:59:59.999999+00'), '2:2024 would_send', 'the last microsecond of a year is that year''s');
select is(tests.gates('2025-01-01 00:00+00'), '2:2024 would_send, 2:2025 not_matched', 'at New Year the old year is still new, and the new one begins at nothing');
select is(tests.gates('2025-01-07 23:59:59.999999+00'), '2:2024 would_send, 2:2025 not_matched', 'for as long as a crossing may be old');
select is(tests.gates('2025-01-08 00:00+00'), '2:2025 not_matched', 'and then it is over');
select is(tests.decide('2025-01-02'), '{"sent": 1, "not_matched": 1}', 'what was reached in the last microsecond is told');
select tests.act('2025-01-03 00:00+00');
select is(tests.decide('2025-01-04'), '{"sent": 1, "already_celebrated": 1}', 'a new year is a new period');
select is(tests.recorded(), '2:2024 celebrated, 2:2025 celebrated', 'each has its record');

-- All time.
update public.scenario_rules set period = 'all_time', thresholds = '{4,5}';
select is(tests.gates('2025-01-04'), '4:all would_send, 5:all not_matched', 'all time counts across years');
select is((select crossed_at from tests.gate(4, '2025-01-04')), '2025-01-03 00:00+00', 'and has its moment');
select is((select detail -> 'period_start' from tests.gate(4, '2025-01-04')), null, 'and no beginning');

-- Hours are minutes, contacts are people.
delete from public.activities where organization_id = tests.id('m');
select tests.forget();
update public.scenario_rules set period = 'year', metric = 'hours', thresholds = '{2}';
select tests.act('2024-06-01', 'mentor', 60), tests.act('2024-06-02', 'mentor', 59);
select is(tests.gates('2024-06-03'), '2:2024 not_matched', '119 minutes are not two hours');
select is((select (detail ->> 'value')::numeric from tests.gate(2, '2024-06-03')), 1.98, 'but 1.98');
select tests.act('2024-06-03', 'mentor', 1);
select is(tests.gates('2024-06-03'), '2:2024 would_send', '120 are');
select is((select crossed_at from tests.gate(2, '2024-06-03')), '2024-06-03', 'with the last minute');
update public.scenario_rules set metric = 'contacts', thresholds = '{3}';
select tests.act('2024-06-04', 'mentor', 5, 1), tests.act('2024-06-05', 'mentor', 5, 2), tests.act('2024-06-06', 'mentor', 5, 1), tests.act('2024-06-07', 'friend', 5, 3);
select is(tests.gates('2024-06-08'), '3:2024 not_matched', 'the same contact twice is one, and another''s contacts are another''s');
select tests.act('2024-06-08', 'mentor', 5, 3);
select is(tests.gates('2024-06-08'), '3:2024 would_send', 'three different people');
select is((select crossed_at from tests.gate(3, '2024-06-08')), '2024-06-08', 'reached with the third');
insert into public.activity_contacts select organization_id, id, tests.id('contact 3') from public.activities where occurred_at = '2024-06-05';
select is((select crossed_at from tests.gate(3, '2024-06-08')), timestamptz '2024-06-05', 'met earlier after all: reached earlier');

-- The pre-aggregates and the raw rows tell the same.
create function tests.facts() returns text language sql as
$$ select string_agg(format('%s %s %s', t.sessions, t.minutes, t.contacts), ', ') from private.totals_now(tests.id('m'), array[tests.id('m mentor')], 'year', '2024-01-01 00:00+00') t $$;
select is((select count(*) > 0 from private.statistics_marks), true, 'a mark waits');
select is(tests.facts(), '7 140 3', 'so the raw rows are counted');
select public.drain_statistics_marks(1000);
select is((select count(*) from private.statistics_marks), 0::bigint, 'recomputed');
select is(tests.facts(), '7 140 3', 'the pre-aggregates say the same');
select is(tests.gates('2024-06-08'), '3:2024 would_send', 'as does the gate');
select results_eq($$select * from private.totals_now(tests.id('m'), array[tests.id('m mentor')], 'year', '2024-01-01 00:00+00')$$,
  $$select * from private.totals_as_of(tests.id('m'), array[tests.id('m mentor')], 'year', '2024-01-01 00:00+00', now())$$, 'and the facts of this moment');
select is(private.milestone_candidates(tests.id('m'), null, null, private.rules_of(tests.id('m'), null), '2024-06-08'), array[tests.id('m mentor')], 'of everybody one is looked at closely');
update public.activity_statistics set total_activities = 900 where user_id = tests.id('m mentor') and period_type = 'year';
update public.scenario_rules set metric = 'sessions', thresholds = '{900}';
select is(tests.gates('2024-06-08'), '900:2024 would_send', 'without a mark the pre-aggregate is believed');
insert into private.statistics_marks (organization_id, user_id, rings) values (tests.id('m'), tests.id('m mentor'), false);
select is(tests.gates('2024-06-08'), '900:2024 not_matched', 'with one it is not');

-- Switched on: skip, spread.
delete from private.statistics_marks;
update public.activity_statistics set total_activities = 7 where user_id = tests.id('m mentor') and period_type = 'year';
update public.scenario_rules set thresholds = '{3,7}', activation = 'skip', effective_from = '2024-06-08 00:00:00.000001+00';
select is(tests.gates('2024-06-09'), '3:2024 before_effective, 7:2024 before_effective', 'skip: what was reached before it took effect');
select is(tests.decide('2024-06-09'), '{"before_effective": 2}', 'is not told');
select is(tests.recorded(), '3:2024 before_effective, 7:2024 before_effective', 'it is recorded');
select tests.forget();
update public.scenario_rules set effective_from = '2024-06-08';
select is(tests.gates('2024-06-09'), '3:2024 before_effective, 7:2024 would_send', 'what is reached at that very moment is told');
update public.scenario_rules set activation = 'spread', spread_days = 3, effective_from = '2024-06-09';
select is((select g.eligible_again_at >= '2024-06-09' and g.eligible_again_at < '2024-06-12' and date_trunc('hour', g.eligible_again_at) = g.eligible_again_at from tests.gate(7, '2024-06-08 12:00+00') g), true, 'spread: at an hour within the days');
select is(tests.decide((select eligible_again_at - interval '1 microsecond' from tests.gate(7, '2024-06-08 12:00+00'))), '{"before_effective": 2}', 'not a microsecond sooner');
select is(tests.recorded(), 'nothing', 'and nothing is recorded, for it only waits');
select is((select count(*) from private.held_decisions h where h.look_again_at >= '2024-06-09'), 2::bigint, 'to be looked at again');

-- However long ago it may have been: between a day of the year before last and New Year lies a year.
select is((select string_agg(p.label, ' ' order by p.label) from private.milestone_periods('year', 366, '2026-01-01 00:05+00') p), '2024 2025 2026', 'no year is left out');
select is((select string_agg(p.label, ' ' order by p.label) from private.milestone_periods('year', 366, '2025-01-01 23:59+00') p), '2024 2025', 'a leap year has 366 days');
select is((select string_agg(p.label, ' ' order by p.label) from private.milestone_periods('year', 7, '2026-01-08 00:00+00') p), '2026', 'and seven days after New Year the old one is over');

-- The evaluator alone.
select is(public.evaluate_milestone(tests.id('m mentor'), 'sessions', 7, 'year', '2024-06-09'), jsonb_build_object('user_id', tests.id('m mentor'), 'organization_id', tests.id('m'),
  'milestone_type', 'sessions', 'period', 'year', 'period_start', timestamptz '2024-01-01 00:00+00', 'threshold', 7, 'value', 7, 'matched', true, 'gate', 'matched', 'crossed_at', timestamptz '2024-06-08'), 'it says what it compared');
select is(public.evaluate_milestone(tests.id('m mentor'), 'sessions', 7, 'year', '2025-01-02') - '{user_id,organization_id,threshold,milestone_type,period}'::text[],
  jsonb_build_object('period_start', timestamptz '2025-01-01 00:00+00', 'value', 0, 'matched', false, 'gate', 'not_matched', 'crossed_at', null), 'of the year that the clock says');

select * from finish();
rollback;
