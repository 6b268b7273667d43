-- The incremental tick marks whoever has become due since the last one, by each rule's clock; and what a full evaluation told
-- without a mark is what the ticks missed.
begin;
\ir ../helpers.psql
select plan(60);
insert into public.organizations (id, name, time_zone) values (tests.id('u'), 'Ticks', 'UTC'), (tests.id('v'), 'Idle', 'UTC');
insert into public.users (organization_id, id, full_name, role, joined_at)
select tests.id('u'), tests.id('u ' || p), p, case p when 'kari' then 'coordinator' else 'peer_mentor' end::public.user_role, '2023-01-01' from unnest('{anna,berit,kari}'::text[]) p;
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('u'), tests.id('u quiet'), 'inactivity', 'quiet', true);

create function tests.marked() returns text language sql as $$
  with gone as (delete from private.scenario_marks returning user_id)
  select coalesce((select string_agg(distinct u.full_name, ' ' order by u.full_name) from gone join public.users u on u.id = gone.user_id), 'nobody')
$$;
create function tests.tick(p_now timestamptz) returns text language plpgsql as $$
begin
  perform tests.marked(), private.tick_scenarios(p_now);
  return tests.marked();
end;
$$;
create function tests.at(p_rule text default 'quiet') returns timestamptz language sql as $$ select c.evaluated_until from private.rule_clocks c where c.rule_id = tests.id('u ' || p_rule) $$;
create function tests.clock(p_at timestamptz) returns void language sql as $$ update private.rule_clocks set evaluated_until = p_at $$;
create function tests.act(p_person text, p_at timestamptz) returns void language plpgsql as $$
begin
  insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) values (tests.id('u'), tests.id('u ' || p_person), 'other', p_at);
  perform public.drain_statistics_marks(1000);
end;
$$;

-- A rule that is new.
select is(tests.at(), '-infinity', 'a new rule has never been looked at');
select is(tests.tick('2024-01-01'), 'anna berit kari', 'so everybody who was quiet for long is due');
select is(tests.at(), '2024-01-01', 'and its clock goes on');
select is(tests.tick('2024-01-02'), 'nobody', 'and then nobody, unless something happens');
select is(private.tick_scenarios('2024-01-02'), '{"people": 0, "organizations": 0}', 'a tick of the same moment has nothing to do');
select is(tests.at(), '2024-01-02', 'which it leaves');
select is(private.tick_scenarios('2024-01-01 12:00+00'), '{"people": 0, "organizations": 0}', 'as does one of an earlier moment');
select is(tests.at(), '2024-01-02', 'a clock never goes back');

