-- When it is quiet for whom, on the days on which the clocks change, too; and that what falls into it is told in the app at
-- once and pushed when it ends.
begin;
\ir ../helpers.psql
select plan(52);

select is(private.release_at(v.now::timestamptz, v.zone, v.quiet_from::time, v.quiet_to::time), v.release_at::timestamptz, v.sentence) from (values
  ('2026-06-10 18:59:59.999999+00', 'Europe/Oslo', '21:00', '08:00', '2026-06-10 18:59:59.999999+00', 'a microsecond before it begins'),
  ('2026-06-10 19:00+00', 'Europe/Oslo', '21:00', '08:00', '2026-06-11 06:00+00', 'its first moment: until eight'),
  ('2026-06-10 22:00+00', 'Europe/Oslo', '21:00', '08:00', '2026-06-11 06:00+00', 'midnight'),
  ('2026-06-11 05:59:59.999999+00', 'Europe/Oslo', '21:00', '08:00', '2026-06-11 06:00+00', 'its last microsecond'),
  ('2026-06-11 06:00+00', 'Europe/Oslo', '21:00', '08:00', '2026-06-11 06:00+00', 'its end'),
  ('2026-06-11 11:00+00', 'Europe/Oslo', '12:00', '13:00', '2026-06-11 11:00+00', 'within a day: after it'),
  ('2026-06-11 10:30+00', 'Europe/Oslo', '12:00', '13:00', '2026-06-11 11:00+00', 'within a day: in it'),
  ('2026-06-11 09:59+00', 'Europe/Oslo', '12:00', '13:00', '2026-06-11 09:59+00', 'within a day: before it'),
  ('2026-06-11 12:00+00', 'Europe/Oslo', '00:00', '06:00', '2026-06-11 12:00+00', 'from midnight: by day'),
  ('2026-06-10 22:00+00', 'Europe/Oslo', '00:00', '06:00', '2026-06-11 04:00+00', 'from midnight: at it'),
  ('2026-06-10 21:00+00', 'Europe/Oslo', '22:00', '00:00', '2026-06-10 22:00+00', 'until midnight'),
  ('2026-06-10 22:00+00', 'Europe/Oslo', '22:00', '00:00', '2026-06-10 22:00+00', 'until midnight: at it'),
  ('2026-06-11 03:00+00', 'Europe/Oslo', null, null, '2026-06-11 03:00+00', 'never'),
  ('2026-06-11 02:00+00', 'America/New_York', '21:00', '08:00', '2026-06-11 12:00+00', 'another zone, another night'),
  ('2026-06-11 02:00+00', 'Asia/Kathmandu', '21:00', '08:00', '2026-06-11 02:15+00', 'zones of a quarter of an hour'),
  -- The clocks go forward in Oslo on 29 March 2026 at 01:00 UTC, and back on 25 October at 01:00 UTC.
  ('2026-03-28 20:00+00', 'Europe/Oslo', '21:00', '08:00', '2026-03-29 06:00+00', 'Oslo, spring: a night of ten hours'),
  ('2026-10-24 19:00+00', 'Europe/Oslo', '21:00', '08:00', '2026-10-25 07:00+00', 'Oslo, autumn: a night of twelve'),
  ('2026-03-29 00:59:59.999999+00', 'Europe/Oslo', '21:00', '02:00', '2026-03-29 01:00+00', 'Oslo, spring: until two, which is three'),
  ('2026-03-29 00:00+00', 'Europe/Oslo', '21:00', '02:30', '2026-03-29 01:00+00', 'Oslo, spring: until half past two, which there is not: until the clock jumps'),
  ('2026-03-29 01:00+00', 'Europe/Oslo', '21:00', '02:30', '2026-03-29 01:00+00', 'Oslo, spring: and once it has jumped it is over'),
  ('2026-03-29 00:30+00', 'Europe/Oslo', '02:30', '06:00', '2026-03-29 00:30+00', 'Oslo, spring: from half past two: before the jump'),
  ('2026-03-29 01:00+00', 'Europe/Oslo', '02:30', '06:00', '2026-03-29 04:00+00', 'Oslo, spring: from half past two: with the jump'),
  ('2026-10-25 00:15+00', 'Europe/Oslo', '21:00', '02:30', '2026-10-25 00:30+00', 'Oslo, autumn: until the first half past two'),
  ('2026-10-25 00:45+00', 'Europe/Oslo', '21:00', '02:30', '2026-10-25 00:45+00', 'Oslo, autumn: after it it is not quiet'),
  ('2026-10-25 01:15+00', 'Europe/Oslo', '21:00', '02:30', '2026-10-25 01:30+00', 'Oslo, autumn: the second time it is a quarter past two it is quiet again, until the second'),
  -- In New York on 8 March 2026 at 07:00 UTC, and on 1 November at 06:00 UTC.
  ('2026-03-08 02:00+00', 'America/New_York', '21:00', '08:00', '2026-03-08 12:00+00', 'New York, spring: a night of ten hours'),
  ('2026-11-01 01:00+00', 'America/New_York', '21:00', '08:00', '2026-11-01 13:00+00', 'New York, autumn: a night of twelve'),
  ('2026-03-08 06:00+00', 'America/New_York', '21:00', '02:30', '2026-03-08 07:00+00', 'New York, spring: an end there is not'),
  ('2026-11-01 05:00+00', 'America/New_York', '21:00', '01:30', '2026-11-01 05:30+00', 'New York, autumn: an end there is twice'),
  ('2026-11-01 06:00+00', 'America/New_York', '21:00', '01:30', '2026-11-01 06:30+00', 'New York, autumn: and the second time'),
  -- Not every clock changes by an hour, or at one: Chatham goes forward at a quarter to three, Troll by two hours, Lord Howe back by half of one.
  ('2026-09-26 13:30+00', 'Pacific/Chatham', '21:00', '02:50', '2026-09-26 14:00+00', 'Chatham, spring: an end there is not'),
  ('2026-09-26 10:00+00', 'Pacific/Chatham', '21:00', '03:00', '2026-09-26 14:00+00', 'Chatham, spring: a full hour there is not'),
  ('2026-03-28 22:00+00', 'Antarctica/Troll', '21:00', '02:30', '2026-03-29 01:00+00', 'Troll, spring: an end there is not'),
  ('2026-10-24 22:00+00', 'Antarctica/Troll', '21:00', '02:30', '2026-10-25 00:30+00', 'Troll, autumn: an end there is twice'),
  ('2026-04-04 14:30+00', 'Australia/Lord_Howe', '21:00', '01:45', '2026-04-04 14:45+00', 'Lord Howe, autumn: an end there is twice')
) as v (now, zone, quiet_from, quiet_to, release_at, sentence);

