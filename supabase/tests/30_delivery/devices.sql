-- Devices: registered by their owners, moved with their token, taken out of use.
begin;
\ir ../helpers.psql
select plan(26);
select tests.populate();

-- What a call answers an actor, or its error; its effects stay.
create function tests.call(p_actor text, p_statement text) returns text language plpgsql as $$
declare
  v_answer text;
  v_detail text;
begin
  perform tests.become(p_actor);
  execute p_statement into v_answer;
  perform tests.become('postgres');
  return v_answer;
exception when others then
  get stacked diagnostics v_detail = pg_exception_detail;
  return concat_ws(' ', sqlstate, sqlerrm, nullif(v_detail, ''));
end;
$$;
create function tests.register(p_actor text, p_token text, p_provider text default 'fcm', p_platform text default 'android') returns text language sql as
$$ select tests.call(p_actor, format('select public.register_device(%L, %L, %L)', p_provider, p_platform, p_token)) $$;
create function tests.devices() returns text language sql as $$
  select coalesce(string_agg(concat_ws(' ', u.full_name, d.platform, case when not d.is_active then d.deactivated_reason end), ', ' order by d.created_at, d.token), 'none')
  from public.devices d join public.users u on u.organization_id = d.organization_id and u.id = d.user_id
$$;

select ok(tests.register('a mentor', 'fcm-token-number-00001')::jsonb ? 'device_id', 'a device has an id');
select is(tests.devices(), 'mentor android', 'and is its owner''s');
update public.devices set last_seen_at = 'epoch', platform = 'web';
select is(tests.register('a mentor', 'fcm-token-number-00001')::jsonb, (select jsonb_build_object('device_id', d.id) from public.devices d), 'registering again is the same device');
select is((select last_seen_at = now() and platform = 'android' from public.devices), true, 'seen again');
select tests.register('a admin', 'fcm-token-number-00001');
select is(tests.devices(), 'admin android', 'a token moves to whoever signs in with it');
select tests.register('b admin', 'fcm-token-number-00001');
select is((select count(*) from public.devices), 2::bigint, 'another organisation does not know of it');
select is(tests.call('a mentor', $$select public.unregister_device('fcm-token-number-00001')$$), '{"unregistered": false}', 'another''s device is left alone');
select is(tests.call('a admin', $$select public.unregister_device('fcm-token-number-00001')$$), '{"unregistered": true}', 'one''s own is taken out of use');
select is(tests.call('a admin', $$select public.unregister_device('fcm-token-number-00001')$$), '{"unregistered": false}', 'once');
delete from public.devices where organization_id = tests.id('b');
select is(tests.devices(), 'admin android unregistered', 'and says why');
select tests.register('a admin', 'fcm-token-number-00001');
select is(tests.devices(), 'admin android', 'until it is registered again');
select is(tests.register('a mentor', 'ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]', 'expo', 'ios') like '{"device_id": %', true, 'an Expo token');

select is(tests.register('a mentor', 'short'), 'PT400 malformed_token {"expected": "20 to 4096 letters, digits and _:.-", "provider": "fcm"}', 'a malformed token says what is expected');
select is(tests.register('a mentor', 'ExponentPushToken[xx xx]', 'expo'), 'PT400 malformed_token {"expected": "ExponentPushToken[...]", "provider": "expo"}', 'of each provider');
select is(tests.register('a mentor', null), 'PT400 malformed_token {"expected": "20 to 4096 letters, digits and _:.-", "provider": "fcm"}', 'none is malformed, too');
select is(tests.register('a mentor', 'fcm-token-number-00001', 'pigeon'), 'PT400 unknown_provider {"allowed": ["expo", "fcm"], "provider": "pigeon"}', 'an unknown provider');
select is(tests.register('a mentor', 'fcm-token-number-00001', 'fcm', 'fridge'), 'PT400 unknown_platform {"allowed": ["ios", "android", "web"], "platform": "fridge"}', 'an unknown platform');

select is(tests.error($$update public.devices set provider = 'pigeon'$$), 'PT400 unknown_provider {"allowed": ["expo", "fcm"], "provider": "pigeon"}', 'nobody makes one of it');

-- What a dispatcher has is declared by it.
select is(tests.error($$select public.declare_push_providers('{pigeon,Pigeon}')$$), 'PT400 malformed_provider_name {"names": ["pigeon", "Pigeon"], "expected": "1 to 31 of a-z, 0-9 and _, the first a letter"}', 'a malformed name is refused, with all');
select is(tests.error($$select public.declare_push_providers('{pigeon,null}')$$), 'PT400 malformed_provider_name {"names": ["pigeon", null], "expected": "1 to 31 of a-z, 0-9 and _, the first a letter"}', 'so is none');
select is(public.declare_push_providers('{fcm,pigeon,pigeon}'), '{"new": ["pigeon"]}', 'a dispatcher declares a push service');
select is(public.declare_push_providers('{pigeon}'), '{"new": []}', 'once');
select is(public.declare_push_providers('{}'), '{"new": []}', 'one that has none takes none away');
select is(tests.register('a mentor', 'loft 7', 'pigeon'), 'PT400 malformed_token {"expected": "1 to 4096 characters of ASCII without a blank", "provider": "pigeon"}', 'a token of one has some form');
select is(tests.register('a mentor', 'loft-7', 'pigeon') like '{"device_id": %', true, 'its devices are registered');
select is(tests.register('stranger', 'fcm-token-number-00001'), '42501 only_people_have_devices', 'a login that is nobody has no devices');

select * from finish();
rollback;
