-- What became of a push: on each device, as a whole, at the next attempt, and in the operator's hands.
begin;
\ir ../helpers.psql
select plan(72);
select tests.populate();
delete from public.notifications;
insert into public.devices (organization_id, id, user_id, provider, platform, token)
select tests.id('a'), tests.id('phone ' || i), tests.id('a mentor'), 'fcm', 'android', 'fcm-token-number-' || lpad(i::text, 5, '0') from generate_series(1, 3) i;
update public.devices set last_seen_at = '2026-11-21 11:00+00';

-- A push that is claimed by the holder with lease 1, and what is recorded of it: 'phone verdict …'.
create function tests.push(p_state text default 'claimed') returns void language sql as $$
  delete from public.notifications;
  update public.devices set is_active = true, deactivated_at = null, deactivated_reason = null;
  insert into public.notifications (organization_id, id, user_id, scenario, subject, context, triggered_at) values
    (tests.id('a'), tests.id('n'), tests.id('a mentor'), 'inactivity', 'x', '{"anchor_at": "2026-10-17T12:00:00Z"}', '2026-11-21 12:00+00');
  insert into private.outbox (organization_id, id, notification_id, user_id, channel, state, holder, lease, release_at, created_at, skipped_reason)
  values (tests.id('a'), tests.id('p'), tests.id('n'), tests.id('a mentor'), 'push', p_state::public.outbox_state, tests.id('holder'), 1, '2026-11-21 12:00+00', '2026-11-21 12:00+00',
    case when p_state = 'skipped' then 'stale' end);
$$;
create function tests.outcome(p_phone integer, p_verdict text, p_reason text default null, p_retry_after float default null, p_lease integer default 1, p_awaits boolean default false) returns jsonb language sql as $$
  select jsonb_build_object('organization_id', tests.id('a'), 'outbox_id', tests.id('p'), 'lease', p_lease, 'device_id', tests.id('phone ' || p_phone),
    'verdict', p_verdict, 'reason', p_reason, 'retry_after', p_retry_after, 'provider_id', 'message ' || p_phone, 'awaits_receipt', p_awaits)
$$;
create function tests.record(variadic p_outcomes jsonb[]) returns jsonb language sql as $$
  select public.record_outbox(tests.id('holder'), to_jsonb(p_outcomes), '2026-11-21 12:00+00')
$$;
create function tests.state() returns text language sql as $$
  select concat_ws(' ', o.state, o.skipped_reason, o.attempts, o.last_error,
    case when o.settled_at is not null then 'settled' end, case when o.state = 'failed' then 'again' end) from private.outbox o
$$;
create function tests.waits() returns float language sql as $$ select extract(epoch from o.next_attempt_at - '2026-11-21 12:00+00') from private.outbox o $$;

