-- A run over everybody, chunk by chunk: nobody twice, nobody skipped; and what a dry run says beforehand.
begin;
\ir ../helpers.psql
select plan(37);

-- Seven people in three organisations, one of which is empty; five of them quiet for long.
insert into public.organizations (id, name) select tests.id('r ' || n), 'R' from generate_series(1, 4) n;
insert into public.scenario_rules (organization_id, type, name, is_enabled) select tests.id('r ' || n), 'inactivity', 'quiet', true from generate_series(1, 4) n;
insert into public.users (organization_id, id, full_name, role, joined_at)
select tests.id('r ' || o), tests.id(format('r %s %s', o, p)), 'Somebody', 'peer_mentor', now() - make_interval(days => case when p = 3 then 3 else 300 end)
from (values (1, 3), (2, 3), (4, 1)) v (o, people) cross join lateral generate_series(1, people) p;

create function tests.start(p_now timestamptz default now()) returns bigint language sql as
$$ select (public.start_run('scenario-evaluation', tests.id('holder'), p_now) ->> 'run_id')::bigint $$;
create function tests.run_to_its_end(p_size integer, p_now timestamptz default now()) returns text language plpgsql as $$
declare
  v_run bigint := tests.start(p_now);
  v_chunk jsonb;
begin
  loop
    v_chunk := public.evaluate_chunk(v_run, tests.id('holder'), p_size);
    exit when (v_chunk ->> 'done')::boolean;
    if (v_chunk ->> 'people')::integer <> p_size then
      return 'a chunk of ' || (v_chunk ->> 'people');
    end if;
  end loop;
  return (public.run_report(v_run) - '{run_id,as_of,started_at,finished_at,kind,chunks}'::text[])::text;
end;
$$;

select is(jsonb_array_length(public.dry_run_scenarios(tests.id('r 1'))), 3, 'a dry run has one row a person and rule');
select is((select count(*) from generate_series(1, 4) o, jsonb_array_elements(public.dry_run_scenarios(tests.id('r ' || o))) r where r ->> 'gate' = 'would_send'), 5::bigint, 'five would be told');
select is((select count(*) from public.notifications), 0::bigint, 'and nobody was');

savepoint untouched;
select is(tests.run_to_its_end(1), '{"state": "finished", "counts": {"inactivity": {"sent": 5}}, "people": 7}', 'in chunks of 1 everybody is evaluated, once, and counted if a rule matches them');
select is((select count(*) from public.notifications), 5::bigint, 'five notifications');
select is(tests.run_to_its_end(3), '{"state": "finished", "counts": {"inactivity": {"cooling_down": 5}}, "people": 7}', 'a second run tells nobody again');
select is((select count(*) from public.notifications), 5::bigint, 'still five');
rollback to savepoint untouched;
select is(tests.run_to_its_end(2), '{"state": "finished", "counts": {"inactivity": {"sent": 5}}, "people": 7}', 'in chunks of 2');
rollback to savepoint untouched;
select is(tests.run_to_its_end(3), '{"state": "finished", "counts": {"inactivity": {"sent": 5}}, "people": 7}', 'in chunks of 3, as large as an organisation');
rollback to savepoint untouched;
select is(tests.run_to_its_end(7), '{"state": "finished", "counts": {"inactivity": {"sent": 5}}, "people": 7}', 'in a chunk of exactly everybody');
rollback to savepoint untouched;
select is(tests.run_to_its_end(100000), '{"state": "finished", "counts": {"inactivity": {"sent": 5}}, "people": 7}', 'in one chunk');
rollback to savepoint untouched;
select is(tests.run_to_its_end(2, now() - interval '290 days'), '{"state": "finished", "counts": {}, "people": 7}', 'the clock is the run''s');
rollback to savepoint untouched;

-- Interrupted, and continued by another.
create function tests.open_run() returns bigint language sql as $$ select r.id from private.runs r where r.kind = 'scenario-evaluation' order by r.id desc limit 1 $$;
select tests.start();
select is(public.evaluate_chunk(tests.open_run(), tests.id('holder'), 2) - 'counts', '{"done": false, "more": true, "people": 2}', 'two are done');
select is(public.pause_run(tests.open_run(), tests.id('holder')) ->> 'people', '2', 'the report counts them');
select is(public.start_run('scenario-evaluation', tests.id('another')) ->> 'state', 'resumed', 'another goes on');
select is(public.evaluate_chunk(tests.open_run(), tests.id('another'), 100) - 'counts', '{"done": true, "more": false, "people": 5}', 'with the five that are left');
select is(public.run_report(tests.open_run()) -> 'counts', '{"inactivity": {"sent": 5}}', 'and the report has all');
select is((select last_result - 'run_id' from private.schedules where name = 'scenario-evaluation'),
  '{"people": 7, "chunks": 2, "counts": {"inactivity": {"sent": 5}}}', 'as has the schedule');
select is(tests.error(format('select public.evaluate_chunk(%s, tests.id(''another''))', tests.open_run())), format('PT409 lease_lost {"run_id": %s}', tests.open_run()), 'what is finished takes no chunk');
rollback to savepoint untouched;

