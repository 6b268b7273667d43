-- Which names of time zones are taken, and when a local day begins.
begin;
\ir ../helpers.psql
select plan(29);

select ok(private.is_time_zone(name), name || ' is a time zone')
from unnest('{UTC,Europe/Oslo,America/Guayaquil,America/Argentina/Buenos_Aires,America/Port-au-Prince,Etc/GMT,Etc/GMT+12,Etc/GMT-14}'::text[]) name;
-- Abbreviations, POSIX strings, other spellings and leap-second zones are taken by the server and by nobody else.
select is(private.is_time_zone(name), false, quote_literal(name) || ' is none')
from unnest('{"",utc,CET,EST5EDT,XYZ5,+02,Europe/Olso,europe/oslo,"Europe/Oslo ",Etc/GMT+13,Etc/GMT-15,Etc/GMT+99,right/Europe/Oslo,Right/Europe/Oslo,POSIX/Europe/Oslo}'::text[]) name;
select is(private.is_time_zone(null), null, 'null for null');

-- The definition itself, for every day of zones that change their clocks at midnight, and of some that do not.
create temporary view days as
select z.name as zone, d::date as day, private.local_midnight(d::date, z.name) as midnight
from unnest('{America/Santiago,Asia/Beirut,Africa/Cairo,America/Havana,Atlantic/Azores,Europe/Oslo,Australia/Lord_Howe,UTC}'::text[]) as z (name)
cross join generate_series(date '2010-01-01', date '2029-12-31', interval '1 day') d;
select is_empty(
  $$select * from days where private.local_date(midnight, zone) <> day or private.local_date(midnight - interval '1 microsecond', zone) >= day$$,
  'a day begins at the first instant that bears its date');

select is(private.local_midnight('2024-09-08', 'America/Santiago'), '2024-09-08 04:00+00', 'Santiago: the clock jumps from 00:00 to 01:00');
select is(private.local_midnight('2025-11-02', 'America/Havana'), '2025-11-02 04:00+00', 'Havana: of two midnights the earlier');
select is(private.local_date('2026-03-29 22:30+00', 'Europe/Oslo'), '2026-03-30', 'Oslo: summer is two hours ahead');

select tests.populate();
update public.users set time_zone = 'America/Guayaquil' where id = tests.id('a servant');
select is(
  array[private.time_zone_of_user(tests.id('a'), tests.id('a servant')), private.time_zone_of_user(tests.id('a'), tests.id('a mentor')), private.time_zone_of_user(tests.id('b'), tests.id('a mentor'))],
  '{America/Guayaquil,Europe/Oslo,null}', 'a person''s zone is their own, else the organisation''s; nobody''s is null');

select * from finish();
rollback;