-- The definition itself, every five minutes or ten of days on which clocks change: the first instant, from then on, at which the clock
-- on the wall shows the next end or has passed it.
create temporary table moments as
select z.name as zone, t.at, t.at at time zone z.name as local
from unnest('{Europe/Oslo,Europe/Dublin,America/New_York,America/Havana,America/Santiago,Africa/Cairo,Atlantic/Azores,Pacific/Auckland,Antarctica/Troll,Australia/Lord_Howe,Pacific/Chatham,UTC}'::text[]) as z (name)
cross join lateral (
  select distinct x.at
  from generate_series(timestamptz '2026-01-02 00:00+00', '2026-12-30', interval '1 day') d
  cross join lateral generate_series(d - interval '1 day', d + interval '3 days', case z.name when 'Pacific/Chatham' then interval '5 minutes' else interval '10 minutes' end) as x (at)
  where z.name = 'UTC' and d = '2026-03-29'
    or (d at time zone z.name) - (d at time zone 'UTC') <> ((d + interval '1 day') at time zone z.name) - ((d + interval '1 day') at time zone 'UTC')) as t;
create index on moments (zone, at);
create temporary table quiet_moments as
select m.zone, q.quiet_from, q.quiet_to, m.at, private.release_at(m.at, m.zone, q.quiet_from, q.quiet_to) as release_at,
  case when q.quiet_from < q.quiet_to then l.at >= q.quiet_from and l.at < q.quiet_to else l.at >= q.quiet_from or l.at < q.quiet_to end as is_quiet,
  m.local::date + q.quiet_to + case when l.at >= q.quiet_to then interval '1 day' else interval '0' end as next_end
