-- Who sees and changes statistics. Columns: tests.actors().
begin;
\ir ../helpers.psql
select plan(47);
select tests.populate();
insert into public.bufdir_rules select tests.id(o), '2026-01-01', 15, false, false from unnest('{a,b}'::text[]) o;
select public.drain_statistics_marks();
insert into public.statistics_warnings (organization_id, user_id, rule, details) select tests.id(o), tests.id(o || ' mentor'), 'r', '{}' from unnest('{a,b}'::text[]) o;
insert into public.team_reports (organization_id, period_type, title, figures) select tests.id(o), 'all_time', 't', '{}' from unnest('{a,b}'::text[]) o;

-- In a: 8 people have all_time rows; the mentor, the other mentor and the coordinator have a row for each of the 5 periods.
select is(tests.outcomes(m.statement), m.outcomes, m.sentence) from (values
  --                                                                                                             an st me co se ma ad re ba sv
  ('people read their own statistics, staff their organisation''s', 'select from public.activity_statistics where organization_id = tests.id(''a'') and period_type = ''all_time''', '- 0 1 8 1 8 8 1 0 8 '),
  ('everybody reads their own', 'select from public.activity_statistics where user_id = {me} and period_type = ''all_time''', '- 0 1 1 1 1 1 1 1 1 '),
  ('nobody of a reads those of b', 'select from public.activity_statistics where organization_id = tests.id(''b'') and period_type = ''day''', '- 0 0 0 0 0 0 0 2 2 '),
  ('the dashboard shows the same rows', 'select from public.activity_dashboard where period_type = ''all_time'' and organization_id = tests.id(''a'')', '- 0 1 8 1 8 8 1 0 8 '),
  ('and none of b''s to a', 'select from public.activity_dashboard where period_type = ''day'' and organization_id = tests.id(''b'')', '- 0 0 0 0 0 0 0 2 2 '),
  ('nobody writes statistics', 'insert into public.activity_statistics (organization_id, user_id, period_type, period_start, period_end) values (tests.id(''a''), {me}, ''day'', ''2020-01-01 00:00+00'', ''2020-01-02 00:00+00'')', '- - - - - - - - - 1 '),
  ('nobody changes statistics', 'update public.activity_statistics set streak_days = 1000 where organization_id = tests.id(''a'') and period_type = ''all_time''', '- - - - - - - - - 8 '),
  ('nobody deletes statistics', 'delete from public.activity_statistics where organization_id = tests.id(''a'') and period_type = ''day''', '- - - - - - - - - 3 '),
  ('nobody truncates statistics', 'truncate public.activity_statistics',                                            '- - - - - - - - - - '),

  ('everybody reads their organisation''s Bufdir rules', 'select from public.bufdir_rules where organization_id in (tests.id(''a''), tests.id(''b''))', '- 0 1 1 1 1 1 1 1 2 '),
  ('active admins add Bufdir rules', 'insert into public.bufdir_rules values (tests.id(''a''), ''2026-02-01'', 15, true, true)', '- - - - - - 1 - - 1 '),
  ('active admins change Bufdir rules', 'update public.bufdir_rules set min_duration_minutes = 20 where organization_id = tests.id(''a'')', '- 0 0 0 0 0 1 0 0 1 '),
  ('active admins remove Bufdir rules', 'delete from public.bufdir_rules where organization_id = tests.id(''a'')', '- 0 0 0 0 0 1 0 0 1 '),
  ('no Bufdir rule moves to another organisation', 'update public.bufdir_rules set organization_id = tests.id(''b''), effective_from = ''2027-01-01'' where organization_id = tests.id(''a'')', '- 0 0 0 0 0 - 0 0 1 '),

  ('staff read their organisation''s warnings', 'select from public.statistics_warnings where organization_id in (tests.id(''a''), tests.id(''b''))', '- 0 0 1 0 1 1 0 1 2 '),
  ('nobody writes warnings', 'insert into public.statistics_warnings (organization_id, user_id, rule, details) values (tests.id(''a''), {me}, ''r'', ''{}'')', '- - - - - - - - - 1 '),
  ('nobody takes warnings back', 'delete from public.statistics_warnings where organization_id = tests.id(''a'')', '- - - - - - - - - - '),

  ('staff read their organisation''s reports', 'select from public.team_reports where organization_id in (tests.id(''a''), tests.id(''b''))', '- 0 0 1 0 1 1 0 1 2 '),
  ('nobody writes reports', 'insert into public.team_reports (organization_id, period_type, title, figures) values (tests.id(''a''), ''all_time'', ''t'', ''{}'')', '- - - - - - - - - - '),
  ('nobody changes reports, the service included', 'update public.team_reports set figures = ''{"total_activities": 1000}'' where organization_id = tests.id(''a'')', '- - - - - - - - - - '),
  ('nobody deletes reports', 'delete from public.team_reports where organization_id = tests.id(''a'')',           '- - - - - - - - - - '),

  ('marks are private', 'select from private.statistics_marks limit 0',                                            '- - - - - - - - - 0 '),
  ('drift is private', 'select from private.statistics_drift limit 0',                                             '- - - - - - - - - 0 '),
  ('nobody marks directly', 'insert into private.statistics_marks (organization_id, user_id, rings) values (tests.id(''a''), {me}, false)', '- - - - - - - - - 1 '),
  ('nobody marks by function', 'select private.mark_statistics(array[tests.id(''a'')], array[{me}]::uuid[], array[null]::date[])', '- - - - - - - - - 1 '),
  ('nobody drains', 'select public.drain_statistics_marks(1)',                                                     '- - - - - - - - - 1 '),
  ('nobody rebuilds', 'select public.rebuild_statistics_chunk((public.start_run(''statistics-rebuild'', tests.id(''h'')) ->> ''run_id'')::bigint, tests.id(''h''))', '- - - - - - - - - 1 '),
  -- The functions of the team are the staff's, and not the service's, which has no organisation.
  ('active staff read the team''s figures', 'select public.team_statistics(''month'')',                              '- - - 1 - 1 1 - 1 - '),
  ('active staff freeze them', 'select public.freeze_team_report(''t'', ''month'')',                                '- - - 1 - 1 1 - 1 - '),
  ('nobody asks the figures of an organisation', 'select private.team_figures(tests.id(''a''), ''month'', current_date, null)', '- - - - - - - - - - ')
) as m (sentence, statement, outcomes);

