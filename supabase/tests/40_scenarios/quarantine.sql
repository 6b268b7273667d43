-- One person whose evaluation fails stops nobody else, and is kept with the reason until somebody tries again.
begin;
\ir ../helpers.psql
select plan(36);
insert into public.organizations (id, name) values (tests.id('x'), 'Quarantine'), (tests.id('y'), 'Other');
insert into public.users (organization_id, id, full_name, role, joined_at) select tests.id('x'), tests.id('x ' || n), 'Person ' || n, 'peer_mentor', '2024-01-01' from generate_series(1, 9) n;
insert into public.users (organization_id, id, full_name, role, joined_at) values (tests.id('y'), tests.id('y 1'), 'Stranger', 'peer_mentor', '2024-01-01');
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) select tests.id(o), tests.id(o || ' rule'), 'inactivity', 'quiet', true from unnest('{x,y}'::text[]) o;
update private.rule_clocks set evaluated_until = now();
delete from private.scenario_marks;
-- Rows nobody can write about: of the people in tests.bad.
create table tests.bad (user_id uuid primary key, errcode text not null default 'P0001');
create function tests.refuse() returns trigger language plpgsql as $$
begin
  if exists (select from tests.bad b where b.user_id = new.user_id) then
    raise exception using errcode = (select b.errcode from tests.bad b where b.user_id = new.user_id), message = 'a bad row';
  end if;
  return new;
end;
$$;
create trigger refuse before insert on public.notifications for each row execute function tests.refuse();
create function tests.everybody() returns uuid[] language sql as $$ select array_agg(u.id order by u.id desc) from public.users u where u.organization_id = tests.id('x') $$;
create function tests.evaluate() returns jsonb language sql as $$ select public.evaluate_people(tests.id('x'), tests.everybody(), '2024-02-01') -> 'counts' $$;