from moments m
cross join lateral (select m.local::time as at) as l
cross join (values (time '21:00', time '08:00'), ('21:00', '02:30'), ('02:30', '06:00'), ('22:00', '00:00'), ('00:00', '00:30'), ('23:30', '00:30'), ('01:00', '01:40'), ('01:40', '01:00'), ('22:00', '02:50')) as q (quiet_from, quiet_to);
analyze moments;
select cmp_ok((select count(*) from quiet_moments where is_quiet), '>', 15000::bigint, 'many moments');
select is_empty('select * from quiet_moments where (release_at > at) <> is_quiet limit 3', 'what is quiet is deferred, and nothing else');
select is_empty($$
  select q.*, e.at from quiet_moments q
  cross join lateral (select m.at from moments m where m.zone = q.zone and m.at > q.at and m.at < q.at + interval '27 hours' and m.local >= q.next_end order by m.at limit 1) e
  where q.is_quiet and q.release_at <> e.at limit 3$$, 'until the clock on the wall shows the end, and no longer');

-- What is no quiet is refused.
select is(
  (select string_agg(v::text, ' ' order by o) from unnest(array['{"from": "21:00", "to": "08:00"}', '{"from": "00:00", "to": "23:59"}', '{"from": "21:00", "to": "21:00"}', '{"from": "24:00", "to": "08:00"}', '{"from": "21:60", "to": "08:00"}',
    '{"from": "9:00", "to": "08:00"}', '{"from": "21:00"}', '{}', '{"from": "21:00", "to": "08:00", "on": "Sunday"}', '{"from": 21, "to": 8}', '"21:00"', 'null', '[]']::jsonb[]) with ordinality x (v, o)
   where private.is_setting_valid('quiet_hours', v)),
  '{"to": "08:00", "from": "21:00"} {"to": "23:59", "from": "00:00"}', 'quiet hours have two local times that differ');
select is(
  (select string_agg(v::text, ' ' order by o) from unnest(array['1', '100', '0', '101', '-1', '2.5', '"3"', 'null', '1e2']::jsonb[]) with ordinality x (v, o) where private.is_setting_valid('notification_daily_cap', v)),
  '1 100 100', 'a cap is a whole number from 1 to 100');

-- Deferred, not dropped.
insert into public.organizations (id, name, time_zone) values (tests.id('q'), 'Quiet', 'Europe/Oslo');
insert into public.org_settings_kv values (tests.id('q'), 'quiet_hours', '{"from": "21:00", "to": "08:00"}');
insert into public.users (organization_id, id, full_name, role, joined_at, time_zone) values
  (tests.id('q'), tests.id('q mentor'), 'Mentor', 'peer_mentor', '2024-01-01', null), (tests.id('q'), tests.id('q far'), 'Far', 'peer_mentor', '2024-01-01', 'America/New_York'),
  (tests.id('q'), tests.id('q silent'), 'Silent', 'peer_mentor', '2024-01-01', null);
