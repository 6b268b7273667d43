-- Each gate of the inactivity scenario at its exact boundary. The clock of the decision is an argument; now() stands
-- still in a transaction, so that "21 days ago" is exactly that.
begin;
\ir ../helpers.psql
select plan(56);
insert into public.organizations (id, name) values (tests.id('g'), 'Gates');
insert into public.users (organization_id, id, full_name, role, joined_at)
values (tests.id('g'), tests.id('g mentor'), 'Mentor', 'peer_mentor', now() - interval '400 days');
insert into public.scenario_rules (organization_id, id, type, name, is_enabled) values (tests.id('g'), tests.id('g rule'), 'inactivity', 'quiet', true);

-- The clock alone moves; the facts are those of now. (public.explain_scenarios asks the facts of the time it is asked about.)
create function tests.gates(p_now timestamptz default now()) returns table (gate text, subject text, crossed_at timestamptz, eligible_again_at timestamptz, detail jsonb) language sql as $$
  select g.gate, g.subject, g.crossed_at, g.eligible_again_at, g.detail
  from private.scenario_gates(tests.id('g'), null, null, array[tests.id('g mentor')], private.rules_of(tests.id('g'), null), p_now, null) g
$$;
create function tests.gate(p_now timestamptz default now()) returns text language sql as $$ select g.gate from tests.gates(p_now) g $$;
create function tests.detail(p_key text) returns text language sql as $$ select g.detail ->> p_key from tests.gates() g $$;
-- The person anew, with these columns; every other as it was.
create function tests.person(p_set text default '') returns void language plpgsql as $$
begin
  delete from public.activities where organization_id = tests.id('g');
  delete from private.cooldowns where organization_id = tests.id('g');
  delete from public.notification_preferences where organization_id = tests.id('g');
  update public.users set joined_at = now() - interval '400 days', is_active = true, role = 'peer_mentor', reactivated_at = null,
    away_from = null, away_until = null where id = tests.id('g mentor');
  update public.scenario_rules set is_enabled = true, threshold_days = 21, cooldown_days = 14 where id = tests.id('g rule');
  if p_set <> '' then
    execute format('update public.users set %s where id = tests.id(''g mentor'')', p_set);
  end if;
end;
$$;
create function tests.acted(p_at timestamptz, p_status text default 'completed') returns void language sql as $$
  insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, status)
  values (tests.id('g'), tests.id('g mentor'), 'home-visit', p_at, p_status::public.activity_status)
$$;
create function tests.told(p_at timestamptz) returns void language sql as $$
  insert into private.cooldowns values (tests.id('g'), tests.id('g mentor'), 'inactivity', tests.id('g rule')::text, p_at, 14)
  on conflict (organization_id, user_id, scenario, subject) do update set last_triggered_at = excluded.last_triggered_at
$$;

-- Crossing.
select tests.person();
select tests.acted(now() - interval '21 days');
select is(tests.gate(), 'would_send', 'quiet for exactly the threshold');
select is(tests.gate(now() - interval '1 microsecond'), 'not_matched', 'a microsecond before');
select is((select crossed_at from tests.gates()), now(), 'it crossed this moment');
select is((select crossed_at from tests.gates(now() - interval '1 microsecond')), null, 'and had not before');
select is((select eligible_again_at from tests.gates(now() - interval '1 microsecond')), now(), 'when it would is told');
select is((select detail from tests.gates()), jsonb_build_object('threshold_days', 21, 'anchor_at', now() - interval '21 days', 'last_activity_at', now() - interval '21 days'), 'as is what was compared');
select tests.acted(now() - interval '1 day', 'planned');
select tests.acted(now() - interval '1 day', 'cancelled');
select is(tests.gate(), 'would_send', 'what is planned or cancelled is no activity');
select tests.acted(now() - interval '30 days');
select is(tests.gate(now() - interval '1 microsecond'), 'not_matched', 'an older activity changes nothing');
select tests.acted(now() - interval '21 days' + interval '1 microsecond');
select is(tests.gate(), 'not_matched', 'the latest activity counts');
select tests.person('joined_at = now() - interval ''21 days''');
select is(tests.gate(), 'would_send', 'who never did anything is quiet since joining');
select is(tests.gate(now() - interval '1 microsecond'), 'not_matched', 'and not sooner');
select tests.person('reactivated_at = now() - interval ''21 days''');
select is(tests.gate(), 'would_send', 'or since becoming active again');
select is(tests.gate(now() - interval '1 microsecond'), 'not_matched', 'and not sooner');
select tests.person('joined_at = now() + interval ''1 day''');
select is(tests.gate(), 'not_matched', 'who joins tomorrow is not quiet');
update public.scenario_rules set threshold_days = 1 where id = tests.id('g rule');
select is(tests.gate(now() + interval '2 days'), 'would_send', 'a threshold of one day is 24 hours');
select is(tests.gate(now() + interval '2 days' - interval '1 microsecond'), 'not_matched', 'exactly');