insert into tests.bad values (tests.id('x 4'));
select is(tests.evaluate(), '{"inactivity": {"sent": 8}, "quarantined": {"P0001": 1}}', 'everybody else is told');
select is((select count(*) from public.notifications), 8::bigint, 'once');
select is((select count(*) from private.cooldowns where user_id = tests.id('x 4')), 0::bigint, 'of who failed nothing is written');
select results_eq('select user_id, reason, message, since from private.quarantine', $$select tests.id('x 4'), 'P0001', 'a bad row', now()$$, 'but why');
select is(public.list_quarantine(tests.id('x')), jsonb_build_array(jsonb_build_object('user_id', tests.id('x 4'), 'full_name', 'Person 4', 'reason', 'P0001', 'message', 'a bad row', 'since', now())), 'the list names them');
select is(public.list_quarantine(tests.id('y')), '[]', 'to their own organisation alone');
select is(public.explain_scenarios(tests.id('x'), tests.id('x 4')) -> 'quarantine', jsonb_build_object('reason', 'P0001', 'message', 'a bad row', 'since', now()), 'an explanation says so');
select is(public.explain_scenarios(tests.id('x'), tests.id('x 5')) -> 'quarantine', 'null', 'of nobody else');
select is(public.explain_scenarios(tests.id('x'), tests.id('x 4')) #> '{answers,0}' @> '{"gate": "quarantined", "eligible_again_at": null, "release_at": null}', true, 'and answers that they are left out, until when nobody knows');
select is((select jsonb_object_agg(r ->> 'user_id', r ->> 'gate') from jsonb_array_elements(public.dry_run_scenarios(tests.id('x'))) r where r ->> 'gate' = 'quarantined'), jsonb_build_object(tests.id('x 4'), 'quarantined'), 'a dry run, too');
select is(tests.evaluate(), '{"inactivity": {"cooling_down": 8}}', 'from then on they are left out');
select is(public.evaluate_people(tests.id('x'), array[tests.id('x 4')], '2024-02-01') -> 'counts', '{}', 'asked for alone, too');

-- Again.
select is(public.retry_quarantine(tests.id('x'), tests.id('x 4'), '2024-02-02'), '{"people": 1, "counts": {"quarantined": {"P0001": 1}}}', 'tried again, and failed again');
select is((select count(*) from private.quarantine), 1::bigint, 'is back');
delete from tests.bad;
select is(public.retry_quarantine(tests.id('x'), tests.id('x 4'), '2024-02-02'), '{"people": 1, "counts": {"inactivity": {"sent": 1}}}', 'mended: told');
select is(public.list_quarantine(tests.id('x')), '[]', 'and out of it');
select is(tests.error(format('select public.retry_quarantine(tests.id(''x''), %L)', tests.id('x 4'))), format('PT404 not_in_quarantine {"user_id": "%s", "organization_id": "%s"}', tests.id('x 4'), tests.id('x')), 'who is not in it is not tried');
insert into private.quarantine (organization_id, user_id, reason, message) values (tests.id('y'), tests.id('y 1'), '22012', 'm'), (tests.id('x'), tests.id('x 1'), '22012', 'm'), (tests.id('x'), tests.id('x 2'), '22012', 'm');
select is(tests.error(format('select public.retry_quarantine(tests.id(''x''), %L)', tests.id('y 1'))), format('PT404 not_in_quarantine {"user_id": "%s", "organization_id": "%s"}', tests.id('y 1'), tests.id('x')), 'nor who is in another organisation''s');
select is(public.retry_quarantine(tests.id('x'), null, '2024-02-20'), '{"people": 2, "counts": {"inactivity": {"sent": 2}}}', 'all of an organisation');
select is((select count(*) from private.quarantine), 1::bigint, 'and of that one alone');
delete from private.quarantine;

-- Several, wherever they stand; all; one alone; a range as a list.
create function tests.anew(variadic p_bad text[]) returns void language plpgsql as $$
begin
  delete from public.notifications; delete from private.cooldowns; delete from private.quarantine; delete from tests.bad;
  insert into tests.bad select tests.id('x ' || b) from unnest(p_bad) b;
end;
$$;
select tests.anew('1', '2', '9');
select is(tests.evaluate(), '{"inactivity": {"sent": 6}, "quarantined": {"P0001": 3}}', 'three of nine');
select is((select count(distinct user_id) from public.notifications), 6::bigint, 'the six others are told');
select tests.anew('1', '2', '3', '4', '5', '6', '7', '8', '9');
select is(tests.evaluate(), '{"quarantined": {"P0001": 9}}', 'all of them');
select tests.anew('5');
select is(public.evaluate_people(tests.id('x'), array[tests.id('x 5')], '2024-02-01') -> 'counts', '{"quarantined": {"P0001": 1}}', 'one alone');
select tests.anew('3');
select is(private.decide_safely(tests.id('x'), null, null, null, '2024-02-01'), '{"inactivity": {"sent": 8}, "quarantined": {"P0001": 1}}', 'of a whole range');
select tests.anew('3');
select is(private.decide_safely(tests.id('x'), (select (array_agg(id order by id))[4] from public.users where organization_id = tests.id('x')), null, null, '2024-02-01')
  = case when tests.id('x 3') >= (select (array_agg(id order by id))[4] from public.users where organization_id = tests.id('x')) then '{"inactivity": {"sent": 5}, "quarantined": {"P0001": 1}}' else '{"inactivity": {"sent": 6}}'::jsonb end, true, 'of a part of it');
select tests.anew('2');
update private.rule_clocks set evaluated_until = '2024-01-01';
select is((select public.evaluate_chunk((public.start_run('scenario-evaluation', tests.id('h'), '2024-02-01') ->> 'run_id')::bigint, tests.id('h'), 1000) -> 'counts'), '{"inactivity": {"sent": 9}, "quarantined": {"P0001": 1}}', 'of a run, which goes on');
select tests.anew('6');
delete from private.scenario_marks;
insert into private.scenario_marks (organization_id, user_id, rings) select tests.id('x'), u, false from unnest(tests.everybody()) u;
select is(public.drain_scenario_marks(1000, '2024-02-01') -> 'counts', '{"inactivity": {"sent": 8}, "quarantined": {"P0001": 1}}', 'of a drain, which goes on');
select is((select count(*) from private.scenario_marks), 0::bigint, 'and has its marks done');

-- What is nobody's data stops, and is tried again with everything.
select tests.anew('7');
update tests.bad set errcode = '40P01';
select is(tests.error('select tests.evaluate()'), '40P01 a bad row', 'a deadlock');
update tests.bad set errcode = '40001';
select is(tests.error('select tests.evaluate()'), '40001 a bad row', 'a lost race');
update tests.bad set errcode = '55P03';
select is(tests.error('select tests.evaluate()'), '55P03 a bad row', 'a lock that was not to be had');
update tests.bad set errcode = '53200';
select is(tests.error('select tests.evaluate()'), '53200 a bad row', 'a server out of memory');
update tests.bad set errcode = '42883';
select is(tests.error('select tests.evaluate()'), '42883 a bad row', 'and a fault of the engine''s own, which would be everybody''s');
select is((select count(*) from private.quarantine) + (select count(*) from public.notifications), 0::bigint, 'nobody is in quarantine, nobody told');
update tests.bad set errcode = '22012';
select is(tests.evaluate(), '{"inactivity": {"sent": 8}, "quarantined": {"22012": 1}}', 'a value that cannot be computed with is somebody''s');

select * from finish();
rollback;