select tests.push();
select is(tests.record(tests.outcome(1, 'sent')), '{"lost": [], "states": {"sent": 1}, "recorded": 1, "deactivated": 0}', 'sent is recorded');
select is(tests.state(), 'sent 1 settled', 'and settled');
select is((select concat_ws(' ', d.verdict, d.attempts, d.provider_id, d.receipt_due_at) from private.outbox_devices d), 'sent 1 message 1', 'with the provider''s name for it');
select is(tests.record(tests.outcome(1, 'sent')), '{"lost": [], "states": {}, "recorded": 0, "deactivated": 0}', 'again: nothing, and not lost');
select is((select count(*) from private.outbox_history), 0::bigint, 'nothing to tell');
select tests.push();
select is(tests.record(tests.outcome(1, 'sent', p_lease => 2)), jsonb_build_object('lost', array[tests.id('p')], 'states', '{}'::jsonb, 'recorded', 0, 'deactivated', 0), 'a lease that is another''s is lost');
select is(tests.state(), 'claimed 0', 'and changes nothing');
select is(public.record_outbox(tests.id('other'), jsonb_build_array(tests.outcome(1, 'sent'))) -> 'lost', to_jsonb(array[tests.id('p')]), 'nor does another holder''s');
select is(tests.record(tests.outcome(1, 'sent'), tests.outcome(2, 'retry', 'HTTP 503')), '{"lost": [], "states": {"failed": 1}, "recorded": 1, "deactivated": 0}', 'one of two');
select is(tests.state(), 'failed 1 HTTP 503 again', 'is tried again');
select is((select string_agg(d.verdict, ' ' order by d.verdict) from private.outbox_devices d), 'retry sent', 'where it has not arrived');
select ok(tests.waits() between 15 and 30, 'after half a minute, more or less');
select is((select concat_ws(' ', h.event, h.reason) from private.outbox_history h), 'failed HTTP 503', 'which is told');
update private.outbox set state = 'claimed', lease = 2;
select tests.record(tests.outcome(2, 'device_gone', 'UNREGISTERED', p_lease => 2));
select is(tests.state(), 'sent 2 UNREGISTERED settled', 'whoever has it on one device has been told');
select is((select concat_ws(' ', d.is_active, d.deactivated_reason) from public.devices d where d.id = tests.id('phone 2')), 'f UNREGISTERED', 'the other is out of use');
select is((select d.is_active from public.devices d where d.id = tests.id('phone 1')), true, 'and no other');
select tests.push();
select is(tests.record(tests.outcome(1, 'device_gone', 'UNREGISTERED'), tests.outcome(2, 'device_gone')) ->> 'deactivated', '2', 'nobody there any more');
select is(tests.state(), 'skipped no_device 1 UNREGISTERED settled', 'is skipped, and not failed');
select tests.push();
select tests.record(tests.outcome(1, 'refused', 'message too large'), tests.outcome(2, 'device_gone'));
select is(tests.state(), 'dead 1 message too large settled', 'what is never taken is dead at once');
select tests.push();
select tests.record(tests.outcome(1, 'refused', 'message too large'), tests.outcome(2, 'retry', 'HTTP 500'));
select is(tests.state(), 'failed 1 message too large again', 'but not while another device may have it');

-- How long.
create function tests.backoff(p_attempts integer, p_retry_after float default null) returns float language plpgsql as $$
begin
  perform tests.push();
  update private.outbox set attempts = p_attempts;
  perform tests.record(tests.outcome(1, 'retry', 'x', p_retry_after));
  return tests.waits();
end;
$$;
select ok(tests.backoff(1) between 30 and 60, 'twice as long the second time');
select ok(tests.backoff(5) between 480 and 960, 'and so on');
select ok(tests.backoff(6) between 960 and 1920, 'and on');
select ok((select count(distinct tests.backoff(1)) from generate_series(1, 5)) > 1, 'never all at the same moment');
select is(tests.backoff(0, 120), 120::float, 'never before the provider said');
select ok(tests.backoff(5, 10) between 480 and 960, 'nor sooner because it said so');
select is(tests.backoff(0, 90000), 90000::float, 'even if that is past the deadline, when it is skipped');
select tests.backoff(7);
select is(tests.state(), 'dead 8 x settled', 'eight times, and it is dead');
select is((select string_agg(h.event, ' ') from private.outbox_history h), 'dead', 'which is told');
select tests.push();
select public.record_outbox(tests.id('holder'), jsonb_build_array(tests.outcome(1, 'retry', 'x')), '2026-11-21 12:00+00', 1);
select is(tests.state(), 'dead 1 x settled', 'or as often as one says');
select tests.push();
update private.outbox set attempts = 7;
select tests.record(tests.outcome(1, 'sent'), tests.outcome(2, 'retry', 'x'));
select is(tests.state(), 'sent 8 x settled', 'reached on one device is not dead');

-- Given back.
create function tests.give_back(p_lease integer default 1) returns text language sql as $$
  select public.give_back_outbox(tests.id('holder'), jsonb_build_array(tests.outcome(1, null, p_lease => p_lease)), '2026-11-21 12:00+00') ->> 'given_back'
$$;
select tests.push();
select is(tests.give_back(2), '0', 'what one has not is not given back');
select is(tests.give_back(), '1', 'what one has is');
select is(tests.give_back(), '0', 'once');
select is((select concat_ws(' ', o.state, o.attempts, o.holder, o.rings) from private.outbox o), 'pending 0 t', 'as if nothing had happened; another is rung');
select is(tests.record(tests.outcome(1, 'sent')) ->> 'lost', jsonb_build_array(tests.id('p'))::text, 'and what is recorded later is lost');

