-- Opting out takes back what waits: everything of it, or only the push. And what was preferred when is kept.
begin;
\ir ../helpers.psql
select plan(42);
select tests.populate();
delete from public.notifications;

-- One notification of each scenario: pushed, waiting, deferred; and one of a mandatory rule; one that was read.
create function tests.notify(p_name text, p_scenario text, p_state text, p_person text default 'a mentor', p_is_mandatory boolean default false) returns void language plpgsql as $$
begin
  insert into public.notifications (organization_id, id, user_id, scenario, subject, triggered_at, is_mandatory)
  values (tests.id(left(p_person, 1)), tests.id(p_name), tests.id(p_person), p_scenario, p_name, now(), p_is_mandatory);
  insert into private.outbox (organization_id, notification_id, user_id, channel, state, holder)
  values (tests.id(left(p_person, 1)), tests.id(p_name), tests.id(p_person), 'push', p_state::public.outbox_state, tests.id('holder'));
end;
$$;
create function tests.renew() returns void language plpgsql as $$
begin
  delete from public.notification_preferences where user_id in (tests.id('a mentor'), tests.id('a coordinator'));
  delete from public.notifications;
  perform tests.notify('waiting', 'inactivity', 'pending'), tests.notify('failed', 'inactivity', 'failed'), tests.notify('deferred', 'inactivity', 'deferred'), tests.notify('sent', 'inactivity', 'sent'),
    tests.notify('claimed', 'inactivity', 'claimed'), tests.notify('read', 'inactivity', 'pending'), tests.notify('dismissed', 'inactivity', 'deferred'),
    tests.notify('mandatory', 'inactivity', 'pending', 'a mentor', true), tests.notify('milestone', 'milestone', 'pending'), tests.notify('other', 'inactivity', 'pending', 'a coordinator');
  update public.notifications set read_at = now() where subject = 'read';
  update public.notifications set dismissed_at = now() where subject = 'dismissed';
end;
$$;
-- What no longer waits to be pushed, and what is no longer in the list.
create function tests.retracted() returns text language sql as $$
  select format('pushes: %s; list: %s',
    coalesce((select string_agg(n.subject, ' ' order by n.subject) from private.outbox o join public.notifications n on n.id = o.notification_id where o.state = 'retracted'), 'none'),
    coalesce((select string_agg(n.subject, ' ' order by n.subject) from public.notifications n where n.retracted_at is not null), 'none'))
$$;
create function tests.prefer(p_scenario text, p_channel text, p_is_enabled boolean, p_person text default 'a mentor') returns void language sql as $$
  insert into public.notification_preferences values (tests.id('a'), tests.id(p_person), p_scenario, p_channel, p_is_enabled)
  on conflict (organization_id, user_id, scenario, channel) do update set is_enabled = excluded.is_enabled
$$;

select tests.renew();
select tests.prefer('inactivity', 'all', false);
select is(tests.retracted(), 'pushes: deferred dismissed failed read waiting; list: claimed deferred failed sent waiting', 'out of a scenario: what waits is not pushed, what is unread leaves the list');
select is((select count(distinct retracted_at) from public.notifications where retracted_at is not null), 1::bigint, 'at one moment');
select is((select string_agg(o.state::text, ' ' order by n.subject) from private.outbox o join public.notifications n on n.id = o.notification_id where n.subject in ('claimed', 'sent')), 'claimed sent', 'what is on its way or gone stays what it is');
select tests.renew();
select tests.prefer('all', 'all', false);
select is(tests.retracted(), 'pushes: deferred dismissed failed milestone read waiting; list: claimed deferred failed milestone sent waiting', 'out of everything: of every scenario');
select tests.renew();
select tests.prefer('inactivity', 'push', false);
select is(tests.retracted(), 'pushes: deferred dismissed failed read waiting; list: none', 'out of push: the list stays');
select tests.renew();
select tests.prefer('all', 'push', false);
select is(tests.retracted(), 'pushes: deferred dismissed failed milestone read waiting; list: none', 'out of every push');
select tests.renew();
select tests.prefer('inactivity', 'all', true), tests.prefer('all', 'all', true);
select is(tests.retracted(), 'pushes: none; list: none', 'switching on takes nothing back');
select tests.prefer('inactivity', 'all', false);
select is(tests.retracted(), 'pushes: deferred dismissed failed read waiting; list: claimed deferred failed sent waiting', 'what was on and is switched off does');
select tests.prefer('inactivity', 'all', true);
select is(tests.retracted(), 'pushes: deferred dismissed failed read waiting; list: claimed deferred failed sent waiting', 'and what is taken back stays so');
select tests.prefer('inactivity', 'all', false);
select is((select count(*) from private.outbox where state = 'retracted'), 5::bigint, 'opting out twice is opting out once');
select tests.renew();
select tests.prefer('inactivity', 'all', false, 'a coordinator');
select is(tests.retracted(), 'pushes: other; list: other', 'each their own');
select tests.renew();
insert into public.notification_preferences values (tests.id('b'), tests.id('b coordinator'), 'all', 'all', false);
select is(tests.retracted(), 'pushes: none; list: none', 'nobody another''s');
-- By themselves, who may see neither outbox nor history.
select is(tests.attempt('a mentor', 'insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled) values (tests.id(''a''), {me}, ''milestone'', false)'), '1', 'a mentor opts out');
select tests.become('a mentor');
insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled) values (tests.id('a'), tests.id('a mentor'), 'milestone', false);
select tests.become('postgres');
select is(tests.retracted(), 'pushes: milestone; list: milestone', 'and it is taken back');

