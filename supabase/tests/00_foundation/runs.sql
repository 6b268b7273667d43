-- The run ledger: who holds a run, for how long, and what a second caller gets. Also the answers kept for webhooks.
begin;
\ir ../helpers.psql
select plan(27);

create function tests.start(p_holder text, p_now timestamptz default now()) returns jsonb language sql as
$$ select public.start_run('trial', tests.id(p_holder), p_now) $$;
create function tests.state(p_holder text) returns text language sql as $$ select tests.start(p_holder) ->> 'state' $$;
create function tests.run() returns private.runs language sql as
$$ select r from private.runs r where r.kind = 'trial' order by r.id desc limit 1 $$;
insert into private.schedules (name, description, expected_interval) values ('trial', 'Trial.', '1 hour');

select is(tests.start('one') - 'run_id' - 'lease_until', jsonb_build_object('state', 'started', 'as_of', now(), 'held_by', tests.id('one')), 'a run starts');
select ok((select (tests.run()).lease_until between clock_timestamp() + interval '55 seconds' and clock_timestamp() + interval '60 seconds'), 'with a lease of a minute');
select ok((select last_started_at is not null from private.schedules where name = 'trial'), 'its schedule knows');
select is(tests.state('two'), 'busy', 'a second caller gets busy');
select is((tests.start('two') ->> 'held_by')::uuid, tests.id('one'), 'and who holds it');
select is(tests.state('one'), 'resumed', 'the holder may ask again, after a lost answer');
select is((select count(*) from private.runs where kind = 'trial'), 1::bigint, 'which makes no second run');

update private.runs set lease_until = clock_timestamp() where kind = 'trial';
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

select is(tests.error('select public.run_report(0)'), 'PT404 unknown_run {"run_id": 0}', 'an unknown run is named');
select is(tests.error(format('select public.start_run(''trial'', tests.id(''h''), now(), %s)', s)),
  format('PT400 lease_seconds_out_of_range {"maximum": 3600, "minimum": 1, "lease_seconds": %s}', s), format('a lease of %s seconds is refused', s))
from unnest('{0,3601}'::integer[]) s;

select is(public.find_webhook_delivery('msg_1'), null, 'a delivery nobody answered has no answer');
select is(public.record_webhook_delivery('msg_1', '{"n": 1}'), '{"n": 1}', 'the first answer counts');
select is(array[public.record_webhook_delivery('msg_1', '{"n": 2}'), public.find_webhook_delivery('msg_1')], array['{"n": 1}', '{"n": 1}']::jsonb[], 'the second does not');

select * from finish();
rollback;