-- Person.
select tests.person('is_active = false');
select is(tests.gate(), 'person_inactive', 'who is not active is not told');
select tests.person('role = ''coordinator''');
select is(tests.gate(), 'not_matched', 'only peer mentors are noticed');

-- Away.
select tests.person('away_from = now()');
select is(tests.gate(), 'away', 'away from this moment, until further notice');
select is((select eligible_again_at from tests.gates()), null, 'whose end nobody knows');
select is(tests.gate(now() - interval '1 microsecond'), 'would_send', 'not before');
select is(tests.gate(now() + interval '10 years'), 'away', 'and for ever');
select tests.person('away_from = now() - interval ''1 day'', away_until = now()');
select is(tests.gate(now() - interval '1 microsecond'), 'away', 'the last microsecond of an absence');
select is((select eligible_again_at from tests.gates(now() - interval '1 microsecond')), now(), 'whose end is told');
select is(tests.gate(), 'not_matched', 'its end is a new beginning');
select is(tests.gate(now() + interval '21 days' - interval '1 microsecond'), 'not_matched', 'for the whole threshold');
select is(tests.gate(now() + interval '21 days'), 'would_send', 'and no longer');
select tests.person('away_from = now() + interval ''1 microsecond'', away_until = now() + interval ''1 year''');
select is(tests.gate(), 'would_send', 'an absence still ahead excuses nobody');

-- Preferences.
select tests.person();
insert into public.notification_preferences values (tests.id('g'), tests.id('g mentor'), 'inactivity', 'push', false), (tests.id('g'), tests.id('g mentor'), 'all', 'push', false);
select is(tests.gate(), 'would_send', 'no push is still in-app');
insert into public.notification_preferences values (tests.id('g'), tests.id('g mentor'), 'inactivity', 'all', true), (tests.id('g'), tests.id('g mentor'), 'all', 'all', true);
select is(tests.gate(), 'would_send', 'what is switched on is on');
update public.notification_preferences set is_enabled = false where scenario = 'inactivity' and channel = 'all';
select is(tests.gate(), 'opted_out', 'opted out of the scenario');
select is(tests.detail('opted_out_of'), 'inactivity', 'which is told');
update public.notification_preferences set is_enabled = scenario = 'inactivity' where channel = 'all';
select is(tests.gate(), 'opted_out', 'opted out of everything, whatever the scenario''s own row says');
select is(tests.detail('opted_out_of'), 'all', 'which is told');

-- Cooldown.
select tests.person();
select tests.told(now() - interval '14 days');
select is(tests.gate(), 'would_send', 'a cooldown that ends this moment is over');
select is(tests.gate(now() - interval '1 microsecond'), 'cooling_down', 'a microsecond before it is not');
select tests.told(now() - interval '14 days' + interval '1 microsecond');
select is(tests.gate(), 'cooling_down', 'nor a microsecond later told');
select is(tests.detail('cooldown_until')::timestamptz, now() + interval '1 microsecond', 'and until when');
select is((select eligible_again_at from tests.gates()), now() + interval '1 microsecond', 'when it would remind again');
update private.cooldowns set subject = 'another subject' where user_id = tests.id('g mentor');
select is(tests.gate(), 'would_send', 'another subject''s cooldown is another''s');
select tests.told(now() - interval '10 days');
update public.scenario_rules set cooldown_days = 10 where id = tests.id('g rule');
select is(tests.gate(), 'would_send', 'the rule''s cooldown is as it stands now');

