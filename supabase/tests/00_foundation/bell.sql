-- The bell: signed, coalesced, and never in the writer's way. (Isolation levels and what is logged: tests/integration.)
begin;
\ir ../helpers.psql
select plan(31);
select tests.populate();
-- One bell is looked at; the other rings through the same function.
drop trigger statistics_marks_ring_bell on private.statistics_marks;
set constraints all immediate;
delete from net.http_request_queue;
delete from private.scenario_marks;
update private.bells set rung = 0;

create function tests.secrets(p_url text, p_secret text) returns void language plpgsql as $$
begin
  delete from vault.secrets where name in ('attend_functions_url', 'attend_webhook_secret');
  if p_url is not null then perform vault.create_secret(p_url, 'attend_functions_url'); end if;
  if p_secret is not null then perform vault.create_secret(p_secret, 'attend_webhook_secret'); end if;
end;
$$;
-- What the next transaction of a writer would do, when nobody rang in the last second.
create function tests.write_and_commit() returns void language plpgsql as $$
begin
  perform set_config('attend.scenario_bell', '', true);
  set constraints all deferred;
  insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
  values (tests.id('a'), tests.id('a mentor'), 'other', now());
  set constraints all immediate;
end;
$$;
create function tests.forget_the_last_ring() returns void language sql as
$$ update private.bells set last_rung_at = '-infinity' $$;

select tests.secrets('http://127.0.0.1:1/functions/v1/', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
select tests.forget_the_last_ring();
select tests.write_and_commit();
select is((select count(*) from net.http_request_queue), 1::bigint, 'a writer rings');
create temporary view call as
select q.url, q.method::text, q.timeout_milliseconds, q.headers, convert_from(q.body, 'utf8')::jsonb as body, convert_from(q.body, 'utf8') as raw
from net.http_request_queue q order by q.id desc limit 1;
select is((select url from call), 'http://127.0.0.1:1/functions/v1/scenario-trigger-engine', 'the function''s address, with one slash');
select is((select timeout_milliseconds from call), 1000, 'waits a second at most');
select is((select body - 'bell_id' from call), '{"type": "BELL", "schema": "public", "table": "activities"}'::jsonb, 'says which table');
select is((select body ->> 'bell_id' from call), (select headers ->> 'webhook-id' from call), 'the bell''s id is the webhook''s');
select ok((select (headers ->> 'webhook-timestamp')::bigint between extract(epoch from clock_timestamp()) - 60 and extract(epoch from clock_timestamp()) from call), 'the time is the clock''s, in seconds');
select is((select headers ->> 'webhook-signature' from call), (select 'v1,' || encode(extensions.hmac(
    convert_to(concat_ws('.', headers ->> 'webhook-id', headers ->> 'webhook-timestamp', raw), 'utf8'),
    decode('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64'), 'sha256'), 'base64') from call), 'signed as Standard Webhooks says, over the bytes that are sent');
select is((select headers ->> 'Content-Type' from call), 'application/json', 'JSON');

select tests.write_and_commit();
select is((select count(*) from net.http_request_queue), 1::bigint, 'who writes right after stays silent');
select is((select count(*) from private.scenario_marks where user_id = tests.id('a mentor')), 2::bigint, 'and leaves the mark all the same');
select ok(private.ring_again('scenario-trigger-engine', 'public', 'activities'), 'so the drainer rings once more');
select is((select count(*) from net.http_request_queue), 2::bigint, 'for them');
-- A drain that begins later, while the writers go on.
create function tests.later_drain() returns boolean language plpgsql as $$
begin
  update private.bells set last_rung_at = clock_timestamp(), rung_again_at = now() - interval '1 millisecond';
  return private.ring_again('scenario-trigger-engine', 'public', 'activities');
end;
$$;
select ok(not tests.later_drain(), 'not again while that bell is on its way');
select is(public.find_webhook_delivery((select rung_again_id from private.bells where function_name = 'scenario-trigger-engine')), null, 'it arrives');
select ok((select r.answered_at is not null from private.rings r join private.bells b on b.rung_again_id = r.bell_id), 'which is noted');
select ok(tests.later_drain(), 'whoever drains then rings another');
select ok(not tests.later_drain(), 'one');
update private.rings set rung_at = clock_timestamp() - interval '2 seconds';
select ok(tests.later_drain(), 'one that does not arrive within two seconds is lost');
update private.rings set rung_at = clock_timestamp() + interval '1 minute';
select ok(tests.later_drain(), 'and one that is ahead of the clock is of before it was put back');
delete from net.http_request_queue where id > (select min(id) + 1 from net.http_request_queue);
update private.bells set last_rung_at = clock_timestamp() - interval '1 second';
select ok(not private.ring_again('scenario-trigger-engine', 'public', 'activities'), 'but not when nobody rang for a second');
select tests.write_and_commit();
select is((select count(*) from net.http_request_queue), 3::bigint, 'a second later a writer rings again');
select is((select count(distinct headers ->> 'webhook-id') from net.http_request_queue), 3::bigint, 'every ring has its own id');
select is((select rung from private.bells where function_name = 'scenario-trigger-engine'), 2::bigint, 'writers'' rings are counted');

delete from net.http_request_queue;
delete from private.scenario_marks;
create function tests.cannot_ring(p_url text, p_secret text) returns text language plpgsql as $$
begin
  perform tests.secrets(p_url, p_secret);
  perform tests.forget_the_last_ring();
  perform tests.write_and_commit();
  return (select count(*) from net.http_request_queue) || ' calls, ' || (select count(*) from private.scenario_marks) || ' marks';
end;
$$;
select is(tests.cannot_ring(null, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), '0 calls, 1 marks', 'no address: the writer writes');
select is(tests.cannot_ring('http://127.0.0.1:1', null), '0 calls, 2 marks', 'no secret: the writer writes');
select is(tests.cannot_ring('http://127.0.0.1:1', ''), '0 calls, 3 marks', 'an empty secret: the writer writes');
select is(tests.cannot_ring('not a url', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), '0 calls, 4 marks', 'a malformed address: the writer writes');
select is(tests.cannot_ring('http://127.0.0.1:1', 'whsec_%%%not base64%%%'), '0 calls, 5 marks', 'a nonsense secret: the writer writes');

-- Somebody dropped the bell altogether: seconds are lost, never work.
drop trigger scenario_marks_ring_bell on private.scenario_marks;
select tests.secrets('http://127.0.0.1:1', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
select tests.write_and_commit();
select is((select count(*) from private.scenario_marks), 6::bigint, 'without the bell''s trigger the mark is written');

select is(private.post_signed('scenario-trigger-engine', '{"type": "BELL", "bell_id": "bell_7"}'), 'bell_7', 'post_signed returns the id it used');
select is((tests.attempt('a admin', 'select private.post_signed(''scenario-trigger-engine'', ''{}'')')), 'refused', 'and is nobody''s to call');

select * from finish();
rollback;
