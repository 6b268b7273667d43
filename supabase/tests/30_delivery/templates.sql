-- What people are told, in words: whose, in which language, with which values; and what cannot be written.
begin;
\ir ../helpers.psql
select plan(39);
select tests.populate();
delete from public.notifications;
update public.users set full_name = 'Kari Nordmann' where id = tests.id('a mentor');
update public.users set full_name = 'Ola {name} Hansen' where id = tests.id('a coordinator');

create function tests.tell(p_scenario text, p_context jsonb, p_language text default null, p_about text default null, p_person text default 'a mentor') returns text language plpgsql as $$
declare
  v_said text;
begin
  update public.users set language = p_language where id = tests.id(p_person);
  insert into public.notifications (organization_id, id, user_id, scenario, subject, context, triggered_at, about_user_id)
  values (tests.id('a'), tests.id('n'), tests.id(p_person), p_scenario, 'x', p_context, '2026-11-21 12:00+00', tests.id(p_about));
  select concat_ws(' | ', r.title, r.body, r.problem) into v_said from private.rendered_notifications(array[tests.id('a')], array[tests.id('n')]) r;
  delete from public.notifications;
  return v_said;
end;
$$;
create function tests.quiet(p_language text) returns text language sql as
$$ select tests.tell('inactivity', '{"anchor_at": "2026-10-17T12:00:00+00:00", "threshold_days": 21}', p_language) $$;
create function tests.word(p_language text, p_title text, p_body text default 'Body', p_scenario text default 'inactivity', p_form text default 'self') returns void language sql as $$
  insert into public.notification_templates (organization_id, scenario, form, language, title, body) values (tests.id('a'), p_scenario, p_form, p_language, p_title, p_body)
$$;

-- Every default can be said of what the engine writes.
select is(tests.quiet('en'), 'We miss you | It has been 35 days since your last activity, Kari. How are you? Log what you have done since, or talk to your coordinator.', 'English');
select is(tests.quiet('nb'), 'Vi savner deg | Det er 35 dager siden forrige aktivitet, Kari. Hvordan går det? Registrer det du har gjort siden sist, eller snakk med koordinatoren din.', 'Norwegian');
select is(tests.quiet('es'), 'Te echamos de menos | Han pasado 35 días desde tu última actividad, Kari. ¿Cómo estás? Registra lo que has hecho desde entonces o habla con tu coordinador.', 'Spanish');
select is(tests.tell('milestone', '{"metric": "sessions", "period": "year", "period_start": "2026-01-01T00:00:00+00:00", "threshold": 50, "value": 51}', 'nb'),
  'Du har nådd en milepæl | Gratulerer, Kari: 50 aktiviteter i 2026! Takk for at du er der for andre.', 'a milestone of a year');
select is(tests.tell('milestone', '{"metric": "hours", "period": "all_time", "threshold": 100}', 'en'), 'You have reached a milestone | Congratulations, Kari: 100 hours in all! Thank you for being there for others.', 'and of all time');
select is(tests.tell('milestone', '{"metric": "contacts", "period": "all_time", "threshold": 100}', 'es'), 'Has alcanzado una meta | ¡Enhorabuena, Kari: 100 contactos en total! Gracias por estar ahí para otras personas.', 'in Spanish');
select is(tests.tell('certification_expiry', '{"name": "First aid", "expires_at": "2026-12-20T23:30:00+00:00", "lead_days": 30}', 'en'), 'A certificate is about to expire | Your certificate "First aid" expires on 21 December 2026. Please renew it in time.', 'a day of the reader''s own zone');
select is(tests.tell('certification_expiry', '{"name": "Førstehjelp", "expires_at": "2026-03-01T12:00:00+00:00"}', 'nb'), 'Et sertifikat går snart ut | Sertifikatet ditt «Førstehjelp» går ut 1. mars 2026. Husk å fornye det i tide.', 'as Norwegian writes it');
select is(tests.tell('certification_expiry', '{"name": "Primeros auxilios", "expires_at": "2026-08-01T12:00:00+00:00"}', 'es'), 'Un certificado está a punto de caducar | Tu certificado «Primeros auxilios» caduca el 1 de agosto de 2026. Renuévalo a tiempo, por favor.', 'and Spanish');
select is(tests.tell('inactivity', '{"anchor_at": "2026-10-17T12:00:00+00:00"}', 'en', 'a mentor', 'a coordinator'), 'Somebody has gone quiet | Kari Nordmann has logged no activity for 35 days, since 17 October 2026. A call may help.', 'a coordinator is told of whom');
select is(tests.tell('pastoral_case', '{"event": "escalated", "absences": 6, "case_id": "x"}', 'en'), 'Urgent: somebody to look after | Somebody of your households has now been absent 6 times in a row. Please do not wait.', 'what happened to a case has its own text');
select is(tests.tell('pastoral_case', '{"absences": 3}', 'en') like 'Somebody to look after |%', true, 'and one of which nothing is known is new');
select is((select count(*) from private.default_templates() d where d.language not in ('en', 'nb', 'es')
  or d.title ~ '[{}]' or exists (select from regexp_matches(d.body, '\{([^{}]*)\}', 'g') m where m[1] <> all (private.template_placeholders(d.scenario, d.form)))), 0::bigint, 'defaults name only what there is, and titles nothing');
