-- An edit of a rule is a new version, however it is made; every version is kept, and makes whom it concerns due.
begin;
\ir ../helpers.psql
select plan(25);
insert into public.organizations (id, name) values (tests.id('w'), 'Versions');
create function tests.versions() returns text language sql as $$
  select string_agg(format('%s %s%s', v.version, v.rule ->> 'threshold_days', case when v.valid_to < 'infinity' then ' until now' end), ', ' order by v.version)
  from public.scenario_rule_versions v where v.rule_id = tests.id('w rule') and v.valid_from = now() and v.valid_to in (now(), 'infinity')
$$;
create function tests.looked_at() returns void language sql as $$ update private.rule_clocks set evaluated_until = now() $$;
create function tests.clock() returns timestamptz language sql as $$ select c.evaluated_until from private.rule_clocks c where c.rule_id = tests.id('w rule') $$;

insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('w'), tests.id('w rule'), 'inactivity', 'quiet', true);
select is(tests.versions(), '1 21', 'the first');
select is(tests.clock(), '-infinity', 'which nobody has looked at');
select is((select rule from public.scenario_rule_versions), (select to_jsonb(r) from public.scenario_rules r), 'a version is the whole rule');
select tests.looked_at();
update public.scenario_rules set threshold_days = 30;
select is(tests.versions(), '1 21 until now, 2 30', 'an edit is a new one');
select is((select version from public.scenario_rules), 2, 'the rule says which');
select is(tests.clock(), '-infinity', 'and everybody it concerns is due again');
select tests.looked_at();
update public.scenario_rules set threshold_days = 30, name = name;
select is(tests.versions(), '1 21 until now, 2 30', 'what changes nothing is none');
select is(tests.clock(), now(), 'and makes nobody due');
update public.scenario_rules set version = 77;
select is((select version from public.scenario_rules), 2, 'nobody writes the number');
update public.scenario_rules set version = 77, threshold_days = 40;
select is((select version from public.scenario_rules), 3, 'whatever they edit along');
select is(tests.versions(), '1 21 until now, 2 30 until now, 3 40', 'it only counts');
select is((select count(*) from public.scenario_rule_versions where valid_to = 'infinity'), 1::bigint, 'one is valid');
select is((select array_agg(r.threshold_days) from unnest(private.rules_of(tests.id('w'), now())) r), '{40}', 'of several of one moment the last is the rule of that moment');
select is(private.rules_of(tests.id('w'), now()), private.rules_of(tests.id('w'), null), 'which is that of now');
select is(private.rules_of(tests.id('w'), now() - interval '1 microsecond'), '{}', 'before there was none');
savepoint before;
update public.scenario_rules set threshold_days = 50;
rollback to savepoint before;
select is(tests.versions(), '1 21 until now, 2 30 until now, 3 40', 'an edit that is rolled back has not been');
delete from public.scenario_rules;
select is(tests.versions(), '1 21 until now, 2 30 until now, 3 40 until now', 'a deleted rule keeps its versions, none of which is valid');
select is(private.rules_of(tests.id('w'), null), '{}', 'it decides nothing any more');
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('w'), tests.id('w other'), 'inactivity', 'quiet', true);
select is((select version from public.scenario_rules), 1, 'another rule has its own');
delete from public.organizations where id = tests.id('w');
select is((select count(*) from public.scenario_rule_versions), 0::bigint, 'with the organisation they go');

-- The bell of a rule that is new or changed.
create function tests.calls() returns text language sql as $$
  with gone as (delete from net.http_request_queue returning convert_from(body, 'utf8')::jsonb as body)
  select coalesce(string_agg(concat_ws(' ', body ->> 'type', body ->> 'table'), ', '), 'none') from gone
$$;
create function tests.commit() returns void language plpgsql as $$
begin
  set constraints all immediate;
  set constraints all deferred;
end;
$$;
delete from vault.secrets where name in ('attend_functions_url', 'attend_webhook_secret');
select vault.create_secret('http://127.0.0.1:1', 'attend_functions_url'), vault.create_secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'attend_webhook_secret');
insert into public.organizations (id, name) values (tests.id('w'), 'Versions');
select tests.commit(), tests.calls();
update private.bells set last_rung_at = '-infinity';
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('w'), tests.id('w bell'), 'inactivity', 'quiet', true);
select is(tests.calls(), 'none', 'not before the commit');
select tests.commit();
select is(tests.calls(), 'BELL scenario_rules', 'a rule that is new rings');
update private.bells set last_rung_at = '-infinity';
select tests.looked_at(), tests.commit();
select is(tests.calls(), 'none', 'a tick that has looked at it does not');
update public.scenario_rules set threshold_days = 30;
select tests.commit();
select is(tests.calls(), 'BELL scenario_rules', 'a rule that is changed does');
update private.bells set last_rung_at = '-infinity';
update public.scenario_rules set threshold_days = 30;
select tests.commit();
select is(tests.calls(), 'none', 'one that is as it was does not');

select * from finish();
rollback;
