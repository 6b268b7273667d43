-- How names are found in what people wrote.
begin;
\ir ../helpers.psql
select plan(32);
select tests.populate();

select is(regexp_replace(m.text, private.name_pattern(array[m.name]), '*', 'gi'), m.masked, format('%s in "%s"', m.name, m.text)) from (values
  ('Kari Nordmann', 'Met Kari Nordmann today.', 'Met * today.'),
  ('Kari Nordmann', 'KARI NORDMANN, kari nordmann', '*, *'),
  ('Kari Nordmann', E'Kari\n  Nordmann''s house', '*''s house'),
  ('Kari  Nordmann ', 'Kari Nordmann', '*'),
  ('Kari Nordmann', 'Kari Nordmanns hus, Kari Nordmannille', '*s hus, *ille'),
  ('Kari Nordmann', 'Ola Nordmann and Kari', 'Ola Nordmann and Kari'),
  ('Kari Nordmann', 'OleKari Nordmann', 'OleKari Nordmann'),
  ('Ann', 'Annual plan of Ann, Anns and Ann''s', 'Annual plan of *, * and *''s'),
  ('Ann Lee', 'Joann Lee', 'Joann Lee'),
  ('kari@x.test', 'write to Kari@x.test.', 'write to *.'),
  ('kari@x.test', 'write to karixx.test', 'write to karixx.test'),
  ('Martin K. (jr.)', 'that is Martin K. (jr.)!', 'that is *!'),
  ('a.*b [c] {2} \d ^$ | +?', 'x a.*b [c] {2} \d ^$ | +? y', 'x * y'),
  ('Zoë Ångström', 'seen: zoë ångström', 'seen: *'),
  ('Zoë Ångström', normalize('seen: Zoë Ångström', nfd), 'seen: *'),
  (normalize('Zoë', nfd), 'Zoë', '*'),
  ('李 小龍', '見 李 小龍 。', '見 * 。'),
  ('+47 912', 'call +47 912 or 912', 'call * or 912')
) as m (name, text, masked);
select is(private.name_pattern('{}'), null, 'no names, no pattern');
select is(private.name_pattern('{" ",NULL}'), null, 'blank names are none');

select is(private.mask_names(m.value::jsonb, private.name_pattern('{"Null",42,Kari}'), '*'), m.masked::jsonb, m.value) from (values
  ('{"note": "of Kari", "Kari": null, "n": 42, "list": ["Kari", 42, null, "42", ["null"]], "deep": {"x": "KARI"}}',
   '{"note": "of *", "Kari": null, "n": 42, "list": ["*", 42, null, "*", ["*"]], "deep": {"x": "*"}}'),
  ('{}', '{}'), ('[]', '[]'), ('null', 'null'), ('"Kari"', '"*"'), ('{"quote": "\"Kari\""}', '{"quote": "\"*\""}')
) as m (value, masked);
select is(private.mask_names('{"a": "Kari"}', null, '*'), '{"a": "Kari"}', 'without a pattern all stays');

-- Others, in what is written of somebody.
update public.users set full_name = 'Ola "Ole" Hansen' where id = tests.id('a mentor');
insert into public.contacts (organization_id, display_name) values (tests.id('a'), 'Nordmann'), (tests.id('a'), null), (tests.id('b'), 'Berit');
select is(private.mask_others(tests.id('a'), 'Kari Nordmann', '"Ola \"Ole\" Hansen called Kari Nordmann, and Berit of b"'),
  '"[another person] called Kari Nordmann, and Berit of b"', 'others'' names are masked, what is part of one''s own is not');
select is(private.mask_others(tests.id('a'), null, '"Nordmann"'), '"[another person]"', 'who has no name has no part in others''');

-- A single word that others bear too is left to them; nobody''s is taken.
create function tests.forgotten(p_name text) returns text language plpgsql as $$
declare
  v text;
begin
  insert into public.team_reports (organization_id, id, period_type, title, figures) values
    (tests.id('a'), tests.id('report'), 'all_time', 'Kari, Kari Nordmann and Nordmann', '{}'), (tests.id('b'), tests.id('report'), 'all_time', 'Kari', '{}');
  perform private.forget_names(tests.id('a'), array[p_name]);
  select string_agg(t.title, ' / ' order by t.organization_id = tests.id('b')) into v from public.team_reports t;
  delete from public.team_reports;
  return v;
end;
$$;
select is(tests.forgotten('Kari'), '[erased], [erased] Nordmann and Nordmann / Kari', 'a single word, in the one organisation');
select is(tests.forgotten('Nordmann'), 'Kari, Kari Nordmann and Nordmann / Kari', 'unless somebody else bears it');
select is(tests.forgotten('Kari Nordmann'), 'Kari, [erased] and Nordmann / Kari', 'a whole name');

select * from finish();
rollback;