select is((select count(*) from unnest(private.scenario_types()) s, unnest(private.template_forms(s)) f, unnest('{en,nb,es}'::text[]) l
  where not exists (select from private.default_templates() d where (d.scenario, d.form, d.language) = (s, f, l))), 0::bigint, 'every scenario has every text in each of the languages');

-- Which language.
select is(tests.quiet('nn-NO') like 'Vi savner deg |%', true, 'who reads Nynorsk is told in Norwegian');
select is(tests.quiet('es-MX') like 'Te echamos de menos |%', true, 'a variety is read by who writes the language');
select is(tests.quiet('fr') like 'We miss you |%', true, 'a language there is no text in: English');
select is(tests.quiet(null) like 'We miss you |%', true, 'and without a language');
insert into public.org_settings_kv values (tests.id('a'), 'language', '"nb"');
select is(tests.quiet(null) like 'Vi savner deg |%', true, 'but the organisation''s, if it has one');
select is(tests.quiet('fr') like 'Vi savner deg |%', true, 'which also serves who reads another');
select is(tests.quiet('es') like 'Te echamos de menos |%', true, 'a person''s own goes before');

-- Whose text.
select tests.word('nb', 'Hei {first_name}');
select is(tests.quiet('nb') like 'Hei Kari |%', true, 'an organisation''s own text goes before the default');
select is(tests.quiet('en') like 'We miss you |%', true, 'not before the person''s language');
select tests.word('nb-no', 'Hallo {organization}');
select is(tests.quiet('nb-NO') like 'Hallo a |%', true, 'the closest wins');
select tests.word('sr-latn', 'Nedostajete nam', 'Od {since}');
select is(tests.quiet('sr-Latn-RS'), 'Nedostajete nam | Od 2026-10-17', 'any language may have a text; days are then written in digits');
delete from public.notification_templates;

-- Values are values.
select is(tests.tell('inactivity', '{"anchor_at": "2026-10-17T12:00:00+00:00"}', 'en', null, 'a coordinator') like '%, Ola. How are you%', true, 'a first name');
select tests.word('en', '{name}');
select is(tests.tell('inactivity', '{}', 'en', null, 'a coordinator'), 'Ola {name} Hansen | Body', 'braces in a name are a name');
delete from public.notification_templates;
select tests.word('en', 'Since {last_activity}', 'It was {last_activity}, {days} days');
select is(tests.tell('inactivity', '{}', 'en'), 'missing_value: days, last_activity', 'a value that is missing is named, and nothing half said');
select is(tests.tell('inactivity', '{"last_activity_at": "yesterday-ish", "anchor_at": 7}', 'en'), 'missing_value: days, last_activity', 'rubbish is as good as missing');
select is(tests.tell('inactivity', '{"last_activity_at": "2026-11-01T00:00:00Z", "days": 20}', 'en'), 'Since 1 November 2026 | It was 1 November 2026, 20 days', 'what a sender outside says counts');
delete from public.notification_templates;

-- Writing.
create function tests.refusal(p_title text, p_body text default 'Body', p_scenario text default 'inactivity', p_form text default 'self') returns text language sql as
$$ select tests.error(format('select tests.word(''en'', %L, %L, %L, %L)', p_title, p_body, p_scenario, p_form)) $$;
select is(tests.refusal('Hello {nane}'), 'PT400 unknown_placeholder {"allowed": ["name", "first_name", "organization", "days", "since", "last_activity"], "placeholder": "nane"}', 'an unknown placeholder is refused with those that are known');
select is(tests.refusal('Hello', '{person}', 'milestone'), 'PT400 unknown_placeholder {"allowed": ["name", "first_name", "organization", "threshold", "value", "metric", "period"], "placeholder": "person"}', 'the person themselves has nobody they are told about');
select is(tests.refusal('Hello', '{person} {absences}', 'pastoral_case', 'opened') like 'PT400 unknown_placeholder%', true, 'nobody is named who is asked after');
select is(tests.refusal('Hello {name'), 'PT400 unmatched_brace {"text": "Hello {name", "allowed": ["name", "first_name", "organization", "days", "since", "last_activity"]}', 'a brace that is not closed');
select is(tests.refusal('Hello {{name}}') like 'PT400 unmatched_brace%', true, 'nor doubled');
select is(tests.refusal('Hello', 'Body', 'weather'), 'PT400 unknown_scenario {"allowed": ["inactivity", "milestone", "certification_expiry", "pastoral_case"], "scenario": "weather"}', 'an unknown scenario');
select is(tests.refusal('Hello', 'Body', 'pastoral_case'), 'PT400 unknown_form {"form": "self", "allowed": ["opened", "reopened", "escalated", "assigned"]}', 'a form of another scenario');

-- In the app: the same words, and where they fail, the default ones.
select tests.word('en', 'Since {last_activity}', 'Body');
update public.users set language = null where id = tests.id('a mentor');
delete from public.org_settings_kv where key = 'language';
insert into public.notifications (organization_id, user_id, scenario, subject, context, triggered_at) values (tests.id('a'), tests.id('a mentor'), 'inactivity', 'x', '{"anchor_at": "2026-10-17T12:00:00Z"}', '2026-11-21 12:00+00');
select tests.become('a mentor');
select results_eq('select title, body, state from public.my_notifications', $$values ('We miss you', 'Body', 'unread')$$, 'what cannot be said falls back');
update public.notifications set read_at = now();
select tests.become('postgres');
select tests.become('a mentor');
select is((select state from public.my_notifications), 'read', 'read is read');
select tests.become('postgres');

select * from finish();
rollback;