-- Whatever is asked, the figures are those of the caller's organisation.
create function tests.team(p_actor text, p_ids uuid[] default null) returns jsonb language plpgsql as $$
declare
  v_figures jsonb;
begin
  perform tests.become(p_actor);
  v_figures := public.team_statistics('all_time', current_date, p_ids);
  perform tests.become('postgres');
  return v_figures;
end;
$$;
select is((tests.team(a.actor) ->> 'organization_id')::uuid, tests.id(left(a.actor, 1)), format('the %s of %s gets %1$s''s own', substr(a.actor, 3), left(a.actor, 1)))
from (values ('a coordinator'), ('a manager'), ('a admin'), ('b coordinator')) a (actor);
select is(tests.team('a coordinator') ->> 'total_activities', '4', 'four of a');
select is(tests.team('b coordinator') ->> 'total_activities', '3', 'three of b');
select is(tests.team('a coordinator', array[tests.id('b mentor'), tests.id('b coordinator')]) ->> 'total_activities', '0', 'the people of another organisation are nobody here');
select is(tests.team('a coordinator', array[tests.id('b mentor')]) ->> 'distinct_contacts', '0', 'and reached nobody');
select is(tests.team('a coordinator', array[tests.id('b mentor'), tests.id('a mentor')]) - 'oldest_computed_at',
  tests.team('a coordinator', array[tests.id('a mentor')]) - 'oldest_computed_at', 'asked for among one''s own, they change nothing');
select is(tests.team('a coordinator', '{}') ->> 'total_activities', '0', 'a list of nobody is nobody, not everybody');
insert into private.statistics_marks (organization_id, user_id, rings) values (tests.id('b'), tests.id('b mentor'), false);
select is(tests.team('a coordinator') -> 'is_being_recomputed', 'false', 'marks of another organisation are not one''s own either');
select is(tests.team('b coordinator') -> 'is_being_recomputed', 'true', 'but theirs');

-- The refusals say why.
select tests.become('a mentor');
select is(tests.error('select public.team_statistics(''month'')'), '42501 only_staff_read_team_statistics', 'a mentor is told who reads them');
select tests.become('a retired admin');
select is(tests.error('select public.team_statistics(''month'')'), '42501 only_staff_read_team_statistics', 'who is no longer active too');
select tests.become('stranger');
select is(tests.error('select public.team_statistics(''month'')'), '42501 only_staff_read_team_statistics', 'a stranger too');
select tests.become('postgres');

-- The bit that tells whether somebody is being recomputed is about readable rows alone.
select tests.become('b mentor');
select is((select bool_and(is_being_recomputed) from public.activity_dashboard), true, 'whoever has a mark sees it on their dashboard');
select tests.become('a mentor');
select is((select bool_or(is_being_recomputed) from public.activity_dashboard), false, 'the others do not');
select tests.become('postgres');

select * from finish();
rollback;
