-- Who sees rules, and that nobody sees marks. Columns: tests.actors(). Constraints of both, too.
begin;
\ir ../helpers.psql
select plan(24);
select tests.populate();

select is(tests.outcomes(m.statement), m.outcomes, m.sentence) from (values
  --                                                                                                             an st me co se ma ad re ba sv
  ('staff read their organisation''s rules', 'select from public.scenario_rules where organization_id = tests.id(''a'')', '- 0 0 1 0 1 1 0 0 1 '),
  ('nobody makes rules', 'insert into public.scenario_rules (organization_id, type, name, is_enabled) values (tests.id(''a''), ''inactivity'', ''n'', true)', '- - - - - - - - - 1 '),
  ('nobody changes rules', 'update public.scenario_rules set is_enabled = false where organization_id = tests.id(''a'')', '- - - - - - - - - 1 '),
  ('nobody deletes rules', 'delete from public.scenario_rules where organization_id = tests.id(''a'')',             '- - - - - - - - - 1 '),
  ('marks are private', 'select from private.scenario_marks limit 1',                                              '- - - - - - - - - 1 '),
  ('nobody marks directly', 'insert into private.scenario_marks (organization_id, user_id, rings) values (tests.id(''a''), {me}, false)', '- - - - - - - - - - '),
  -- The engine is the service's.
  ('nobody evaluates', 'select public.evaluate_people(tests.id(''a''), array[{me}]::uuid[])',                     '- - - - - - - - - 1 '),
  ('nobody drains', 'select public.drain_scenario_marks(1)',                                                       '- - - - - - - - - 1 '),
  ('nobody explains', 'select public.explain_scenarios(tests.id(''a''), tests.id(''a mentor''))',                  '- - - - - - - - - 1 '),
  ('nobody dry-runs', 'select public.dry_run_scenarios(tests.id(''a''))',                                          '- - - - - - - - - 1 '),
  ('nobody enqueues', 'select public.enqueue_notification({me}, ''inactivity'')',                                  '- - - - - - - - - 1 '),
  ('nobody notes what was sent', 'select public.record_last_triggered({me}, ''inactivity'')',                      '- - - - - - - - - 1 '),
  ('nobody asks for advice', 'select public.should_notify({me}, ''inactivity'')',                                  '- - - - - - - - - 1 '),
  ('nobody looks into another', 'select public.evaluate_inactivity(tests.id(''a mentor''), 21)',                   '- - - - - - - - - 1 '),
  ('nobody starts runs', 'select public.start_run(''scenario-evaluation'', tests.id(''h''))',                      '- - - - - - - - - 1 ')
) as m (sentence, statement, outcomes);

create function tests.rule(p_columns text, p_values text) returns text language sql as $$
  select format('insert into public.scenario_rules (organization_id, type, name, is_enabled, %s) values (tests.id(''a''), ''inactivity'', ''n'', true, %s)', p_columns, p_values)
$$;
select is(tests.violated(m.statement), m.name, m.name) from (values
  ('threshold_days_is_between_1_and_3650', tests.rule('threshold_days', '0')),
  ('threshold_days_is_between_1_and_3650', tests.rule('threshold_days', '3651')),
  ('cooldown_days_is_between_1_and_3650', tests.rule('cooldown_days', '0')),
  ('cooldown_days_is_between_1_and_3650', tests.rule('cooldown_days', '3651')),
  ('rule_type_is_known', 'update public.scenario_rules set type = ''weather'''),
  ('rule_name_is_not_blank', 'update public.scenario_rules set name = '' '''),
  ('rule_name_is_unique_per_type', 'insert into public.scenario_rules (organization_id, type, name, is_enabled) values (tests.id(''a''), ''inactivity'', ''quiet'', true)'),
  ('scenario_rules_pkey', 'insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id(''a''), tests.id(''a rule''), ''inactivity'', ''n'', true)'),
  ('scenario_rules_organization_id_fkey', 'update public.scenario_rules set organization_id = tests.id(''c'') where organization_id = tests.id(''a'')')
) as m (name, statement);

select * from finish();
rollback;
