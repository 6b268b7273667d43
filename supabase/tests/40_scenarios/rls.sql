-- Who sees rules, certificates, achievements and coordinators, and that nobody sees the engine's own tables. Columns:
-- tests.actors(). What cannot be written into any of them, too.
begin;
\ir ../helpers.psql
select plan(115);
select tests.populate();

select is(tests.outcomes(m.statement), m.outcomes, m.sentence) from (values
  --                                                                                                             an st me co se ma ad re ba sv
  ('staff read their organisation''s rules', 'select from public.scenario_rules where organization_id = tests.id(''a'')', '- 0 0 1 0 1 1 0 0 1 '),
  -- Not even the service: rules go through save_rule and delete_rule.
  ('nobody makes rules', 'insert into public.scenario_rules (organization_id, type, name, is_enabled) values (tests.id(''a''), ''inactivity'', ''n'', true)', '- - - - - - - - - - '),
  ('nobody changes rules', 'update public.scenario_rules set is_enabled = false where organization_id = tests.id(''a'')', '- - - - - - - - - - '),
  ('nobody deletes rules', 'delete from public.scenario_rules where organization_id = tests.id(''a'')',             '- - - - - - - - - - '),
  ('staff read the versions of their organisation''s rules', 'select from public.scenario_rule_versions where organization_id = tests.id(''a'')', '- 0 0 1 0 1 1 0 0 1 '),
  ('nobody reads the versions of a second organisation', 'select from public.scenario_rule_versions',               '- 0 0 1 0 1 1 0 1 2 '),
  ('nobody rewrites the history of a rule', 'update public.scenario_rule_versions set rule = ''{}'' where organization_id = tests.id(''a'')', '- - - - - - - - - - '),
  ('nobody invents a version', 'insert into public.scenario_rule_versions (organization_id, rule_id, version, rule) values (tests.id(''a''), tests.id(''a rule''), 7, ''{}'')', '- - - - - - - - - - '),
  ('nobody forgets a version', 'delete from public.scenario_rule_versions where organization_id = tests.id(''a'')', '- - - - - - - - - - '),

  ('people read their own certificates, staff their organisation''s', 'select from public.certificates where organization_id = tests.id(''a'')', '- 0 1 1 0 1 1 0 0 1 '),
  ('nobody reads certificates of a second organisation', 'select from public.certificates',                         '- 0 1 1 0 1 1 0 1 2 '),
  ('coordinators and admins add certificates', 'insert into public.certificates (organization_id, user_id, name, expires_at) values (tests.id(''a''), tests.id(''a other mentor''), ''Driving'', now())', '- - - 1 - - 1 - - 1 '),
  ('nobody else certifies themselves', 'insert into public.certificates (organization_id, user_id, name, expires_at) values (tests.id(''a''), {me}, ''Driving'', now())', '- - - 1 - - 1 - - 1 '),
  ('coordinators and admins change certificates', 'update public.certificates set revoked_at = now() where organization_id = tests.id(''a'')', '- 0 0 1 0 0 1 0 0 1 '),
  ('looking or not', 'update public.certificates set revoked_at = now()',                                           '- 0 0 1 0 0 1 0 1 2 '),
  ('no certificate moves to another organisation', 'update public.certificates set organization_id = tests.id(''b''), user_id = tests.id(''b mentor'') where organization_id = tests.id(''a'')', '- 0 0 - 0 0 - 0 0 1 '),
  ('coordinators and admins remove certificates', 'delete from public.certificates where organization_id = tests.id(''a'')', '- 0 0 1 0 0 1 0 0 1 '),
  ('removing, looking or not', 'delete from public.certificates',                                                   '- 0 0 1 0 0 1 0 1 2 '),

  ('people read their own achievements, staff their organisation''s', 'select from public.achievements where organization_id = tests.id(''a'')', '- 0 1 1 0 1 1 0 0 1 '),
  ('nobody reads achievements of a second organisation', 'select from public.achievements',                         '- 0 1 1 0 1 1 0 1 2 '),
  ('nobody awards achievements', 'insert into public.achievements (organization_id, user_id, subject, rule_id, metric, period, threshold, crossed_at, outcome) values (tests.id(''a''), tests.id(''a mentor''), ''x'', tests.id(''a rule''), ''hours'', ''year'', 1, now(), ''celebrated'')', '- - - - - - - - - 1 '),
  ('nobody changes achievements, for they are for ever', 'update public.achievements set outcome = ''opted_out''',  '- - - - - - - - - - '),
  ('nobody takes them away', 'delete from public.achievements',                                                     '- - - - - - - - - - '),

  ('staff read who looks after whom', 'select from public.user_coordinators where organization_id = tests.id(''a'')', '- 0 0 1 0 1 1 0 0 1 '),
  ('nobody reads who looks after whom in a second organisation', 'select from public.user_coordinators',            '- 0 0 1 0 1 1 0 1 2 '),
  ('nobody assigns coordinators', 'insert into public.user_coordinators values (tests.id(''a''), tests.id(''a other mentor''), tests.id(''a coordinator''))', '- - - - - - - - - 1 '),
  ('nobody reassigns them', 'update public.user_coordinators set coordinator_id = tests.id(''a admin'') where organization_id = tests.id(''a'')', '- - - - - - - - - 1 '),
  ('nobody lets them go', 'delete from public.user_coordinators where organization_id = tests.id(''a'')',           '- - - - - - - - - 1 '),

  ('clocks are private', 'select from private.rule_clocks where organization_id = tests.id(''a'')',                 '- - - - - - - - - 1 '),
  ('nobody turns a clock', 'update private.rule_clocks set evaluated_until = now() where organization_id = tests.id(''a'')', '- - - - - - - - - 1 '),
  ('the history of people is private', 'select from private.user_history limit 0',                                  '- - - - - - - - - 0 '),
  ('nobody rewrites it', 'delete from private.user_history',                                                        '- - - - - - - - - - '),
  ('the history of certificates is private', 'select from private.certificate_history limit 0',                     '- - - - - - - - - 0 '),
  ('nobody rewrites that', 'delete from private.certificate_history',                                               '- - - - - - - - - - '),
  ('what was held back is private', 'select from private.held_decisions limit 0',                                   '- - - - - - - - - 0 '),
  ('the quarantine is private', 'select from private.quarantine limit 0',                                           '- - - - - - - - - 0 '),
  ('what a sweep found is private', 'select from private.sweep_findings limit 0',                                   '- - - - - - - - - 0 '),
  ('nobody rewrites what a sweep found', 'delete from private.sweep_findings',                                      '- - - - - - - - - - '),
  ('marks are private', 'select from private.scenario_marks limit 1',                                              '- - - - - - - - - 1 '),
  ('nobody but the service marks', 'insert into private.scenario_marks (organization_id, user_id, rings) values (tests.id(''a''), {me}, false)', '- - - - - - - - - 1 '),
  -- The engine is the service's.
  ('nobody evaluates', 'select public.evaluate_people(tests.id(''a''), array[{me}]::uuid[])',                     '- - - - - - - - - 1 '),
  ('nobody drains', 'select public.drain_scenario_marks(1)',                                                       '- - - - - - - - - 1 '),
  ('nobody explains', 'select public.explain_scenarios(tests.id(''a''), tests.id(''a mentor''))',                  '- - - - - - - - - 1 '),
  ('nobody dry-runs', 'select public.dry_run_scenarios(tests.id(''a''))',                                          '- - - - - - - - - 1 '),
  ('nobody enqueues', 'select public.enqueue_notification({me}, ''inactivity'')',                                  '- - - - - - - - - 1 '),
  ('nobody notes what was sent', 'select public.record_last_triggered({me}, ''inactivity'')',                      '- - - - - - - - - 1 '),
  ('nobody asks for advice', 'select public.should_notify({me}, ''inactivity'')',                                  '- - - - - - - - - 1 '),
  ('nobody looks into another', 'select public.evaluate_inactivity(tests.id(''a mentor''), 21)',                   '- - - - - - - - - 1 '),
  ('nobody looks into another''s milestones', 'select public.evaluate_milestone(tests.id(''a mentor''), ''sessions'')', '- - - - - - - - - 1 '),
  ('nobody looks into another''s certificates', 'select public.evaluate_certification_expiry(tests.id(''a mentor''), 30)', '- - - - - - - - - 1 '),
  ('nobody lists rules but by the table', 'select public.list_rules(tests.id(''a''))',                               '- - - - - - - - - 1 '),
  ('nobody previews a rule', 'select public.preview_rule(tests.id(''a''), ''{"type": "milestone", "name": "n", "is_enabled": false}'')', '- - - - - - - - - 1 '),
  -- It runs as its owner, who may write rules: that nobody else may call it is all that stands between.
  ('nobody saves a rule', 'select public.save_rule(tests.id(''a''), ''{"type": "milestone", "name": "n", "is_enabled": false}'', 0, 0)', '- - - - - - - - - 1 '),
  ('nobody deletes a rule by name', 'select public.delete_rule(tests.id(''a''), tests.id(''a rule''))',             '- - - - - - - - - 1 '),
  ('nobody lists the quarantine', 'select public.list_quarantine(tests.id(''a''))',                                 '- - - - - - - - - 1 '),
  ('nobody retries it', 'select public.retry_quarantine(tests.id(''a''))',                                          '- - - - - - - - - PT404 not_in_quarantine'),
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
  ('scenario_rules_organization_id_fkey', 'insert into public.scenario_rules (organization_id, type, name, is_enabled) values (tests.id(''c''), ''inactivity'', ''n'', true)'),
  ('priority_is_between_0_and_1000', tests.rule('priority', '-1')),
  ('priority_is_between_0_and_1000', tests.rule('priority', '1001')),
  ('activation_is_known', tests.rule('activation', '''maybe''')),
  ('spread_days_is_between_1_and_365', tests.rule('activation, spread_days', '''spread'', 0')),
  ('spread_days_is_between_1_and_365', tests.rule('activation, spread_days', '''spread'', 366')),
  ('spread_days_go_with_spread', tests.rule('activation', '''spread''')),
  ('spread_days_go_with_spread', tests.rule('activation, spread_days', '''all'', 7')),
  ('max_reminders_is_between_1_and_100', tests.rule('max_reminders', '0')),
  ('max_reminders_is_between_1_and_100', tests.rule('max_reminders', '101')),
  ('metric_is_known', tests.rule('metric', '''smiles''')),
  ('period_is_known', tests.rule('period', '''month''')),
  ('thresholds_are_1_to_20_positive_numbers', tests.rule('thresholds', '''{}''')),
  ('thresholds_are_1_to_20_positive_numbers', tests.rule('thresholds', '''{0}''')),
  ('thresholds_are_1_to_20_positive_numbers', tests.rule('thresholds', '''{1000001}''')),
  ('thresholds_are_1_to_20_positive_numbers', tests.rule('thresholds', '''{5,5}''')),
  ('thresholds_are_1_to_20_positive_numbers', tests.rule('thresholds', '''{5,null}''')),
  ('thresholds_are_1_to_20_positive_numbers', tests.rule('thresholds', '''{{5,6}}''')),
  ('thresholds_are_1_to_20_positive_numbers', tests.rule('thresholds', 'array(select generate_series(1, 21))')),
  ('nothing', tests.rule('thresholds', 'array(select generate_series(1, 20))')),
  ('max_age_days_is_between_1_and_366', tests.rule('max_age_days', '0')),
  ('max_age_days_is_between_1_and_366', tests.rule('max_age_days', '367')),
  ('lead_days_are_1_to_20_numbers_up_to_365', tests.rule('lead_days', '''{366}''')),
  ('lead_days_are_1_to_20_numbers_up_to_365', tests.rule('lead_days', '''{0}''')),
  ('certificates_are_never_skipped', 'insert into public.scenario_rules (organization_id, type, name, is_enabled, activation) values (tests.id(''a''), ''certification_expiry'', ''n'', true, ''skip'')'),
  ('scenario_rule_versions_organization_id_fkey', 'insert into public.scenario_rule_versions (organization_id, rule_id, version, rule) values (tests.id(''c''), tests.id(''a rule''), 1, ''{}'')'),
  ('scenario_rule_versions_pkey', 'insert into public.scenario_rule_versions select * from public.scenario_rule_versions'),
  ('rule_clocks_organization_id_rule_id_fkey', 'insert into private.rule_clocks (organization_id, rule_id) values (tests.id(''a''), tests.id(''b rule''))'),
  ('rule_clocks_pkey', 'insert into private.rule_clocks select * from private.rule_clocks'),
  ('certificate_name_is_not_blank', 'update public.certificates set name = '' '''),
  ('expires_at_is_a_date', 'update public.certificates set expires_at = ''infinity'''),
  ('expires_at_is_after_issued_at', 'update public.certificates set issued_at = expires_at'),
  ('certificate_does_not_replace_itself', 'update public.certificates set replaced_by = id'),
  ('certificates_organization_id_user_id_fkey', 'update public.certificates set user_id = tests.id(''b mentor'') where organization_id = tests.id(''a'')'),
  ('certificates_organization_id_replaced_by_fkey', 'update public.certificates set replaced_by = tests.id(''b certificate'') where organization_id = tests.id(''a'')'),
  ('certificates_pkey', 'insert into public.certificates select * from public.certificates'),
  ('certificate_history_organization_id_user_id_fkey', 'insert into private.certificate_history (organization_id, certificate_id, user_id, name, expires_at, created_at) values (tests.id(''a''), tests.id(''x''), tests.id(''b mentor''), ''n'', now(), now())'),
  ('user_history_organization_id_user_id_fkey', 'insert into private.user_history (organization_id, user_id, role, is_active, joined_at) values (tests.id(''a''), tests.id(''b mentor''), ''servant'', true, now())'),
  ('achievement_outcome_is_known', 'update public.achievements set outcome = ''sent'''),
  ('achievements_organization_id_user_id_fkey', 'update public.achievements set user_id = tests.id(''b mentor'') where organization_id = tests.id(''a'')'),
  ('achievements_pkey', 'insert into public.achievements select * from public.achievements'),
  ('nobody_coordinates_themselves', 'insert into public.user_coordinators values (tests.id(''a''), tests.id(''a mentor''), tests.id(''a mentor''))'),
  ('user_coordinators_organization_id_user_id_fkey', 'insert into public.user_coordinators values (tests.id(''a''), tests.id(''b mentor''), tests.id(''a coordinator''))'),
  ('user_coordinators_organization_id_coordinator_id_fkey', 'insert into public.user_coordinators values (tests.id(''a''), tests.id(''a mentor''), tests.id(''b coordinator''))'),
  ('user_coordinators_pkey', 'insert into public.user_coordinators select * from public.user_coordinators'),
  ('held_decisions_organization_id_user_id_fkey', 'insert into private.held_decisions (organization_id, user_id, subject, scenario, rule_id, rule_version, gate, decided_at) values (tests.id(''a''), tests.id(''b mentor''), ''x'', ''inactivity'', tests.id(''a rule''), 1, ''capped'', now())'),
  ('held_decisions_pkey', 'insert into private.held_decisions (organization_id, user_id, subject, scenario, rule_id, rule_version, gate, decided_at) select tests.id(''a''), tests.id(''a mentor''), ''x'', ''inactivity'', tests.id(''a rule''), 1, ''capped'', now() from generate_series(1, 2)'),
  ('quarantine_organization_id_user_id_fkey', 'insert into private.quarantine (organization_id, user_id, reason, message) values (tests.id(''a''), tests.id(''b mentor''), ''P0001'', ''m'')'),
  ('quarantine_pkey', 'insert into private.quarantine (organization_id, user_id, reason, message) select tests.id(''a''), tests.id(''a mentor''), ''P0001'', ''m'' from generate_series(1, 2)'),
  ('sweep_findings_pkey', 'insert into private.sweep_findings (organization_id, id, user_id, run_id, scenario, subject, crossed_at) overriding system value select tests.id(''a''), 1, tests.id(''a mentor''), 1, ''inactivity'', ''x'', now() from generate_series(1, 2)')
) as m (name, statement);

select * from finish();
rollback;