-- Inactivity: each date that an anchor can be, at its exact moment.
select tests.act('anna', '2024-01-10 10:00+00');
select is(tests.tick('2024-01-31 09:59:59.999999+00'), 'nobody', 'a microsecond before three weeks after an activity');
select is(tests.tick('2024-01-31 10:00+00'), 'anna', 'three weeks after');
select is(tests.tick('2024-01-31 10:00:00.000001+00'), 'nobody', 'once');
select tests.act('anna', '2024-02-01 10:00+00');
select is(tests.tick('2024-02-21'), 'nobody', 'not of the activity before last');
select is(tests.tick('2024-03-01'), 'anna', 'a tick that comes late finds everybody since the last');
update public.users set joined_at = '2024-03-01 12:00+00' where id = tests.id('u berit');
select is(tests.tick('2024-03-22 11:59:59.999999+00'), 'nobody', 'before three weeks after joining');
select is(tests.tick('2024-03-22 12:00+00'), 'berit', 'three weeks after joining');
update public.users set reactivated_at = '2024-03-23' where id = tests.id('u berit');
select is(tests.tick('2024-04-13'), 'berit', 'after becoming active again');
update public.users set away_from = '2024-04-01', away_until = '2024-04-20' where id = tests.id('u berit');
update public.users set away_from = '2024-04-15' where id = tests.id('u berit');
select is(tests.tick('2024-04-14 23:59:59.999999+00'), 'nobody', 'before an absence');
select is(tests.tick('2024-04-15'), 'berit', 'its beginning takes back what waits');
select is(tests.tick('2024-04-19 23:59:59.999999+00'), 'nobody', 'nobody while away');
select is(tests.tick('2024-04-20'), 'berit', 'the end of an absence, which every scenario waits for');
select is(tests.tick('2024-05-10 23:59:59.999999+00'), 'nobody', 'before three weeks after an absence');
select is(tests.tick('2024-05-11'), 'berit', 'three weeks after');
-- What the pre-aggregates do not know yet.
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) values (tests.id('u'), tests.id('u anna'), 'other', '2024-05-01');
select is(tests.tick('2024-05-21 23:59:59.999999+00'), 'nobody', 'an activity that waits to be counted: not yet');
select is(tests.tick('2024-05-22'), 'anna', 'is counted all the same');
select public.drain_statistics_marks(1000);
-- A reminder.
insert into private.cooldowns values (tests.id('u'), tests.id('u anna'), 'inactivity', tests.id('u quiet')::text, '2024-05-12', 14);
select is(tests.tick('2024-05-25 23:59:59.999999+00'), 'nobody', 'before a cooldown ends');
select is(tests.tick('2024-05-26'), 'anna', 'when it ends');
delete from private.cooldowns;
insert into private.cooldowns values (tests.id('u'), tests.id('u anna'), 'inactivity', 'something else', '2024-05-12', 14), (tests.id('u'), tests.id('u berit'), 'inactivity', tests.id('u quiet')::text, '2024-05-13', null);
select is(tests.tick('2024-06-30'), 'nobody', 'not another subject''s, nor what is told once and for all');
-- Gates that end by themselves.
insert into private.held_decisions (organization_id, user_id, subject, scenario, rule_id, rule_version, gate, decided_at, look_again_at) values
  (tests.id('u'), tests.id('u kari'), 'x', 'inactivity', tests.id('u quiet'), 1, 'capped', '2024-07-01', '2024-07-02'), (tests.id('u'), tests.id('u anna'), 'x', 'inactivity', tests.id('u quiet'), 1, 'opted_out', '2024-07-01', null);
select is(tests.tick('2024-07-01 23:59:59.999999+00'), 'nobody', 'before a gate ends');
select is(tests.tick('2024-07-02'), 'kari', 'when it ends');
select is(tests.tick('2024-07-03'), 'nobody', 'once');
select is((select count(*) from private.held_decisions where look_again_at is not null), 0::bigint, 'it is not to be looked at again');

-- Certificates: each lead, from the moment of it; a milestone only where a rule is new.
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, lead_days) values (tests.id('u'), tests.id('u expiry'), 'certification_expiry', 'expiry', true, '{30,7}');
insert into public.certificates (organization_id, id, user_id, name, expires_at) values
  (tests.id('u'), tests.id('u first aid'), tests.id('u kari'), 'First aid', '2024-08-30'), (tests.id('u'), tests.id('u expired'), tests.id('u anna'), 'Expired', '2024-07-01'), (tests.id('u'), tests.id('u revoked'), tests.id('u berit'), 'Revoked', '2024-08-30');
update public.certificates set revoked_at = '2024-01-01' where name = 'Revoked';
select is(tests.tick('2024-07-04'), 'nobody', 'a new rule of certificates: what has expired is nobody''s');
select is(tests.tick('2024-07-30 23:59:59.999999+00'), 'nobody', 'before the first lead');
select is(tests.tick('2024-07-31'), 'kari', 'thirty days before');
select is(tests.tick('2024-08-22 23:59:59.999999+00'), 'nobody', 'before the second');
select is(tests.tick('2024-08-23'), 'kari', 'seven days before');
select tests.clock('2024-07-20');
select is(tests.tick('2024-08-30'), 'kari', 'a tick that comes after the end only takes back what waits');
select is(tests.tick('2024-08-31'), 'nobody', 'once');
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, thresholds, period) values (tests.id('u'), tests.id('u sessions'), 'milestone', 'sessions', true, '{2}', 'all_time');
select is(tests.tick('2024-09-01'), 'anna', 'a new rule of milestones: who has reached them');
select is(tests.tick('2024-09-02'), 'nobody', 'later only activities reach them, which mark');
select is(array(select distinct c.evaluated_until from private.rule_clocks c), '{2024-09-02 00:00+00}'::timestamptz[], 'every rule has its clock');