-- Bad input.
select is(tests.error(format('select public.record_outbox(%L, %L)', tests.id('holder'), m.outcomes)), m.error, m.sentence) from (values
  ('{}', 'PT400 outcomes_are_not_an_array', 'no list'),
  ('[{}]', 'PT400 malformed_outcome {"verdicts": ["sent", "device_gone", "retry", "refused"]}', 'of nothing'),
  (jsonb_build_array(tests.outcome(1, 'lost'))::text, 'PT400 malformed_outcome {"verdicts": ["sent", "device_gone", "retry", "refused"]}', 'an unknown verdict')
) as m (outcomes, error, sentence);
select is(tests.error($$select public.give_back_outbox(tests.id('holder'), null)$$), 'PT400 pushes_are_not_an_array', 'nothing to give back');

-- Receipts.
create function tests.receipt(p_verdict text, p_at timestamptz default '2026-11-21 12:20+00', p_provider_id text default 'message 1') returns jsonb language sql as $$
  select public.record_receipts(jsonb_build_array(tests.outcome(1, p_verdict, 'reason') || jsonb_build_object('provider_id', p_provider_id)), p_at)
$$;
create function tests.awaited() returns void language sql as $$
  select tests.push();
  select tests.record(tests.outcome(1, 'sent', p_awaits => true));
$$;
select tests.awaited();
select is(public.claim_receipts(10, 60, '2026-11-21 12:14:59+00'), '{"more": false, "receipts": []}', 'a receipt is not asked for at once');
select is(public.claim_receipts(10, 60, '2026-11-21 12:15+00'), jsonb_build_object('more', false, 'receipts', jsonb_build_array(jsonb_build_object(
  'organization_id', tests.id('a'), 'outbox_id', tests.id('p'), 'device_id', tests.id('phone 1'), 'provider', 'fcm', 'provider_id', 'message 1'))), 'but after a quarter of an hour');
select is(public.claim_receipts(10, 60, '2026-11-21 12:15:59+00') -> 'receipts', '[]', 'by one at a time');
select is(jsonb_array_length(public.claim_receipts(10, 60, '2026-11-21 12:16+00') -> 'receipts'), 1, 'or by another when that one is not heard of');
select tests.receipt('sent');
select is(concat_ws(' ', tests.state(), (select d.receipt_due_at from private.outbox_devices d)), 'sent 1 settled', 'arrived: nothing more to ask');
select tests.awaited();
select tests.receipt('device_gone');
select is(concat_ws(' ', tests.state(), (select d.is_active from public.devices d where d.id = tests.id('phone 1'))), 'skipped no_device 1 reason settled f', 'nobody there after all');
select tests.awaited();
update public.devices set last_seen_at = '2026-11-21 12:10+00' where id = tests.id('phone 1');
select tests.receipt('device_gone');
select is(concat_ws(' ', tests.state(), (select d.is_active from public.devices d where d.id = tests.id('phone 1'))), 'failed 1 reason again t', 'registered since: the receipt is about before, and the push is tried again');
select tests.awaited();
update public.devices set last_seen_at = '2026-11-21 12:10+00', is_active = false, deactivated_at = now(), deactivated_reason = 'unregistered' where id = tests.id('phone 1');
select tests.receipt('device_gone');
select is(tests.state(), 'skipped no_device 1 reason settled', 'unless it was taken out of use again');
update public.devices set last_seen_at = '2026-11-21 11:00+00';
select tests.awaited();
select tests.receipt('retry');
select is(tests.state(), 'failed 1 reason again', 'not delivered: tried again');
select is((select string_agg(concat_ws(' ', h.event, h.reason), ', ' order by h.id) from private.outbox_history h), 'receipt retry: reason, failed reason', 'and told');
select tests.receipt('refused');
select is(tests.state(), 'failed 1 reason again', 'a receipt that comes twice says nothing new');
select tests.awaited();
select tests.receipt(null);
select is((select d.receipt_due_at from private.outbox_devices d), '2026-11-21 12:35+00', 'not known yet: asked again');
select tests.receipt(null, '2026-11-22 12:00+00');
select is((select concat_ws(' ', d.verdict, d.reason, d.receipt_due_at) from private.outbox_devices d), 'sent no_receipt', 'for a day');
select tests.awaited();
select tests.receipt('refused', p_provider_id => 'another message');
select is(tests.state(), 'sent 1 settled', 'a receipt of another message says nothing of this one');

