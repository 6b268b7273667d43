-- Who may ask for what is held of whom, and who may have somebody erased. Columns: tests.actors().
begin;
\ir ../helpers.psql
\ir ../50_member_care/rows.psql
select plan(25);
select tests.populate();
select tests.populate_care();
insert into private.erasures (organization_id, kind, person_id) values (tests.id('a'), 'user', tests.id('gone')::text);

select is(tests.outcomes(m.statement), m.outcomes, m.sentence) from (values
  --                                                                                                                        an st me co se ma ad re ba sv
  ('erasures are private', 'select from private.erasures',                                                                   '- - - - - - - - - 1 '),
  ('and nobody''s to make up or to forget', 'delete from private.erasures',                                                  '- - - - - - - - - - '),
  ('people get what is held of them, those who left included', 'select public.export_my_data()',                             '- - 1 1 1 1 1 1 1 - '),
  ('operators get what is held of anybody', 'select public.export_person(tests.id(''a''), ''user'', tests.id(''a mentor'')::text)', '- - - - - - - - - 1 '),
  ('operators erase', 'select public.erase_person(tests.id(''a''), ''user'', tests.id(''a mentor'')::text)',                 '- - - - - - - - - 1 '),
  ('operators rehearse', 'select public.erase_person(tests.id(''a''), ''member'', tests.id(''a person'')::text, true)',      '- - - - - - - - - 1 ')
) as m (sentence, statement, outcomes);

-- One's own, and nobody else's.
create function tests.own(p_actor text) returns jsonb language plpgsql as $$
declare
  v jsonb;
begin
  perform tests.become(p_actor);
  v := public.export_my_data();
  perform tests.become('postgres');
  return v;
end;
$$;
select is(tests.own(a.actor) ->> 'person_id', tests.id(a.actor)::text, format('the %s gets their own', a.actor))
from (values ('a mentor'), ('b mentor'), ('a retired admin')) a (actor);
select is(tests.own('a mentor') #>> '{records,users,0,full_name}', 'mentor', 'with the name');
select is(tests.own('a mentor') #>> '{records,logins,0,email}', 'a.mentor@example.test', 'and the address');
select ok(tests.own('a mentor')::text !~ 'password|recovery|confirmation', 'without secrets of the login');
select is((tests.own('a mentor')) - 'exported_at', public.export_person(tests.id('a'), 'user', tests.id('a mentor')::text) - 'exported_at',
  'an operator gets the same');
select is(tests.own('a mentor') #>> '{about,certificates}', obj_description('public.certificates'::regclass), 'what each table is for stands beside it');

-- Whoever is unknown is unknown, whoever else has the id.
select is(tests.error(m.statement), m.error, m.sentence) from (values
  ('nobody', 'select public.export_person(tests.id(''a''), ''user'', tests.id(''x'')::text)',
    format('PT404 unknown_person {"kind": "user", "person_id": "%s", "organization_id": "%s"}', tests.id('x'), tests.id('a'))),
  ('somebody of another organisation', 'select public.export_person(tests.id(''a''), ''user'', tests.id(''b mentor'')::text)',
    format('PT404 unknown_person {"kind": "user", "person_id": "%s", "organization_id": "%s"}', tests.id('b mentor'), tests.id('a'))),
  ('a member is no user', 'select public.export_person(tests.id(''a''), ''user'', tests.id(''a person'')::text)',
    format('PT404 unknown_person {"kind": "user", "person_id": "%s", "organization_id": "%s"}', tests.id('a person'), tests.id('a'))),
  ('what is no id is nobody''s', 'select public.erase_person(tests.id(''a''), ''user'', ''Kari'')',
    format('PT404 unknown_person {"kind": "user", "person_id": "Kari", "organization_id": "%s"}', tests.id('a'))),
  ('somebody of another organisation is not erased', 'select public.erase_person(tests.id(''a''), ''user'', tests.id(''b mentor'')::text)',
    format('PT404 unknown_person {"kind": "user", "person_id": "%s", "organization_id": "%s"}', tests.id('b mentor'), tests.id('a'))),
  ('a student has a number', 'select public.erase_person(tests.id(''a''), ''student'', tests.id(''a mentor'')::text)',
    format('PT404 unknown_person {"kind": "student", "person_id": "%s", "organization_id": "%s"}', tests.id('a mentor'), tests.id('a'))),
  ('kinds are four', 'select public.erase_person(tests.id(''a''), ''cat'', tests.id(''a mentor'')::text)',
    'PT400 unknown_kind {"kind": "cat", "allowed": ["user", "member", "contact", "student"]}'),
  ('and one is needed', 'select public.export_person(tests.id(''a''), null, tests.id(''a mentor'')::text)',
    'PT400 unknown_kind {"kind": null, "allowed": ["user", "member", "contact", "student"]}')
) as m (sentence, statement, error);

select is(tests.violated(m.statement), m.name, m.name) from (values
  ('erased_kind_is_known', 'insert into private.erasures (organization_id, kind, person_id) values (tests.id(''a''), ''cat'', ''x'')'),
  ('erasures_organization_id_fkey', 'insert into private.erasures (organization_id, kind, person_id) values (tests.id(''x''), ''user'', ''x'')'),
  ('erasures_pkey', 'insert into private.erasures (organization_id, kind, person_id) select tests.id(''a''), ''user'', ''x'' from generate_series(1, 2)')
) as m (name, statement);

select * from finish();
rollback;
