-- Whom a rule informs besides the person it is about.
begin;
\ir ../helpers.psql
select plan(21);
insert into public.organizations (id, name, time_zone) values (tests.id('i'), 'Informed', 'UTC');
insert into public.users (organization_id, id, full_name, role, joined_at, is_active)
select tests.id('i'), tests.id('i ' || p), p, case when p = 'mentor' then 'peer_mentor' else 'coordinator' end::public.user_role, '2024-01-01', p <> 'gone' from unnest('{mentor,kari,liv,gone,stranger}'::text[]) p;
insert into public.user_coordinators select tests.id('i'), tests.id('i mentor'), tests.id('i ' || p) from unnest('{kari,liv,gone}'::text[]) p;
insert into public.org_settings_kv values (tests.id('i'), 'notification_daily_cap', '1');
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, informs_coordinators) values (tests.id('i'), tests.id('i rule'), 'inactivity', 'quiet', true, false);
create function tests.evaluate(p_now timestamptz) returns jsonb language sql as
$$ select public.evaluate_people(tests.id('i'), array[tests.id('i mentor')], p_now) #> '{counts,inactivity}' $$;
create function tests.informed() returns text language sql as $$
  select coalesce(string_agg(u.full_name, ' ' order by u.full_name), 'nobody') from public.notifications n join public.users u on u.id = n.user_id where n.about_user_id = tests.id('i mentor') and n.retracted_at is null
$$;

select is(tests.evaluate('2024-02-01 12:00+00'), '{"sent": 1}', 'by itself a rule');
select is(tests.informed(), 'nobody', 'informs nobody else');
update public.scenario_rules set informs_coordinators = true;
select is(tests.evaluate('2024-02-15 12:00+00'), '{"sent": 1}', 'told to: it counts those who are told about themselves');
select is(tests.informed(), 'kari liv', 'her coordinators see it, but who left, and nobody else''s');
select results_eq($$select u.full_name, n.scenario, n.subject, n.rule_id, n.rule_version, n.context ->> 'threshold_days', n.crossed_at, n.triggered_at, n.release_on, n.is_mandatory
    from public.notifications n join public.users u on u.id = n.user_id where n.about_user_id is not null order by 1$$,
  $$select n, 'inactivity', format('%s/%s', tests.id('i rule'), tests.id('i mentor')), tests.id('i rule'), 2, '21', timestamptz '2024-01-22', timestamptz '2024-02-15 12:00+00', null::date, false from unnest('{kari,liv}'::text[]) n$$,
  'with what it is about, by which rule, and no place in their day');
select is((select count(*) from private.outbox o join public.notifications n on n.id = o.notification_id where n.about_user_id is not null), 0::bigint, 'in the app alone');
select is((select count(*) from private.cooldowns where user_id <> tests.id('i mentor')), 0::bigint, 'and no cooldown of theirs');
select is(public.enqueue_notification(tests.id('i kari'), 'inactivity', '{}', 'of her own', 1, '2024-02-15 13:00+00') ->> 'outcome', 'sent', 'what is about themselves is told all the same');
select is(tests.evaluate('2024-02-16 12:00+00'), '{"cooling_down": 1}', 'who is not told');
select is((select count(*) from public.notifications where about_user_id is not null), 2::bigint, 'informs nobody');
insert into public.notification_preferences values (tests.id('i'), tests.id('i kari'), 'inactivity', 'all', false);
select is(tests.informed(), 'liv', 'who opts out of a scenario does not see what is about others either');
select is(tests.evaluate('2024-02-29 12:00+00'), '{"sent": 1}', 'the third');
select is((select string_agg(u.full_name, ' ') from public.notifications n join public.users u on u.id = n.user_id where n.about_user_id is not null and n.triggered_at = '2024-02-29 12:00+00'), 'liv', 'nor is told');
-- What is taken back is taken back from both.
insert into public.user_coordinators values (tests.id('i'), tests.id('i mentor'), tests.id('i stranger'));
update public.users set reactivated_at = '2024-03-01' where id = tests.id('i mentor');
select is(tests.evaluate('2024-03-22 12:00+00'), '{"sent": 1}', 'another spell');
select is(tests.informed(), 'liv liv liv stranger', 'of which they know');
update public.notifications set read_at = now() where user_id = tests.id('i liv') and triggered_at = '2024-03-22 12:00+00';
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) select tests.id('i'), tests.id('i mentor'), t.id, '2024-03-22 13:00+00' from public.activity_types t where t.organization_id = tests.id('i') limit 1;
select is(tests.evaluate('2024-03-22 14:00+00'), '{"not_matched": 1}', 'and which ends');
select is((select string_agg(u.full_name, ' ') from public.notifications n join public.users u on u.id = n.user_id where n.about_user_id is not null and n.retracted_at is null and n.triggered_at = '2024-03-22 12:00+00'), 'liv', 'is no longer in the list of whoever has not read it');
delete from public.activities where user_id = tests.id('i mentor');
-- Who reads it.
insert into auth.users (id, email) values (tests.id('login of i liv'), 'liv@i.test'), (tests.id('login of i mentor'), 'mentor@i.test');
insert into public.user_logins select tests.id('login of i ' || p), tests.id('i'), tests.id('i ' || p) from unnest('{liv,mentor}'::text[]) p;
select is(tests.attempt('i liv', 'select from public.notifications where about_user_id is not null'), '1', 'a coordinator reads her own, as far as it holds');
select is(tests.attempt('i mentor', 'select from public.notifications where about_user_id is not null'), '0', 'the person not what others are told of them');
delete from public.users where id = tests.id('i mentor');
select is((select count(*) from public.notifications where about_user_id is not null), 0::bigint, 'who is erased is erased from what others were told');
delete from public.users where id = tests.id('i kari');
select is((select count(*) from public.user_coordinators), 0::bigint, 'and from who looks after whom');

select * from finish();
rollback;