insert into public.notification_preferences values (tests.id('q'), tests.id('q silent'), 'all', 'push', false);
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('q'), tests.id('q rule'), 'inactivity', 'quiet', true);
select is((select jsonb_object_agg(u.full_name, g.gate) from private.scenario_gates(tests.id('q'), null, null, array[tests.id('q mentor'), tests.id('q far')], private.rules_of(tests.id('q'), null), '2024-06-10 20:00+00', null) g join public.users u on u.id = g.user_id),
  '{"Mentor": "quiet_hours", "Far": "would_send"}', 'night in Oslo is afternoon in New York');
select is(public.evaluate_people(tests.id('q'), array[tests.id('q mentor'), tests.id('q far'), tests.id('q silent')], '2024-06-10 20:00+00') -> 'counts', '{"inactivity": {"quiet_hours": 2, "sent": 1}}', 'decided so');
select results_eq($$select u.full_name, o.state::text, o.release_at, n.release_on from public.notifications n join public.users u on u.id = n.user_id left join private.outbox o on o.notification_id = n.id order by 1$$,
  $$values ('Far', 'pending', timestamptz '2024-06-10 20:00+00', date '2024-06-10'), ('Mentor', 'deferred', '2024-06-11 06:00+00', '2024-06-11'), ('Silent', null, null, '2024-06-11')$$,
  'in the app at once, the push when the night is over; planned for that day');
select is(public.evaluate_people(tests.id('q'), array[tests.id('q mentor')], '2024-06-10 21:00+00') -> 'counts', '{"inactivity": {"cooling_down": 1}}', 'and it is told: the cooldown runs');
select is(public.enqueue_notification(tests.id('q mentor'), 'inactivity', '{}', 'x', 1, '2024-06-10 21:00+00') - 'notification_id', '{"outcome": "quiet_hours", "until": "2024-06-11T21:00:00+00:00"}', 'senders outside are deferred, too');
-- The cap counts by the day of the release.
insert into public.org_settings_kv values (tests.id('q'), 'notification_daily_cap', '2');
select is(public.enqueue_notification(tests.id('q mentor'), 'inactivity', '{}', 'y', 1, '2024-06-10 21:30+00') - 'notification_id', '{"outcome": "capped", "until": "2024-06-11T19:00:00+00:00"}', 'the night belongs to the day on which it ends, which is full: until the next night begins');
select is(public.enqueue_notification(tests.id('q mentor'), 'inactivity', '{}', 'y', 1, '2024-06-11 18:59:59.999999+00') ->> 'outcome', 'capped', 'not a microsecond less');
select is(public.enqueue_notification(tests.id('q mentor'), 'inactivity', '{}', 'z', 1, '2024-06-10 18:30+00') ->> 'outcome', 'sent', 'the evening before it is not');
select is(public.enqueue_notification(tests.id('q mentor'), 'inactivity', '{}', 'y', 1, '2024-06-11 19:00+00') - 'notification_id', '{"outcome": "quiet_hours", "until": "2024-06-12T19:00:00+00:00"}', 'then it is the day after''s');
-- A milestone is celebrated though its push waits.
insert into public.scenario_rules (organization_id, type, name, is_enabled, thresholds) values (tests.id('q'), 'milestone', 'first', true, '{1}');
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) values (tests.id('q'), tests.id('q far'), 'other', '2024-06-11 03:00+00');
select is(public.evaluate_people(tests.id('q'), array[tests.id('q far')], '2024-06-11 03:00+00') #> '{counts,milestone}', '{"quiet_hours": 1}', 'a milestone by night');
select is((select outcome from public.achievements where organization_id = tests.id('q')), 'celebrated', 'is celebrated');
update public.organizations set time_zone = 'UTC' where id = tests.id('q');
delete from public.org_settings_kv where organization_id = tests.id('q') and key = 'quiet_hours';
select is((select count(*) from private.scenario_gates(tests.id('q'), null, null, array[tests.id('q silent')], private.rules_of(tests.id('q'), null), '2024-07-01 03:00+00', null) where gate = 'quiet_hours'), 0::bigint, 'without the setting no hour is quiet');

select * from finish();
rollback;
