-- Rules are changed by way of a preview whose numbers are acknowledged; switching one on asks what becomes of those who match.
begin;
\ir ../helpers.psql
select plan(100);
insert into public.organizations (id, name, time_zone) values (tests.id('o'), 'Rules', 'UTC'), (tests.id('p'), 'Another', 'UTC');
-- Quiet since 10, 20, …, 100 days; and two who are not mentors.
insert into public.users (organization_id, id, full_name, role, joined_at)
select tests.id('o'), tests.id('o ' || n), 'Person ' || n, 'peer_mentor', timestamptz '2024-06-01' - make_interval(days => 10 * n) from generate_series(1, 10) n;
insert into public.users (organization_id, full_name, role, joined_at) select tests.id('o'), 'Staff', 'coordinator', '2020-01-01' from generate_series(1, 2);
insert into public.users (organization_id, id, full_name, role, joined_at) values (tests.id('p'), tests.id('p 1'), 'Stranger', 'peer_mentor', '2020-01-01');

create function tests.preview(p_rule jsonb) returns jsonb language sql as $$ select public.preview_rule(tests.id('o'), p_rule, '2024-06-01') $$;
create function tests.save(p_rule jsonb, p_added integer, p_removed integer default 0, p_activation text default null, p_spread_days integer default null, p_tolerance integer default 0) returns jsonb language sql as
$$ select public.save_rule(tests.id('o'), p_rule, p_added, p_removed, p_activation, p_spread_days, p_tolerance, '2024-06-01') $$;
-- As the service, which may not write rules itself; what it says, or its error.
create function tests.saving(p_rule jsonb, p_added integer, p_removed integer default 0, p_activation text default null, p_spread_days integer default null, p_tolerance integer default 0) returns text language sql as $$
  select tests.error(format('select tests.save(%L, %L, %L, %L, %L, %L)', p_rule, p_added, p_removed, p_activation, p_spread_days, p_tolerance))
$$;
create function tests.new(p_rule jsonb default '{}') returns jsonb language sql as $$ select '{"type": "inactivity", "name": "quiet", "is_enabled": true}'::jsonb || p_rule $$;
create function tests.edit(p_rule jsonb) returns jsonb language sql as $$ select jsonb_build_object('id', (select r.id from public.scenario_rules r where r.organization_id = tests.id('o') and r.type = 'inactivity' and r.name = 'quiet')) || p_rule $$;