-- What was retracted is gone for the person.
select is(tests.attempt('a mentor', 'select from public.notifications where subject = ''milestone'''), '0', 'who does not see it any more');
select is(tests.attempt('a mentor', 'select from public.notifications'), '8', 'only the others');
select is(tests.attempt('a mentor', 'update public.notifications set read_at = now() where subject = ''milestone'''), '0', 'nor marks it');
select is(tests.attempt('a mentor', 'update public.notifications set read_at = now()'), '8', 'looking or not');
select is(tests.attempt('service', 'select from public.notifications where subject = ''milestone'''), '1', 'the service does');

-- History: what held until when.
create function tests.history() returns text language sql as $$
  select coalesce(string_agg(h.scenario || '-' || h.channel || ' ' || coalesce(h.was_enabled::text, 'unset'), ', ' order by h.id), 'none') from private.preference_history h where h.user_id = tests.id('a manager')
$$;
select tests.prefer('inactivity', 'all', false, 'a manager');
select is(tests.history(), 'inactivity-all unset', 'setting it: nothing was set before');
select tests.prefer('inactivity', 'all', true, 'a manager');
select is(tests.history(), 'inactivity-all unset, inactivity-all false', 'changing it: it was off');
delete from public.notification_preferences where user_id = tests.id('a manager');
select is(tests.history(), 'inactivity-all unset, inactivity-all false, inactivity-all true', 'removing it: it was on');
select is((select count(distinct valid_to) from private.preference_history where user_id = tests.id('a manager') and valid_to = now()), 1::bigint, 'until this moment');
-- Set on the tenth at noon, changed on the eleventh, removed on the twelfth.
update private.preference_history h set valid_to = timestamptz '2024-06-10 12:00+00' + (n.position - 1) * interval '1 day'
from (select id, row_number() over (order by id) as position from private.preference_history where user_id = tests.id('a manager')) n where n.id = h.id;
create function tests.opted_out(p_at timestamptz, p_scenario text default 'inactivity', p_channel text default 'all') returns text language sql as
$$ select coalesce(string_agg(o.scenario, ' ' order by o.scenario), 'nothing') from private.opted_out_of(tests.id('a'), tests.id('a manager'), p_scenario, p_channel, p_at) o $$;
select is(tests.opted_out('2024-06-10 11:59:59.999999+00'), 'nothing', 'before it was set nothing was off');
select is(tests.opted_out('2024-06-10 12:00+00'), 'inactivity', 'from that moment it was');
select is(tests.opted_out('2024-06-11 11:59:59.999999+00'), 'inactivity', 'until it was changed');
select is(tests.opted_out('2024-06-11 12:00+00'), 'nothing', 'then it was on');
select is(tests.opted_out('2024-06-12 12:00+00'), 'nothing', 'and then unset');
select is(tests.opted_out('2024-06-10 13:00+00', 'milestone'), 'nothing', 'of another scenario it says nothing');
select is(tests.opted_out('2024-06-10 13:00+00', 'inactivity', 'push'), 'nothing', 'nor of another channel');
select tests.prefer('all', 'all', false, 'a manager');
select is(tests.opted_out('2024-06-10 13:00+00'), 'inactivity', 'what was set later was not yet');
select is(tests.opted_out(now(), 'milestone'), 'all', 'and is now');
-- Whatever changes the same row twice at one moment.
delete from private.preference_history;
select tests.prefer('all', 'all', true, 'a manager'), tests.prefer('all', 'all', false, 'a manager');
select is(tests.opted_out(now()), 'all', 'of two changes at one moment the last holds from then on');
select is(tests.opted_out(now() - interval '1 microsecond'), 'all', 'and before the first what was before');
-- A row that is turned into another scenario's, or another channel's.
delete from public.notification_preferences where user_id = tests.id('a manager');
delete from private.preference_history;
insert into public.notification_preferences values (tests.id('a'), tests.id('a manager'), 'inactivity', 'all', false);
update private.preference_history set valid_to = '2024-06-10 12:00+00';
update public.notification_preferences set scenario = 'milestone' where user_id = tests.id('a manager');
select is(tests.history(), 'inactivity-all unset, milestone-all unset, inactivity-all false', 'is one that ends and one that begins');
select is(tests.opted_out('2024-06-11', 'milestone'), 'nothing', 'what it says now was not so before');
select is(tests.opted_out('2024-06-11'), 'inactivity', 'but what it said then');
select is(array[tests.opted_out(now()), tests.opted_out(now(), 'milestone')], '{nothing,milestone}', 'and now the other way round');
-- Erased with the person.
delete from public.users where id = tests.id('a manager');
select is((select count(*) from private.preference_history where user_id = tests.id('a manager')), 0::bigint, 'who is erased leaves no history');
delete from public.organizations where id = tests.id('a');
select is((select count(*) from private.preference_history where organization_id = tests.id('a')), 0::bigint, 'nor does an organisation');
select is(tests.outcomes('select private.retract_opted_out()'), '- - - - - - - - - - ', 'nobody calls a trigger');
select is(tests.outcomes('select private.keep_preference_history()'), '- - - - - - - - - - ', 'nor the other');

select * from finish();
rollback;