-- Rules that are off, changed, deleted.
update public.scenario_rules set is_enabled = false;
select is(tests.at(), '-infinity', 'a rule that is changed begins anew');
select is(tests.tick('2024-09-03'), 'nobody', 'switched off it concerns nobody');
select is(tests.at(), '2024-09-03', 'and its clock goes on');
select tests.clock('2024-09-03');
update public.scenario_rules set is_enabled = true where type = 'inactivity';
select is(tests.marked(), 'nobody', 'the change itself marks nobody');
select is(private.tick_scenarios('2024-09-04', true), '{"people": 3, "organizations": 1}', 'a tick of changed rules alone takes it up');
select is(tests.marked(), 'anna berit kari', 'with everybody who may be concerned');
insert into private.held_decisions (organization_id, user_id, subject, scenario, rule_id, rule_version, gate, decided_at, look_again_at) values (tests.id('u'), tests.id('u kari'), 'y', 'inactivity', tests.id('u quiet'), 1, 'capped', '2024-09-01', '2024-09-05');
select is(private.tick_scenarios('2024-09-06', true), '{"people": 0, "organizations": 0}', 'and leaves alone what has not changed');
select is(tests.at(), '2024-09-04', 'whose clock it does not move');
select is(tests.tick('2024-09-06'), 'kari', 'that is for the tick of all');
select is((select count(*) from private.rule_clocks where organization_id = tests.id('v')), 0::bigint, 'an organisation without rules has no clock');
delete from public.scenario_rules;
select is((select count(*) from private.rule_clocks), 0::bigint, 'a deleted rule''s is gone');

-- Draining takes up changed rules first.
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('u'), tests.id('u again'), 'inactivity', 'again', true);
delete from private.held_decisions; delete from private.cooldowns;
select is(public.drain_scenario_marks(100, '2024-09-10') -> 'counts', '{"inactivity": {"sent": 2, "not_matched": 1}}', 'a drain evaluates those a new rule concerns');
select is(tests.at('again'), '2024-09-10', 'and its clock goes on');

-- A full evaluation, and what the ticks had missed. Told on the tenth, anna and berit are to be reminded on the 24th.
create function tests.sweep(p_now timestamptz) returns jsonb language plpgsql as $$
declare
  v_run bigint := (public.start_run('scenario-evaluation', tests.id('h'), p_now) ->> 'run_id')::bigint;
begin
  perform public.evaluate_chunk(v_run, tests.id('h'), 1000);
  return public.run_report(v_run) -> 'counts';
end;
$$;
select tests.marked();
select is(tests.sweep('2024-09-24'), '{"inactivity": {"sent": 2}}', 'who is due is marked first: nothing was missed');
select is((select count(*) from private.sweep_findings), 0::bigint, 'nothing is found');
select tests.marked();
select tests.clock('2024-10-08');
select is(tests.sweep('2024-10-08'), '{"inactivity": {"sent": 2, "missed_by_ticks": 2}}', 'a clock that went on without them: they are told, and the ticks are said to have missed them');
select results_eq($$select u.full_name, f.scenario, f.subject, f.crossed_at from private.sweep_findings f join public.users u on u.id = f.user_id order by 1$$,
  $$values ('anna', 'inactivity', tests.id('u again')::text, timestamptz '2024-05-22'), ('berit', 'inactivity', tests.id('u again')::text, timestamptz '2024-05-11')$$, 'whom, and what about');
select is((select last_result -> 'counts' from private.schedules where name = 'scenario-evaluation'), '{"inactivity": {"sent": 2, "missed_by_ticks": 2}}', 'the ledger says so');
-- The job of every minute.
select private.run_scenario_tick();
select results_eq($$select last_succeeded_at is not null, last_result ? 'people' from private.schedules where name = 'scenario-tick'$$, $$values (true, true)$$, 'the job leaves what it did');

select * from finish();
rollback;
