-- What was decided and no longer holds is taken back before it is pushed.
begin;
\ir ../helpers.psql
select plan(39);
insert into public.organizations (id, name, time_zone) values (tests.id('t'), 'Retraction', 'UTC');
insert into public.org_settings_kv values (tests.id('t'), 'quiet_hours', '{"from": "20:00", "to": "08:00"}');
insert into public.users (organization_id, id, full_name, role, joined_at)
select tests.id('t'), tests.id('t ' || p), p, 'peer_mentor', '2024-05-20 22:00+00' from unnest('{mentor,other}'::text[]) p;
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, max_reminders) values (tests.id('t'), tests.id('t rule'), 'inactivity', 'quiet', true, 3);
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, lead_days, thresholds) values
  (tests.id('t'), tests.id('t expiry'), 'certification_expiry', 'expiry', true, '{30}', '{50}'), (tests.id('t'), tests.id('t milestone'), 'milestone', 'milestone', true, '{30}', '{2}');
update private.rule_clocks set evaluated_until = now();

create function tests.evaluate(p_now timestamptz default '2024-06-10 22:30+00') returns jsonb language sql as
$$ select public.evaluate_people(tests.id('t'), array[tests.id('t mentor'), tests.id('t other')], p_now) -> 'counts' $$;
-- By night: told in the app, pushed in the morning.
create function tests.state() returns text language sql as $$
  select coalesce(string_agg(format('%s %s%s', n.scenario, coalesce(o.state::text, 'in-app'), case when n.retracted_at is not null then ' taken back' end), ', ' order by n.scenario, n.triggered_at), 'nothing')
  from public.notifications n left join private.outbox o on o.notification_id = n.id where n.user_id = tests.id('t mentor')
$$;
create function tests.act(p_at timestamptz) returns void language sql as $$
  insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) values (tests.id('t'), tests.id('t mentor'), 'other', p_at)
$$;
create function tests.anew() returns void language plpgsql as $$
begin
  delete from public.notifications; delete from private.cooldowns; delete from private.held_decisions; delete from public.activities; delete from public.achievements; delete from public.certificates;
  delete from public.notification_preferences;
  update public.users set is_active = true where organization_id = tests.id('t');
  update public.users set reactivated_at = null, away_from = null, away_until = null where organization_id = tests.id('t');
  update public.scenario_rules set is_enabled = true where organization_id = tests.id('t');
  perform tests.evaluate('2024-06-10 22:00+00');
end;
$$;

select tests.anew();
select is(tests.state(), 'inactivity deferred', 'told by night');
select tests.evaluate();
select is(tests.state(), 'inactivity deferred', 'while it holds it stays');
select tests.evaluate('2024-06-10 21:00+00');
select is(tests.state(), 'inactivity deferred', 'an evaluation of an earlier moment takes nothing back');

-- The spell ends.
select tests.act('2024-06-10 22:15+00');
select is(tests.evaluate(), '{"inactivity": {"not_matched": 1, "cooling_down": 1}, "milestone": {"not_matched": 2}, "certification_expiry": {"not_matched": 2}}', 'an activity ends the spell');
select is(tests.state(), 'inactivity retracted taken back', 'nothing is pushed in the morning, and the list forgets it');
select is((select retracted_at from public.notifications where user_id = tests.id('t mentor')), '2024-06-10 22:30+00', 'at the clock of the evaluation');
select is((select o.state::text from private.outbox o where o.user_id = tests.id('t other')), 'deferred', 'another''s stays');
select tests.anew();
select tests.act('2024-06-10 22:15+00');
select private.decide(tests.id('t'), null, null, null, '2024-06-10 22:30+00');
select is(tests.state(), 'inactivity retracted taken back', 'a sweep over everybody does the same');
select tests.anew();
select tests.act('2024-06-10 22:15+00');
select private.decide(tests.id('t'), null, least(tests.id('t mentor'), tests.id('t other')), null, '2024-06-10 22:30+00');
select is(tests.state(), 'inactivity deferred', 'a range without her does not');
select tests.anew();
update public.notifications set read_at = now() where user_id = tests.id('t mentor');
select tests.act('2024-06-10 22:15+00');
select tests.evaluate();
select is(tests.state(), 'inactivity retracted', 'what was read in the app is not pushed, and stays there');
select tests.anew();
update private.outbox set state = 'sent';
select tests.act('2024-06-10 22:15+00');
select tests.evaluate();
select is(tests.state(), 'inactivity sent', 'what was sent was sent');
select tests.anew();
update private.outbox set state = 'claimed', holder = tests.id('holder');
select tests.act('2024-06-10 22:15+00');
select tests.evaluate();
select is(tests.state(), 'inactivity claimed', 'what is on its way is the dispatcher''s');

