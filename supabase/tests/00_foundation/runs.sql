-- The run ledger: who holds what of a run, for how long, and what a second caller gets. Also the answers kept for webhooks.
begin;
\ir ../helpers.psql
select plan(55);

create function tests.start(p_holder text, p_now timestamptz default now()) returns jsonb language sql as
$$ select public.start_run('trial', tests.id(p_holder), p_now) $$;
create function tests.state(p_holder text) returns text language sql as $$ select tests.start(p_holder) ->> 'state' $$;
create function tests.run() returns private.runs language sql as
$$ select r from private.runs r where r.kind = 'trial' order by r.id desc limit 1 $$;
create function tests.slice(p_holder text) returns private.run_slices language sql as
$$ select s from private.run_slices s where s.run_id = (tests.run()).id and s.holder = tests.id(p_holder) $$;
insert into private.schedules (name, description, expected_interval) values ('trial', 'Trial.', '1 hour');

select is(tests.start('one') - 'run_id' - 'lease_until', jsonb_build_object('state', 'started', 'as_of', now(), 'held_by', tests.id('one')), 'a run starts');
select ok((select (tests.slice('one')).lease_until between clock_timestamp() + interval '55 seconds' and clock_timestamp() + interval '60 seconds'), 'with a lease of a minute');
select ok((select last_started_at is not null from private.schedules where name = 'trial'), 'its schedule knows');
select is(tests.state('two'), 'busy', 'a second caller gets busy');
select is((tests.start('two') ->> 'held_by')::uuid, tests.id('one'), 'and who holds it');
select is(tests.state('one'), 'resumed', 'the holder may ask again, after a lost answer');
select is((select count(*) from private.runs where kind = 'trial'), 1::bigint, 'which makes no second run');

update private.run_slices set lease_until = clock_timestamp() - interval '1 microsecond';
select is(tests.start('two', now() + interval '1 hour') - 'run_id' - 'lease_until', jsonb_build_object('state', 'resumed', 'as_of', now() + interval '1 hour', 'held_by', tests.id('two')),
  'when the lease has ended another goes on, with its own clock');
select is(tests.state('one'), 'busy', 'and the first is busy now');
select is(tests.error(format('select public.evaluate_chunk(%s, tests.id(''one''))', (tests.run()).id)), format('PT409 lease_lost {"run_id": %s}', (tests.run()).id), 'its next chunk has lost the lease');

select is(public.pause_run((tests.run()).id, tests.id('one')) ->> 'state', 'running', 'nobody but the holder pauses');
select is(public.pause_run((tests.run()).id, tests.id('two')) ->> 'state', 'in_progress', 'the holder gives the lease back');
select is(public.pause_run((tests.run()).id, tests.id('two')) ->> 'state', 'in_progress', 'twice is the same');
select is(tests.error(format('select public.evaluate_chunk(%s, tests.id(''two''))', (tests.run()).id)), format('PT409 lease_lost {"run_id": %s}', (tests.run()).id), 'a paused run takes no chunk');
select is(tests.state('three'), 'resumed', 'the next caller goes on at once');

select is(public.evaluate_chunk((tests.run()).id, tests.id('three')) -> 'done', 'true', 'a run over nobody is done with its first chunk');
select is((tests.run()).state, 'finished', 'it is finished');
select ok((tests.run()).finished_at is not null, 'and says when');
select is((select last_result from private.schedules where name = 'trial'),
  jsonb_build_object('run_id', (tests.run()).id, 'people', 0, 'chunks', 1, 'counts', '{}'::jsonb), 'its schedule has the result');
select is(public.pause_run((tests.run()).id, tests.id('three')) ->> 'state', 'finished', 'what is finished is not paused');
select is(tests.state('four'), 'started', 'the next run is a new one');

-- Several holders at once, on ranges of the keys. Ten people: o1 has four, o2 none, o3 one, o4 five.
insert into public.organizations (id, name) select ('00000000-0000-0000-0000-00000000000' || o)::uuid, 'O' from generate_series(1, 4) o;
insert into public.users (organization_id, id, full_name, role)
select ('00000000-0000-0000-0000-00000000000' || o)::uuid, ('00000000-0000-0000-0000-0000000000' || o || p)::uuid, 'P', 'servant'
from (values (1, 4), (3, 1), (4, 5)) v (o, people) cross join lateral generate_series(1, people) p;
create function tests.short(p_id uuid) returns text language sql as $$ select coalesce(ltrim(replace(p_id::text, '-', ''), '0'), '…') $$;
create function tests.join(p_holder text, p_size integer) returns text language sql as
$$ select public.start_run('shared', tests.id(p_holder), null, 60, p_size) ->> 'state' $$;
create function tests.shared() returns bigint language sql as $$ select max(r.id) from private.runs r where r.kind = 'shared' $$;
create function tests.slices() returns text language sql as $$
  select string_agg(format('%s[%s %s,%s %s)', case when s.holder is null then '' when s.lease_until < clock_timestamp() then 'dead' else
      (select n from unnest('{a,b,c,d}'::text[]) n where tests.id(n) = s.holder) end,
    tests.short(s.from_organization_id), tests.short(s.from_user_id), tests.short(s.to_organization_id), tests.short(s.to_user_id)), ' ' order by s.from_organization_id, s.from_user_id)
  from private.run_slices s where s.run_id = tests.shared() $$;
-- A chunk of one's own: whom it covers, and what the ledger answers.
create function tests.chunk(p_holder text, p_size integer) returns text language plpgsql as $$
declare
  v_part record;
  v_people integer := 0;
  v_covered text := '';