-- Operators.
create function tests.listed(p_states text[] default null, p_after jsonb default null, p_limit integer default 100) returns text language sql as $$
  select string_agg(concat_ws(' ', r ->> 'state', r ->> 'full_name'), ', ' order by n) from jsonb_array_elements(public.list_outbox(tests.id('a'), p_states, p_after => p_after, p_limit => p_limit) -> 'rows') with ordinality as x (r, n)
$$;
select tests.push('dead');
insert into public.notifications (organization_id, id, user_id, scenario, subject, triggered_at) select tests.id('a'), tests.id('n' || i), tests.id('a admin'), 'milestone', 'x' || i, now() from generate_series(1, 2) i;
insert into private.outbox (organization_id, notification_id, user_id, channel, state, created_at) select tests.id('a'), tests.id('n' || i), tests.id('a admin'), 'push', 'sent', '2026-11-21 13:00+00' from generate_series(1, 2) i;
select is(tests.listed(), 'sent admin, sent admin, dead mentor', 'newest first');
select is(tests.listed('{dead,failed}'), 'dead mentor', 'of some states');
select is(tests.listed(p_after => public.list_outbox(tests.id('a'), p_limit => 1) -> 'next'), 'sent admin, dead mentor', 'page by page, those of one moment too');
select is(public.list_outbox(tests.id('a'), p_limit => 3) -> 'next' ->> 'outbox_id', tests.id('p')::text, 'the last of a full page leads on');
select is(public.list_outbox(tests.id('a'), p_limit => 4) -> 'next', 'null', 'a page that is not full is the last');
select is(tests.error($$select public.list_outbox(p_states => '{lost}')$$), 'PT400 unknown_state {"states": ["lost"], "allowed": ["pending", "claimed", "sent", "deferred", "skipped", "retracted", "failed", "dead"]}', 'an unknown state');
select is((select concat_ws(' ', s ->> 'due', s ->> 'dead', s ->> 'failed') from public.outbox_status() s), '0 1 0', 'how much there is');
select is(public.show_outbox(tests.id('p')) ->> 'title', 'We miss you', 'one of them, in words');
select is(public.retry_outbox(tests.id('p')) - 'outbox_id', '{"was": "dead", "outcome": "queued", "skipped_reason": null}', 'a dead one is tried again');
select is(public.retry_outbox(tests.id('p')) ->> 'outcome', 'already_queued', 'once');
select is((select concat_ws(' ', o.state, o.attempts, o.rings) from private.outbox o where o.id = tests.id('p')), 'pending 0 t', 'from the beginning, at once');
select tests.push('skipped');
select is(public.retry_outbox(tests.id('p')) ->> 'outcome', 'queued', 'what was stale may be sent by hand');
update private.outbox set state = 'retracted';
select is(public.retry_outbox(tests.id('p')) ->> 'outcome', 'not_wanted', 'what was taken back may not');
update private.outbox set state = 'sent';
select is(public.retry_outbox(tests.id('p')) ->> 'outcome', 'already_sent', 'nor what has arrived');
select tests.push();
select tests.record(tests.outcome(1, 'sent'), tests.outcome(2, 'refused', 'Too Large'));
update private.outbox set state = 'dead';
select is(public.replay_outbox(p_error => 'other'), '{"more": false, "replayed": 0}', 'dead letters by their error');
select is(public.replay_outbox(p_error => 'too large', p_scenario => 'inactivity', p_from => '2026-11-21', p_to => '2026-11-22'), '{"more": false, "replayed": 1}', 'are replayed');
select is(public.replay_outbox(p_error => 'too large'), '{"more": false, "replayed": 0}', 'and a second replay has no second effect');
select is((select string_agg(d.verdict, ' ' order by d.verdict) from private.outbox_devices d), 'retry sent', 'whoever has it is not sent it again');

select * from finish();
rollback;