-- All at once, taken away one by one: the order.
select tests.person('is_active = false, away_from = now() - interval ''1 day'', role = ''servant''');
insert into public.notification_preferences values (tests.id('g'), tests.id('g mentor'), 'all', 'all', false);
select tests.told(now());
update public.scenario_rules set is_enabled = false where id = tests.id('g rule');
select is(tests.gate(), 'rule_disabled', 'first the rule');
update public.scenario_rules set is_enabled = true where id = tests.id('g rule');
select is(tests.gate(), 'person_inactive', 'then the person');
update public.users set is_active = true, reactivated_at = '2000-01-01' where id = tests.id('g mentor');
select is(tests.gate(), 'away', 'then the absence');
update public.users set away_from = null where id = tests.id('g mentor');
select is(tests.gate(), 'not_matched', 'then the condition');
update public.users set role = 'peer_mentor' where id = tests.id('g mentor');
select is(tests.gate(), 'opted_out', 'then the preference');
delete from public.notification_preferences where organization_id = tests.id('g');
select is(tests.gate(), 'cooling_down', 'then the cooldown');
delete from private.cooldowns where organization_id = tests.id('g');
select is(tests.gate(), 'would_send', 'else it would send');

-- Several rules are several decisions.
insert into public.scenario_rules (organization_id, id, type, name, is_enabled, threshold_days) values (tests.id('g'), tests.id('g second rule'), 'inactivity', 'very quiet', true, 401);
select is((select string_agg(g.gate, ' ' order by g.gate) from tests.gates() g), 'not_matched would_send', 'each rule has its own gate');
select is((select count(distinct g.subject) from tests.gates() g), 2::bigint, 'and subject');
select is((select jsonb_agg(r ->> 'gate' order by r ->> 'gate') from jsonb_array_elements(public.explain_scenarios(tests.id('g'), tests.id('g mentor')) -> 'answers') r),
  '["not_matched", "would_send"]', 'an explanation has them all');
delete from public.scenario_rules where organization_id = tests.id('g');
select is(public.explain_scenarios(tests.id('g'), tests.id('g mentor')) -> 'answers', '[]', 'without a rule there is nothing to explain');

-- The evaluator alone asks neither rule nor preference nor cooldown.
select tests.person();
select tests.acted(now() - interval '21 days');
insert into public.notification_preferences values (tests.id('g'), tests.id('g mentor'), 'all', 'all', false);
select is(public.evaluate_inactivity(tests.id('g mentor'), 21, now()), jsonb_build_object('user_id', tests.id('g mentor'), 'organization_id', tests.id('g'),
  'threshold_days', 21, 'matched', true, 'gate', 'matched', 'last_activity_at', now() - interval '21 days', 'anchor_at', now() - interval '21 days',
  'crossed_at', now(), 'days_inactive', 21.000), 'it says what it compared');
select is(public.evaluate_inactivity(tests.id('g mentor'), 21, now() - interval '1 microsecond') ->> 'gate', 'not_matched', 'a microsecond before');
update public.users set role = 'coordinator' where id = tests.id('g mentor');
select is(public.evaluate_inactivity(tests.id('g mentor'), 21, now()) ->> 'gate', 'not_matched', 'and only of peer mentors');
update public.users set role = 'peer_mentor' where id = tests.id('g mentor');
select is(public.evaluate_inactivity(tests.id('g mentor'), 21, null) ->> 'matched', 'false', 'without a clock nobody matches');

select * from finish();
rollback;