begin
  for v_part in select t.* from private.take_chunk(tests.shared(), tests.id(p_holder), p_size) t loop
    v_people := v_people + v_part.people;
    v_covered := v_covered || format('%s:%s ', tests.short(v_part.organization_id), (select string_agg(tests.short(u.id), ',' order by u.id) from public.users u
      where u.organization_id = v_part.organization_id and (v_part.from_user is null or u.id >= v_part.from_user) and (v_part.to_user is null or u.id < v_part.to_user)));
  end loop;
  return v_covered || (private.finish_chunk(tests.shared(), tests.id(p_holder), p_size, v_people, '{}', 60) - 'counts')::text;
end;
$$;
create function tests.dies(p_holder text) returns void language sql as
$$ update private.run_slices set lease_until = clock_timestamp() - interval '1 microsecond' where holder = tests.id(p_holder) $$;
insert into private.schedules (name, description) values ('shared', 'Shared.');

select is(tests.join('a', 3), 'started', 'a run is begun with as many people as were asked for');
select is(tests.slices(), 'a[ ,1 14) [1 14,… …)', 'the rest is nobody''s');
select is(array[tests.join('b', 2), tests.join('c', 100)], array['resumed', 'resumed'], 'others join');
select is(tests.slices(), 'a[ ,1 14) b[1 14,4 41) c[4 41,… …)', 'over organisations with one person and with none');
select is(tests.join('d', 1), 'busy', 'until nothing is left to take');
select is(tests.chunk('b', 2), '1:14 3:31 {"done": false, "more": false, "people": 2}', 'who finds nothing more to take hears so');
select is(tests.error('select tests.chunk(''b'', 2)'), format('PT409 lease_lost {"run_id": %s}', tests.shared()), 'and has nothing in hand');
select is(tests.chunk('c', 2), '4:41,42 {"done": false, "more": true, "people": 2}', 'a chunk smaller than what is in hand does its beginning');
select is(tests.slices(), 'a[ ,1 14) c[4 43,… …)', 'and keeps the rest in hand');
select tests.dies('c');
select is(tests.join('d', 2), 'resumed', 'a lease that is over can be taken');
select is(tests.slices(), 'a[ ,1 14) d[4 43,4 45) [4 45,… …)', 'in parts');
select is(tests.error('select tests.chunk(''c'', 2)'), format('PT409 lease_lost {"run_id": %s}', tests.shared()), 'whose lease it was does no more');
select is(public.pause_run(tests.shared(), tests.id('d')) ->> 'state', 'running', 'a run that one holder gives back and another works on is running');
select is(tests.slices(), 'a[ ,1 14) [4 43,4 45) [4 45,… …)', 'what was given back is nobody''s');
select is(tests.chunk('a', 3), '1:11,12,13 {"done": false, "more": true, "people": 3}', 'a chunk takes the next');
select is(tests.slices(), 'a[4 43,4 45) [4 45,… …)', 'which is what comes first in key order');
select is(public.pause_run(tests.shared(), tests.id('a')) ->> 'state', 'in_progress', 'given back by all it is in progress');
select is(tests.join('b', 3), 'resumed', 'the next goes on');
select tests.dies('b');
select is(tests.chunk('b', 3), '4:43,44 {"done": false, "more": true, "people": 2}', 'who is late, but was not followed, goes on too');
select is((select s.last_succeeded_at from private.schedules s where s.name = 'shared'), null, 'what is not finished has not succeeded');
select is(tests.chunk('b', 3), '4:45 {"done": true, "more": false, "people": 1}', 'who leaves nothing behind finishes the run');
select is((select s.last_result - 'run_id' from private.schedules s where s.name = 'shared'), '{"people": 10, "chunks": 5, "counts": {}}', 'and reports it');

-- The clock: those who work at once have the same.
select is((public.start_run('clock', tests.id('a'), null, 60, 1) ->> 'as_of')::timestamptz, now(), 'without a clock it is the database''s');
select is(public.start_run('clock', tests.id('b'), now() + interval '1 day', 60, 1) - 'run_id' - 'lease_until', jsonb_build_object('state', 'busy', 'as_of', now(), 'held_by', tests.id('a')),
  'another clock waits while somebody works by this one');
select public.pause_run(max(r.id), tests.id('a')) from private.runs r;
select is((public.start_run('clock', tests.id('b'), now() + interval '1 day', 60, 1) ->> 'as_of')::timestamptz, now() + interval '1 day', 'and rules when nobody does');
select is((public.start_run('clock', tests.id('c'), null, 60, 1) ->> 'as_of')::timestamptz, now() + interval '1 day', 'a clock that was given stays for who joins without one');

select is(tests.error('select public.run_report(0)'), 'PT404 unknown_run {"run_id": 0}', 'an unknown run is named');
select is(tests.error(format('select public.start_run(''trial'', tests.id(''h''), now(), %s)', s)),
  format('PT400 lease_seconds_out_of_range {"maximum": 3600, "minimum": 1, "lease_seconds": %s}', s), format('a lease of %s seconds is refused', s))
from unnest('{0,3601}'::integer[]) s;

select is(public.find_webhook_delivery('msg_1'), null, 'a delivery nobody answered has no answer');
select is(public.record_webhook_delivery('msg_1', '{"n": 1}'), '{"n": 1}', 'the first answer counts');
select is(array[public.record_webhook_delivery('msg_1', '{"n": 2}'), public.find_webhook_delivery('msg_1')], array['{"n": 1}', '{"n": 1}']::jsonb[], 'the second does not');
select is(public.find_webhook_delivery('msg_1', 'f'), null, 'another function has not answered it');
select is(public.record_webhook_delivery('msg_1', '{"n": 3}', 'f'), '{"n": 3}', 'and does so by itself');

select * from finish();
rollback;