-- The person, the rule.
select tests.anew();
update public.users set is_active = false where id = tests.id('t mentor');
select tests.evaluate();
select is(tests.state(), 'inactivity retracted taken back', 'who leaves is not pushed');
select tests.anew();
update public.users set away_from = '2024-06-10 22:10+00' where id = tests.id('t mentor');
select tests.evaluate();
select is(tests.state(), 'inactivity retracted taken back', 'nor who goes away');
select tests.anew();
update public.users set joined_at = '2024-05-22' where id = tests.id('t mentor');
select tests.evaluate();
select is(tests.state(), 'inactivity retracted taken back', 'nor who joined later than was thought');
update public.users set joined_at = '2024-05-20 22:00+00' where id = tests.id('t mentor');
select tests.anew();
update public.scenario_rules set is_enabled = false where id = tests.id('t rule');
select public.drain_scenario_marks(1000, '2024-06-10 22:30+00');
select is(tests.state(), 'inactivity retracted taken back', 'a rule that is switched off takes back what it told');
select is((select o.state::text from private.outbox o where o.user_id = tests.id('t other')), 'retracted', 'of everybody');
-- What failed and waits for its next attempt is taken back as what has not been tried.
select tests.anew();
update private.outbox set state = 'failed';
update public.scenario_rules set is_enabled = false where id = tests.id('t rule');
select public.drain_scenario_marks(1000, '2024-06-10 22:30+00');
select is(tests.state(), 'inactivity retracted taken back', 'a push that failed, too, when the rule is switched off');
select tests.anew();
update private.outbox set state = 'failed';
select tests.act('2024-06-10 22:15+00');
select tests.evaluate();
select is(tests.state(), 'inactivity retracted taken back', 'or when the spell ends');
select tests.anew();
update public.scenario_rules set threshold_days = 22 where id = tests.id('t rule');
select public.drain_scenario_marks(1000, '2024-06-10 22:30+00');
select is(tests.state(), 'inactivity retracted taken back', 'as does one that asks for more');
update public.scenario_rules set threshold_days = 21 where id = tests.id('t rule');
select tests.anew();
update public.scenario_rules set name = 'quieter', priority = 7 where id = tests.id('t rule');
select public.drain_scenario_marks(1000, '2024-06-10 22:30+00');
select is(tests.state(), 'inactivity deferred', 'one that still matches does not');
select is((public.delete_rule(tests.id('t'), tests.id('t rule'))) ->> 'name', 'quieter', 'a rule that is deleted');
select public.drain_scenario_marks(1000, '2024-06-10 22:30+00');
select is(tests.state(), 'inactivity retracted taken back', 'takes back what it told');
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('t'), tests.id('t other rule'), 'inactivity', 'quiet', true);