-- Preview.
select is(tests.preview(tests.new()) - 'rule' #- '{activations,spread}', '{"matching": 8, "added": 8, "removed": 0, "needs_activation": true, "activations": {"skip": 0, "all": 8}}', 'whom a new rule concerns, and how many each choice would tell at once');
select cmp_ok((tests.preview(tests.new()) #>> '{activations,spread}')::integer, '<', 8, 'spread over a week hardly any');
select is((select count(*) from public.scenario_rules where organization_id = tests.id('o')), 0::bigint, 'a preview writes nothing');
-- The defaults are those of the columns.
insert into public.scenario_rules (organization_id, type, name, is_enabled) values (tests.id('p'), 'inactivity', 'quiet', true);
select is((tests.preview(tests.new()) -> 'rule') - '{id,organization_id}'::text[],
  (select to_jsonb(r) - '{id,organization_id,created_at}'::text[] || '{"version": 0, "effective_from": null, "activation": null}' from public.scenario_rules r where r.organization_id = tests.id('p')), 'the rule that would be, with the defaults of the columns');
select is(tests.preview(tests.new('{"is_enabled": false}')) - 'rule', '{"matching": 0, "added": 0, "removed": 0, "needs_activation": false, "activations": null}', 'switched off it concerns nobody and asks nothing');
select is(tests.preview(tests.new('{"threshold_days": 90}')) -> 'matching', '2', 'with parameters of its own');
select is(tests.preview('{"type": "certification_expiry", "name": "n", "is_enabled": true}') - 'rule', '{"matching": 0, "added": 0, "removed": 0, "needs_activation": true, "activations": {"all": 0}}', 'certificates have one choice');
select is(tests.preview('{"type": "milestone", "name": "n", "is_enabled": true, "thresholds": [1]}') -> 'matching', '0', 'milestones are previewed, too');
select tests.become('service');
select is(public.preview_rule(tests.id('o'), '{"type": "inactivity", "name": "quiet", "is_enabled": true}', '2024-06-01') -> 'added', '8', 'the service previews');
select tests.become('postgres');

-- Acknowledging the numbers.
select is(tests.saving(tests.new(), 7, 0, 'all'), 'PT409 counts_have_drifted {"now": {"added": 8, "removed": 0}, "acknowledged": {"added": 7, "removed": 0}}', 'a number that has drifted is refused, with what it is now');
select is(tests.saving(tests.new(), 9, 0, 'all'), 'PT409 counts_have_drifted {"now": {"added": 8, "removed": 0}, "acknowledged": {"added": 9, "removed": 0}}', 'either way');
select is(tests.saving(tests.new(), 8, 1, 'all'), 'PT409 counts_have_drifted {"now": {"added": 8, "removed": 0}, "acknowledged": {"added": 8, "removed": 1}}', 'of those who are left out as well');
select is(tests.saving(tests.new(), null, 0, 'all'), 'PT409 counts_have_drifted {"now": {"added": 8, "removed": 0}, "acknowledged": {"added": null, "removed": 0}}', 'none acknowledged');
select is(tests.saving(tests.new(), 8, null, 'all'), 'PT409 counts_have_drifted {"now": {"added": 8, "removed": 0}, "acknowledged": {"added": 8, "removed": null}}', 'half acknowledged');
select is(tests.saving(tests.new(), 6, 0, 'all', null, 1), 'PT409 counts_have_drifted {"now": {"added": 8, "removed": 0}, "acknowledged": {"added": 6, "removed": 0}}', 'beyond the tolerance');
select is(tests.saving(tests.new(), 6, 2, 'all', null, 2), 'no error', 'within it');
select is(tests.saving(tests.new(), 8, 0, 'all', null, -1), 'PT409 counts_have_drifted {"now": {"added": 8, "removed": 0}, "acknowledged": {"added": 8, "removed": 0}}', 'no tolerance is less than none');
select is(tests.saving(tests.new(), 8, 0, 'all', null, null), 'PT409 counts_have_drifted {"now": {"added": 8, "removed": 0}, "acknowledged": {"added": 8, "removed": 0}}', 'nor unknown');
select is((select count(*) from public.scenario_rules where organization_id = tests.id('o')), 0::bigint, 'what is refused is not saved');

-- Switching on asks.
select is(tests.saving(tests.new(), 8), 'PT400 activation_is_needed {"allowed": ["skip", "all", "spread"], "activation": null}', 'without a default');
select is(tests.saving(tests.new(), 8, 0, 'perhaps'), 'PT400 activation_is_needed {"allowed": ["skip", "all", "spread"], "activation": "perhaps"}', 'and takes no other answer');
select is(tests.saving(tests.new(), 8, 0, 'spread'), 'PT400 spread_days_out_of_range {"maximum": 365, "minimum": 1, "spread_days": null}', 'spread over how many days');
select is(tests.saving(tests.new(), 8, 0, 'spread', 0), 'PT400 spread_days_out_of_range {"maximum": 365, "minimum": 1, "spread_days": 0}', 'over none');
select is(tests.saving(tests.new(), 8, 0, 'spread', 366), 'PT400 spread_days_out_of_range {"maximum": 365, "minimum": 1, "spread_days": 366}', 'over more than a year');
select is(tests.saving(tests.new(), 8, 0, 'all', 7), 'PT400 spread_days_out_of_range {"maximum": 365, "minimum": 1, "spread_days": 7}', 'only what is spread has days');
select is(tests.saving('{"type": "certification_expiry", "name": "n", "is_enabled": true}', 0, 0, a, d), format('PT400 certificates_are_never_skipped {"allowed": ["all"], "activation": "%s"}', a), format('certificates are not to be told by %s', a))
from (values ('skip', null), ('spread', 3)) v (a, d);
select is(tests.saving('{"type": "certification_expiry", "name": "n", "is_enabled": true}', 0), 'PT400 activation_is_needed {"allowed": ["skip", "all", "spread"], "activation": null}', 'and ask all the same');
select is(tests.saving(tests.new(), 8, 0, a, d), 'no error', format('by %s', a)) from (values ('skip', null), ('all', null), ('spread', 1), ('spread', 365)) v (a, d);
select tests.become('service');
select is(public.save_rule(tests.id('o'), '{"type": "inactivity", "name": "quiet", "is_enabled": true}', 8, 0, 'spread', 5, 0, '2024-06-01') - '{id,created_at}'::text[],
  jsonb_build_object('organization_id', tests.id('o'), 'type', 'inactivity', 'name', 'quiet', 'is_enabled', true, 'threshold_days', 21, 'cooldown_days', 14, 'version', 1, 'priority', 100, 'effective_from', timestamptz '2024-06-01',
    'activation', 'spread', 'spread_days', 5, 'max_reminders', 3, 'metric', 'sessions', 'period', 'year', 'thresholds', array[50], 'max_age_days', 7, 'lead_days', array[30], 'is_mandatory', false, 'informs_coordinators', false), 'the service saves, and gets the rule');
select tests.become('postgres');
select is((select c.evaluated_until from private.rule_clocks c where c.organization_id = tests.id('o')), '-infinity', 'whom it concerns is due');

-- Editing.
select is(tests.preview(tests.edit('{"threshold_days": 45}')) - '{rule,activations}'::text[], '{"matching": 6, "added": 0, "removed": 2, "needs_activation": false}', 'an edit that leaves people out');
select is(tests.preview(tests.edit('{"threshold_days": 5}')) - '{rule,activations}'::text[], '{"matching": 10, "added": 2, "removed": 0, "needs_activation": true}', 'one that takes people in asks');
select is(tests.preview(tests.edit('{"is_enabled": false}')) - 'rule', '{"matching": 0, "added": 0, "removed": 8, "needs_activation": false, "activations": null}', 'switching off');
select is(tests.preview(tests.edit('{"priority": 7}')) - '{rule,activations}'::text[], '{"matching": 8, "added": 0, "removed": 0, "needs_activation": false}', 'what changes nobody');
select is(tests.preview(tests.edit('{"threshold_days": 45}')) #> '{rule,version}', '1', 'the version it is made from');
select is(tests.saving(tests.edit('{"threshold_days": 45}'), 0, 0), 'PT409 counts_have_drifted {"now": {"added": 0, "removed": 2}, "acknowledged": {"added": 0, "removed": 0}}', 'whom it leaves out is acknowledged');
select is(tests.save(tests.edit('{"threshold_days": 45}'), 0, 2) - '{id,created_at,organization_id,lead_days,thresholds,metric,period,max_age_days,is_mandatory,informs_coordinators,name,type,is_enabled}'::text[],
  '{"threshold_days": 45, "cooldown_days": 14, "version": 2, "priority": 100, "effective_from": "2024-06-01T00:00:00+00:00", "activation": "spread", "spread_days": 5, "max_reminders": 3}', 'it is a new version that keeps how it was switched on');
select is(tests.saving(tests.edit('{"threshold_days": 25}'), 2), 'PT400 activation_is_needed {"allowed": ["skip", "all", "spread"], "activation": null}', 'taking people in asks');
select is(public.save_rule(tests.id('o'), tests.edit('{"threshold_days": 25}'), 2, 0, 'skip', null, 0, '2024-06-02') - '{id,created_at,organization_id,lead_days,thresholds,metric,period,max_age_days,is_mandatory,informs_coordinators,name,type,is_enabled}'::text[],
  '{"threshold_days": 25, "cooldown_days": 14, "version": 3, "priority": 100, "effective_from": "2024-06-02T00:00:00+00:00", "activation": "skip", "spread_days": null, "max_reminders": 3}', 'and takes effect anew');
select is(tests.save(tests.edit('{"is_enabled": false}'), 0, 8) -> 'version', '4', 'switched off');
select is(tests.saving(tests.edit('{"is_enabled": true}'), 8), 'PT400 activation_is_needed {"allowed": ["skip", "all", "spread"], "activation": null}', 'switching it on again asks again');
select is(tests.save(tests.edit('{"is_enabled": true, "name": "quiet", "max_reminders": 1, "cooldown_days": 3, "priority": 0, "is_mandatory": true, "informs_coordinators": true, "type": "inactivity"}'), 8, 0, 'all')
  - '{id,created_at,organization_id,lead_days,thresholds,metric,period,max_age_days,effective_from}'::text[],
  '{"type": "inactivity", "name": "quiet", "is_enabled": true, "threshold_days": 25, "cooldown_days": 3, "version": 5, "priority": 0, "activation": "all", "spread_days": null, "max_reminders": 1, "is_mandatory": true, "informs_coordinators": true}', 'all of it at once');
select is(tests.save(tests.edit('{}'), 0) -> 'version', '5', 'an edit of nothing is no version');
select is(tests.save('{"type": "milestone", "name": "later", "is_enabled": false, "metric": "hours", "period": "all_time", "thresholds": [100, 10], "max_age_days": 30}', 0)
  - '{id,created_at,organization_id,lead_days,threshold_days,cooldown_days,max_reminders,priority,is_mandatory,informs_coordinators,version}'::text[],
  '{"type": "milestone", "name": "later", "is_enabled": false, "metric": "hours", "period": "all_time", "thresholds": [100, 10], "max_age_days": 30, "effective_from": "2024-06-01T00:00:00+00:00", "activation": "all", "spread_days": null}', 'a rule for later needs no answer yet');
select is(tests.save('{"type": "certification_expiry", "name": "quiet", "is_enabled": true, "lead_days": [60, 5]}', 0, 0, 'all') -> 'lead_days', '[60, 5]', 'a name is taken for its type alone');

-- Nonsense, named, with what is allowed.
select is(tests.error(format('select tests.preview(%L)', m.rule)), m.error, m.sentence) from (values
  ('[]'::jsonb, 'PT400 rule_is_not_an_object', 'no object'),
  ('null', 'PT400 rule_is_not_an_object', 'nothing'),
  ('{"type": "weather", "name": "n", "is_enabled": true}', 'PT400 unknown_scenario {"allowed": ["inactivity", "milestone", "certification_expiry"], "scenario": "weather"}', 'an unknown type'),
  ('{"name": "n", "is_enabled": true}', 'PT400 unknown_scenario {"allowed": ["inactivity", "milestone", "certification_expiry"], "scenario": null}', 'no type'),
  ('{"type": "inactivity", "is_enabled": true}', 'PT400 rule_is_incomplete {"needed": ["type", "name", "is_enabled"]}', 'no name'),
  ('{"type": "inactivity", "name": "n"}', 'PT400 rule_is_incomplete {"needed": ["type", "name", "is_enabled"]}', 'neither on nor off'),
  (tests.new('{"thresholds": [5]}'), 'PT400 unknown_parameter {"type": "inactivity", "allowed": ["id", "type", "name", "is_enabled", "priority", "is_mandatory", "informs_coordinators", "threshold_days", "cooldown_days", "max_reminders"], "unknown": ["thresholds"]}', 'another type''s parameter'),
  ('{"type": "milestone", "name": "n", "is_enabled": true, "cooldown_days": 5, "smiles": 1}', 'PT400 unknown_parameter {"type": "milestone", "allowed": ["id", "type", "name", "is_enabled", "priority", "is_mandatory", "informs_coordinators", "metric", "period", "thresholds", "max_age_days"], "unknown": ["cooldown_days", "smiles"]}', 'nobody''s parameter'),
  ('{"type": "certification_expiry", "name": "n", "is_enabled": true, "version": 9}', 'PT400 unknown_parameter {"type": "certification_expiry", "allowed": ["id", "type", "name", "is_enabled", "priority", "is_mandatory", "informs_coordinators", "lead_days"], "unknown": ["version"]}', 'a version of one''s own'),
  (tests.new('{"activation": "all", "effective_from": "2000-01-01", "organization_id": "x"}'), 'PT400 unknown_parameter {"type": "inactivity", "allowed": ["id", "type", "name", "is_enabled", "priority", "is_mandatory", "informs_coordinators", "threshold_days", "cooldown_days", "max_reminders"], "unknown": ["activation", "effective_from", "organization_id"]}', 'what is not a parameter'),
  (tests.new('{"threshold_days": "soon"}'), 'PT400 parameter_of_wrong_type {"problem": "invalid input syntax for type integer: \"soon\""}', 'no number'),
  (tests.new('{"threshold_days": 21.5}'), 'PT400 parameter_of_wrong_type {"problem": "invalid input syntax for type integer: \"21.5\""}', 'half a day'),
  (tests.new('{"threshold_days": 99999999999}'), 'PT400 parameter_of_wrong_type {"problem": "value \"99999999999\" is out of range for type integer"}', 'more days than there are'),
  (tests.new('{"is_enabled": "maybe"}'), 'PT400 parameter_of_wrong_type {"problem": "invalid input syntax for type boolean: \"maybe\""}', 'neither yes nor no'),
  ('{"type": "milestone", "name": "n", "is_enabled": true, "thresholds": 50}', 'PT400 parameter_of_wrong_type {"problem": "expected JSON array"}', 'no list'),
  (tests.new('{"name": " "}'), 'PT400 parameter_out_of_range {"value": " ", "allowed": "not blank", "parameter": "name"}', 'a blank name'),
  (tests.new('{"name": null}'), 'PT400 parameter_out_of_range {"value": null, "allowed": "not blank", "parameter": "name"}', 'no name at all'),
  (tests.new('{"is_enabled": null}'), 'PT400 parameter_out_of_range {"value": null, "allowed": "true or false", "parameter": "is_enabled"}', 'on or off unknown'),
  (tests.new('{"threshold_days": 0}'), 'PT400 parameter_out_of_range {"value": 0, "allowed": "1 to 3650", "parameter": "threshold_days"}', 'a threshold of nothing'),
  (tests.new('{"threshold_days": -3}'), 'PT400 parameter_out_of_range {"value": -3, "allowed": "1 to 3650", "parameter": "threshold_days"}', 'a negative threshold'),
  (tests.new('{"threshold_days": null}'), 'PT400 parameter_out_of_range {"value": null, "allowed": "1 to 3650", "parameter": "threshold_days"}', 'no threshold'),
  (tests.new('{"cooldown_days": 3651}'), 'PT400 parameter_out_of_range {"value": 3651, "allowed": "1 to 3650", "parameter": "cooldown_days"}', 'a cooldown of more than ten years'),
  (tests.new('{"max_reminders": 0}'), 'PT400 parameter_out_of_range {"value": 0, "allowed": "1 to 100", "parameter": "max_reminders"}', 'no reminders'),
  (tests.new('{"priority": 1001}'), 'PT400 parameter_out_of_range {"value": 1001, "allowed": "0 to 1000", "parameter": "priority"}', 'a priority above all'),
  (tests.new('{"is_mandatory": null}'), 'PT400 parameter_out_of_range {"value": null, "allowed": "true or false", "parameter": "is_mandatory"}', 'mandatory or not'),
  (tests.new('{"informs_coordinators": null}'), 'PT400 parameter_out_of_range {"value": null, "allowed": "true or false", "parameter": "informs_coordinators"}', 'informing or not'),
  ('{"type": "milestone", "name": "n", "is_enabled": true, "metric": "smiles"}', 'PT400 parameter_out_of_range {"value": "smiles", "allowed": "sessions, hours or contacts", "parameter": "metric"}', 'an unknown metric'),
  ('{"type": "milestone", "name": "n", "is_enabled": true, "period": "month"}', 'PT400 parameter_out_of_range {"value": "month", "allowed": "year or all_time", "parameter": "period"}', 'an unknown period'),
  ('{"type": "milestone", "name": "n", "is_enabled": true, "thresholds": []}', 'PT400 parameter_out_of_range {"value": [], "allowed": "1 to 20 different whole numbers from 1 to 1000000", "parameter": "thresholds"}', 'no thresholds'),
  ('{"type": "milestone", "name": "n", "is_enabled": true, "thresholds": [5, 5]}', 'PT400 parameter_out_of_range {"value": [5, 5], "allowed": "1 to 20 different whole numbers from 1 to 1000000", "parameter": "thresholds"}', 'the same twice'),
  ('{"type": "milestone", "name": "n", "is_enabled": true, "max_age_days": 367}', 'PT400 parameter_out_of_range {"value": 367, "allowed": "1 to 366", "parameter": "max_age_days"}', 'an age of more than a year'),
  ('{"type": "certification_expiry", "name": "n", "is_enabled": true, "lead_days": [366]}', 'PT400 parameter_out_of_range {"value": [366], "allowed": "1 to 20 different whole numbers from 1 to 365", "parameter": "lead_days"}', 'a lead beyond a year'),
  (tests.new(), 'PT409 rule_name_is_taken {"name": "quiet"}', 'a name that is taken'),
  ('{"id": "no uuid"}', format('PT404 unknown_rule {"rule_id": "no uuid", "organization_id": "%s"}', tests.id('o')), 'no id'),
  ('{"id": null}', format('PT404 unknown_rule {"rule_id": null, "organization_id": "%s"}', tests.id('o')), 'an id of nothing'),
  (jsonb_build_object('id', (select r.id from public.scenario_rules r where r.organization_id = tests.id('p'))), format('PT404 unknown_rule {"rule_id": "%s", "organization_id": "%s"}', (select r.id from public.scenario_rules r where r.organization_id = tests.id('p')), tests.id('o')), 'another organisation''s rule'),
  (tests.edit('{"type": "milestone"}'), 'PT400 type_cannot_change', 'another type')
) as m (rule, error, sentence);
select is(tests.error('select public.preview_rule(tests.id(''nowhere''), ''{}'')'), format('PT404 unknown_organization {"organization_id": "%s"}', tests.id('nowhere')), 'an unknown organisation');
select is(tests.saving(tests.new('{"threshold_days": 0}'), 0), 'PT400 parameter_out_of_range {"value": 0, "allowed": "1 to 3650", "parameter": "threshold_days"}', 'saving refuses what a preview does');
select is(tests.saving('{"id": "no uuid"}', 0), format('PT404 unknown_rule {"rule_id": "no uuid", "organization_id": "%s"}', tests.id('o')), 'and does not find what it does not');

insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('o'), tests.id('o sessions'), 'milestone', 'sessions', false);
select is(tests.error(format('select public.preview_rule(tests.id(''o''), %L)', jsonb_build_object('id', tests.id('o sessions'), 'metric', 'hours'))), 'PT400 metric_cannot_change', '50 sessions are not 50 hours');
select is((public.preview_rule(tests.id('o'), jsonb_build_object('id', tests.id('o sessions'), 'metric', 'sessions')) #>> '{rule,metric}'), 'sessions', 'the same metric is no change');
delete from public.scenario_rules where id = tests.id('o sessions');

-- Listing and deleting.
update private.rule_clocks set evaluated_until = '2024-06-01' where rule_id = (tests.edit('{}') ->> 'id')::uuid;
select is((select jsonb_agg(jsonb_build_array(r -> 'type', r -> 'name', r -> 'evaluated_until')) from jsonb_array_elements(public.list_rules(tests.id('o'))) r),
  '[["certification_expiry", "quiet", null], ["inactivity", "quiet", "2024-06-01T00:00:00+00:00"], ["milestone", "later", null]]', 'the rules in order, and until when each has been evaluated');
select is((select count(distinct k) from jsonb_array_elements(public.list_rules(tests.id('o'))) r, jsonb_object_keys(r) k), (select count(*) + 1 from information_schema.columns where table_schema = 'public' and table_name = 'scenario_rules'), 'each whole');
select is(public.list_rules(tests.id('nowhere')), '[]', 'of nowhere none');
select tests.become('service');
select is(public.delete_rule(tests.id('o'), (select r.id from public.scenario_rules r where r.name = 'later')) ->> 'name', 'later', 'the service deletes');
select tests.become('postgres');
select is(jsonb_array_length(public.list_rules(tests.id('o'))), 2, 'and it is gone');
select is(tests.error(format('select public.delete_rule(tests.id(''o''), %L)', tests.id('x'))), format('PT404 unknown_rule {"rule_id": "%s", "organization_id": "%s"}', tests.id('x'), tests.id('o')), 'what is not there is not deleted');
select is(tests.error(format('select public.delete_rule(tests.id(''o''), %L)', (select r.id from public.scenario_rules r where r.organization_id = tests.id('p')))) like 'PT404 unknown_rule%', true, 'nor another organisation''s');

-- What a preview says is what then happens.
delete from public.scenario_rules;
select tests.save(tests.new(), 8, 0, 'all');
select is(public.drain_scenario_marks(1000, '2024-06-01') #> '{counts,inactivity,sent}', '8', 'all: the eight it said');
delete from public.notifications; delete from private.cooldowns; delete from public.scenario_rules; delete from private.scenario_marks;
select tests.save(tests.new(), 8, 0, 'skip');
select is(public.drain_scenario_marks(1000, '2024-06-01') #> '{counts,inactivity}', '{"not_matched": 4, "before_effective": 8}', 'skip: nobody');

select * from finish();
rollback;