-- People who come and go while a run is under way.
select tests.start();
select public.evaluate_chunk((select max(id) from private.runs), tests.id('holder'), 1);
delete from public.users u using private.run_slices s where u.organization_id = s.from_organization_id and u.id = s.from_user_id;
select is((select count(*) from public.users u where u.organization_id in (select tests.id('r ' || n) from generate_series(1, 4) n)), 6::bigint, 'somebody was to be next');
select is((public.evaluate_chunk((select max(id) from private.runs), tests.id('holder'), 100) ->> 'people')::integer, 5, 'the person with whom a slice begins is gone: the next ones are evaluated all the same');
rollback to savepoint untouched;
select tests.start();
select public.evaluate_chunk((select max(id) from private.runs), tests.id('holder'), 1);
delete from public.organizations o using private.run_slices s where o.id = s.from_organization_id;
select is((select count(*) from public.organizations o where o.id in (select tests.id('r ' || n) from generate_series(1, 4) n)), 3::bigint, 'an organisation was to be next');
select is((public.evaluate_chunk((select max(id) from private.runs), tests.id('holder'), 100) ->> 'done')::boolean, true, 'so is an organisation''s end');
rollback to savepoint untouched;

-- Dry runs page by person.
select is((select string_agg(r ->> 'user_id', ' ') from jsonb_array_elements(public.dry_run_scenarios(tests.id('r 1'), now(), null, 2)) r),
  (select string_agg(u.id::text, ' ' order by u.id) from (select u.id from public.users u where u.organization_id = tests.id('r 1') order by u.id limit 2) u), 'a dry run goes by the key');
select is((select jsonb_array_length(public.dry_run_scenarios(tests.id('r 1'), now(), u.id, 2)) from public.users u where u.organization_id = tests.id('r 1') order by u.id offset 1 limit 1), 1, 'the next page has the rest');
select is((select public.dry_run_scenarios(tests.id('r 1'), now(), u.id, 2) from public.users u where u.organization_id = tests.id('r 1') order by u.id desc limit 1), '[]', 'the page after the last is empty');
select is(tests.error('select public.dry_run_scenarios(tests.id(''nowhere''))'), format('PT404 unknown_organization {"organization_id": "%s"}', tests.id('nowhere')), 'an unknown organisation is named');
select is(tests.error('select public.explain_scenarios(tests.id(''r 1''), tests.id(''r 2 1''))'), format('PT404 unknown_user {"user_id": "%s", "organization_id": "%s"}', tests.id('r 2 1'), tests.id('r 1')), 'a person of another organisation is unknown here');
select is(tests.error(format('select public.dry_run_scenarios(tests.id(''r 1''), now(), null, %s)', l)), format('PT400 limit_out_of_range {"limit": %s, "maximum": 10000, "minimum": 1}', l), format('a page of %s is refused', l))
from unnest('{0,10001}'::integer[]) l;
select is(tests.error('select public.dry_run_scenarios(tests.id(''r 1''), now(), null, 10, ''weather'')'), 'PT400 unknown_scenario {"allowed": ["inactivity", "milestone", "certification_expiry"], "scenario": "weather"}', 'an unknown scenario is refused');
select is(public.dry_run_scenarios(tests.id('r 1'), p_scenario => 'milestone'), '[]', 'of a scenario without a rule there is nothing');
-- People who came later have no row in the past; a page of them alone is not the end.
savepoint later;
update public.organizations set created_at = now() - interval '50 days' where id = tests.id('r 1');
update public.users set created_at = now() - interval '40 days' where organization_id = tests.id('r 1');
update public.scenario_rule_versions set valid_from = now() - interval '50 days' where organization_id = tests.id('r 1');
update public.users set created_at = now() where organization_id = tests.id('r 1') and id <> (select max(id::text)::uuid from public.users where organization_id = tests.id('r 1'));
select is((select jsonb_agg(r -> 'user_id') from jsonb_array_elements(public.dry_run_scenarios(tests.id('r 1'), now() - interval '30 days', null, 1)) r), (select jsonb_build_array(max(id::text)) from public.users where organization_id = tests.id('r 1')), 'the first page is that of the first person who was there');
rollback to savepoint later;
select tests.start();
select is(tests.error(format('select public.evaluate_chunk(%s, tests.id(''holder''), %s)', (select max(id) from private.runs), c)),
  format('PT400 chunk_size_out_of_range {"maximum": 100000, "minimum": 1, "chunk_size": %s}', c), format('a chunk of %s is refused', c))
from unnest('{0,100001}'::integer[]) c;
-- The API cuts answers at 1,000 rows; one value is one row.
insert into public.users (organization_id, full_name, role, joined_at) select tests.id('r 3'), 'Somebody', 'peer_mentor', now() - interval '300 days' from generate_series(1, 1500);
select is(jsonb_array_length(public.dry_run_scenarios(tests.id('r 3'), now(), null, 10000)), 1500, 'a dry run of 1,500 people has 1,500 rows');
select is(public.evaluate_people(tests.id('r 3'), (select array_agg(id) from public.users where organization_id = tests.id('r 3'))) #>> '{counts,inactivity,sent}', '1500', 'of whom each is told');

select * from finish();
rollback;