-- What was taken back has been no reminder, and its place in the day is free.
select tests.anew();
update public.scenario_rules set max_reminders = 1, cooldown_days = 1 where id = tests.id('t other rule');
select tests.act('2024-05-20 23:00+00');
update public.notifications set retracted_at = triggered_at;
delete from private.cooldowns;
select is(tests.evaluate('2024-06-11 23:00+00') #> '{inactivity}', '{"quiet_hours": 2}', 'retracted, she may be reminded for the first time');
update public.scenario_rules set max_reminders = 3 where id = tests.id('t other rule');

-- Certificates and milestones.
select tests.anew();
insert into public.certificates (organization_id, id, user_id, name, expires_at) values (tests.id('t'), tests.id('t certificate'), tests.id('t mentor'), 'First aid', '2024-07-01'), (tests.id('t'), tests.id('t renewed'), tests.id('t mentor'), 'First aid', '2026-07-01');
select tests.evaluate();
select is(tests.state(), 'certification_expiry deferred, inactivity deferred', 'about to expire');
update public.certificates set replaced_by = tests.id('t renewed') where id = tests.id('t certificate');
select tests.evaluate('2024-06-10 22:40+00');
select is(tests.state(), 'certification_expiry retracted taken back, inactivity deferred', 'renewed: nothing to remind of');
select tests.anew();
insert into public.certificates (organization_id, id, user_id, name, expires_at) values (tests.id('t'), tests.id('t certificate'), tests.id('t mentor'), 'First aid', '2024-07-01');
select tests.evaluate();
update public.certificates set revoked_at = now() where id = tests.id('t certificate');
select tests.evaluate('2024-06-10 22:40+00');
select is(tests.state(), 'certification_expiry retracted taken back, inactivity deferred', 'revoked: neither');
select tests.anew();
insert into public.certificates (organization_id, id, user_id, name, expires_at) values (tests.id('t'), tests.id('t certificate'), tests.id('t mentor'), 'First aid', '2024-06-10 23:00+00');
select tests.evaluate();
select tests.evaluate('2024-06-10 23:00+00');
select is(tests.state(), 'certification_expiry retracted taken back, inactivity deferred', 'expired before the morning: too late');
select tests.anew();
select tests.act('2024-06-10 22:10+00'), tests.act('2024-06-10 22:11+00');
select tests.evaluate();
select is(tests.state(), 'inactivity retracted taken back, milestone deferred', 'a milestone');
delete from public.activities where occurred_at = '2024-06-10 22:11+00';
select tests.evaluate('2024-06-10 22:40+00');
select is(tests.state(), 'inactivity retracted taken back, milestone retracted taken back', 'that was none after all');
select tests.anew();
select tests.act('2024-12-31 21:00+00'), tests.act('2024-12-31 21:30+00');
select tests.evaluate('2024-12-31 22:00+00'), tests.evaluate('2025-01-10 22:00+00');
select is(tests.state(), 'inactivity retracted taken back, milestone deferred', 'one of the old year stays when nobody looks at that year any more');
update public.scenario_rules set is_enabled = false where id = tests.id('t milestone');
select tests.evaluate('2025-01-10 22:00+00');
select is(tests.state(), 'inactivity retracted taken back, milestone retracted taken back', 'unless its rule is switched off');

-- What senders outside decided is theirs, and of who is in quarantine nobody knows what holds.
select tests.anew();
select public.enqueue_notification(tests.id('t mentor'), 'milestone', '{"period_start": "is none of our dates"}', 'outside', 1, '2024-06-10 22:00+00') ->> 'outcome';
select tests.evaluate();
select is(tests.state(), 'inactivity deferred, milestone deferred', 'what was sent from outside is not judged');
select tests.anew();
insert into private.quarantine (organization_id, user_id, reason, message) values (tests.id('t'), tests.id('t mentor'), 'P0001', 'm');
select tests.evaluate();
select is(tests.state(), 'inactivity deferred', 'in quarantine nothing is taken back');
select private.decide(tests.id('t'), null, null, null, '2024-06-10 22:30+00');
select is(tests.state(), 'inactivity deferred', 'by a sweep neither');
delete from private.quarantine;
-- Capped or opted out in the meantime, or enough reminded: that speaks against telling again, not against what was told.
update public.scenario_rules set max_reminders = 1 where id = tests.id('t other rule');
select is(tests.evaluate() #>> '{inactivity,enough_reminders}', '2', 'reminded enough');
select is(tests.state(), 'inactivity deferred', 'what was told still stands');
-- The preference says so itself.
insert into public.notification_preferences values (tests.id('t'), tests.id('t mentor'), 'inactivity', 'all', false);
select is(tests.state(), 'inactivity retracted taken back', 'opting out takes back without any evaluation');
-- A mandatory rule's stays.
select tests.anew();
update public.scenario_rules set is_mandatory = true, max_reminders = 3 where id = tests.id('t other rule');
delete from public.notifications; delete from private.cooldowns;
insert into public.notification_preferences values (tests.id('t'), tests.id('t mentor'), 'all', 'push', false);
select tests.evaluate();
insert into public.notification_preferences values (tests.id('t'), tests.id('t mentor'), 'all', 'all', false);
select is(tests.state(), 'inactivity deferred', 'what is mandatory is told, pushed, and not taken back');

select * from finish();
rollback;
