-- Claims: what is due goes to one holder at a time, and what a holder does not bring back goes to the next.
begin;
\ir ../helpers.psql
select plan(25);
select tests.populate();
delete from public.notifications;
insert into public.devices (organization_id, id, user_id, provider, platform, token)
select tests.id('a'), tests.id('phone ' || i), tests.id('a mentor'), 'fcm', 'android', 'fcm-token-number-' || lpad(i::text, 5, '0') from generate_series(1, 2) i;

create function tests.push(p_name text, p_due timestamptz default '2026-11-21 12:00+00') returns void language sql as $$
  insert into public.notifications (organization_id, id, user_id, scenario, subject, context, triggered_at) values
    (tests.id('a'), tests.id('n ' || p_name), tests.id('a mentor'), 'inactivity', p_name, '{"anchor_at": "2026-10-17T12:00:00Z"}', '2026-11-21 12:00+00');
  insert into private.outbox (organization_id, id, notification_id, user_id, channel, release_at, next_attempt_at)
  values (tests.id('a'), tests.id(p_name), tests.id('n ' || p_name), tests.id('a mentor'), 'push', p_due, p_due);
$$;
create function tests.claim(p_holder text default 'holder', p_now timestamptz default '2026-11-21 12:00+00', p_limit integer default 100) returns jsonb language sql as
$$ select public.claim_outbox(tests.id(p_holder), p_limit, 60, p_now) $$;

select is(tests.claim() - 'rang_again', '{"held": {}, "more": false, "claimed": 0, "messages": []}', 'nothing is due');
select tests.push('early', '2026-11-21 12:00:01+00'), tests.push('now');
select is(tests.claim() - '{messages,rang_again}'::text[], '{"held": {}, "more": false, "claimed": 1}', 'what is due is claimed');
select is((select concat_ws(' ', o.state, o.lease, o.next_attempt_at = '2026-11-21 12:01+00', o.holder = tests.id('holder')) from private.outbox o where o.id = tests.id('now')), 'claimed 1 t t', 'for a while, by one');
select is(tests.claim('other') ->> 'claimed', '0', 'and by no other');
select is(tests.claim('other', '2026-11-21 12:00:59.999+00') ->> 'claimed', '1', 'who takes what has become due');
select is((tests.claim('other', '2026-11-21 12:01+00') -> 'messages' -> 0) ->> 'lease', '2', 'when the lease is over, the next has it');
select is((select string_agg(h.event, ' ') from private.outbox_history h), 'lease_lost', 'which is told');
select is((select o.attempts from private.outbox o where o.id = tests.id('now')), 0, 'and is no attempt');

-- What a message says.
delete from public.notifications;
select tests.push('one');
create temporary table claimed as select m from jsonb_array_elements(tests.claim() -> 'messages') m;
select is((select count(*) from claimed), 2::bigint, 'a message for each device');
select is((select m from claimed where m ->> 'device_id' = tests.id('phone 1')::text), jsonb_build_object(
  'organization_id', tests.id('a'), 'outbox_id', tests.id('one'), 'lease', 1, 'device_id', tests.id('phone 1'), 'provider', 'fcm', 'token', 'fcm-token-number-00001',
  'title', 'We miss you', 'body', 'It has been 35 days since your last activity, mentor. How are you? Log what you have done since, or talk to your coordinator.',
  'collapse_key', tests.id('one'), 'expires_at', '2026-11-22T12:00:00+00:00', 'data', jsonb_build_object('scenario', 'inactivity', 'notification_id', tests.id('n one'))), 'with all that a provider is told');
select public.record_outbox(tests.id('holder'), (select jsonb_agg(m || jsonb_build_object('verdict', case when m ->> 'device_id' = tests.id('phone 1')::text then 'sent' else 'retry' end)) from claimed), '2026-11-21 12:00+00');
select is((select string_agg(m ->> 'device_id' || ' ' || (m ->> 'collapse_key'), ',') from jsonb_array_elements(tests.claim('other', '2026-11-21 12:01+00') -> 'messages') m), tests.id('phone 2') || ' ' || tests.id('one'), 'the next attempt goes only where it has not arrived, under the same key');
delete from public.notifications;
select tests.push('one');
select tests.claim();
insert into private.outbox_devices (organization_id, outbox_id, device_id, verdict, attempted_at) select tests.id('a'), tests.id('one'), tests.id('phone ' || i), 'sent', now() from generate_series(1, 2) i;
select is(tests.claim('other', '2026-11-21 12:05+00') -> 'held', '{"no_device": 1}', 'where it has arrived everywhere nothing is sent');
select is((select o.state::text from private.outbox o), 'sent', 'and it is sent');
delete from public.notifications;

-- In the order of their time, as many as wanted.
select tests.push('third', '2026-11-21 11:59:59+00'), tests.push('first', '2026-11-21 11:59:57+00'), tests.push('second', '2026-11-21 11:59:58+00');
select is((select concat_ws(' ', c ->> 'claimed', c ->> 'more') from tests.claim(p_limit => 2) c), '2 true', 'as many as asked for, and there is more');
select is((select o.id from private.outbox o where o.state = 'pending'), tests.id('third'), 'the oldest first');

-- Once more before sending.
create function tests.confirm(p_holder text default 'holder', p_lease integer default 1, p_now timestamptz default '2026-11-21 12:00:30+00') returns jsonb language sql as $$
  select public.confirm_outbox(tests.id(p_holder), jsonb_build_array(jsonb_build_object('organization_id', tests.id('a'), 'outbox_id', tests.id('first'), 'lease', p_lease)), 60, p_now)
$$;
select is(tests.confirm(), jsonb_build_object('held', '{}'::jsonb, 'going', array[tests.id('first')]), 'what still holds goes');
select is((select o.next_attempt_at from private.outbox o where o.id = tests.id('first')), '2026-11-21 12:01:30+00', 'with a new lease');
select is(tests.confirm('other'), '{"held": {}, "going": []}', 'not another''s');
select is(tests.confirm(p_lease => 2), '{"held": {}, "going": []}', 'nor by another lease');
insert into public.notification_preferences values (tests.id('a'), tests.id('a manager'), 'all', 'all', false) on conflict do nothing;
update public.notification_preferences set scenario = 'inactivity', channel = 'push', is_enabled = false where user_id = tests.id('a mentor');
select is(tests.confirm(), '{"held": {"opted_out": 1}, "going": []}', 'whoever has opted out since is not told');
select is((select concat_ws(' ', o.state, o.skipped_reason) from private.outbox o where o.id = tests.id('first')), 'skipped opted_out', 'and it says so');

select is(tests.error($$select tests.claim(p_limit => 0)$$), 'PT400 limit_out_of_range {"limit": 0, "maximum": 10000, "minimum": 1}', 'nothing is not a number of pushes');
select is(tests.error($$select public.claim_outbox(tests.id('x'), 1, 0)$$), 'PT400 lease_seconds_out_of_range {"maximum": 3600, "minimum": 1, "lease_seconds": 0}', 'nor is no time a lease');
select is(tests.error($$select public.confirm_outbox(tests.id('x'), '{}')$$), 'PT400 pushes_are_not_an_array', 'nor an object a list');
select is(tests.error($$select public.claim_outbox(null)$$) like 'PT400 %', true, 'nor nobody a holder');

select * from finish();
rollback;
