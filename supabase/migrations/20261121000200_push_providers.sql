-- A push service that is added needs no line here: the dispatcher that has it declares it.
set check_function_bodies = off;

create table private.push_providers (
  name text primary key constraint push_provider_name_is_well_formed check (name ~ '^[a-z][a-z0-9_]{0,30}$')
);
comment on table private.push_providers is 'The push services of whose tokens devices may be: these, and what a dispatcher that has more declares (public.declare_push_providers).';
alter table private.push_providers enable row level security;
revoke all on private.push_providers from public, anon, authenticated, service_role;
grant select, insert on private.push_providers to service_role;
insert into private.push_providers (name) values ('expo'), ('fcm');

alter table public.devices drop constraint device_provider_is_known;

create or replace function private.is_device_token(p_provider text, p_token text) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select case p_provider
    when 'fcm' then p_token ~ '^[A-Za-z0-9_:.-]+$' and length(p_token) between 20 and 4096
    when 'expo' then p_token ~ '^Expo(nent)?PushToken\[[A-Za-z0-9_-]{10,200}\]$'
    else p_token ~ '^[!-~]+$' and length(p_token) <= 4096
  end;
$$;
comment on function private.is_device_token(text, text) is
  'Whether a push service could have given this token: fcm, 20 to 4096 of letters, digits and _:.-; expo, ExponentPushToken[…]; any other, 1 to 4096 of ASCII without a blank. Whether it did, only sending tells.';
revoke all on function private.is_device_token(text, text) from public, anon, authenticated, service_role;
grant execute on function private.is_device_token(text, text) to service_role;

create or replace function public.register_device(p_provider text, p_platform text, p_token text) returns jsonb
language plpgsql security definer
set search_path = ''
as $$
declare
  v_organization_id uuid := private.current_organization_id();
  v_user_id uuid := private.current_user_id();
  v_id uuid;
begin
  if v_user_id is null then
    raise exception using errcode = '42501', message = 'only_people_have_devices', hint = 'Sign in as a person of an organisation.';
  end if;
  if p_platform is null or p_platform not in ('ios', 'android', 'web') then
    raise exception using errcode = 'PT400', message = 'unknown_platform',
      detail = jsonb_build_object('platform', p_platform, 'allowed', array['ios', 'android', 'web'])::text;
  end if;
  if private.is_device_token(p_provider, p_token) is not true then
    raise exception using errcode = 'PT400', message = 'malformed_token',
      detail = jsonb_build_object('provider', p_provider, 'expected', case p_provider
        when 'fcm' then '20 to 4096 letters, digits and _:.-'
        when 'expo' then 'ExponentPushToken[...]'
        else '1 to 4096 characters of ASCII without a blank' end)::text,
      hint = 'Pass the token exactly as the push service gave it to the app.';
  end if;
  -- A phone that changes hands, or on which somebody else signs in, goes along with its token.
  insert into public.devices as d (organization_id, user_id, provider, platform, token)
  values (v_organization_id, v_user_id, p_provider, p_platform, p_token)
  on conflict (organization_id, provider, token) do update
    set user_id = excluded.user_id, platform = excluded.platform, is_active = true, deactivated_at = null, deactivated_reason = null,
        last_seen_at = now()
  returning d.id into v_id;
  return jsonb_build_object('device_id', v_id);
end;
$$;
-- Definer because a token may have been another's until now, whose row the caller may not see; it writes for the caller alone.
comment on function public.register_device(text, text, text) is
  'Registers the caller''s phone or browser for pushes; call it at every start of the app. Idempotent; a token that was another''s of the organisation moves. PT400 malformed_token, unknown_provider, unknown_platform.';
revoke all on function public.register_device(text, text, text) from public, anon, authenticated, service_role;
grant execute on function public.register_device(text, text, text) to authenticated;

create function private.check_provider() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if not exists (select from private.push_providers p where p.name = new.provider) then
    raise exception using errcode = 'PT400', message = 'unknown_provider',
      detail = jsonb_build_object('provider', new.provider, 'allowed', (select array_agg(p.name order by p.name) from private.push_providers p))::text;
  end if;
  return new;
end;
$$;
comment on function private.check_provider() is
  'Refuses a device of a push service that no dispatcher has. A trigger, because private.push_providers belongs to no organisation, and foreign keys do. PT400 unknown_provider.';
revoke all on function private.check_provider() from public, anon, authenticated, service_role;

create function public.declare_push_providers(p_names text[]) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_new text[];
begin
  if exists (select from unnest(p_names) as n (name) where n.name ~ '^[a-z][a-z0-9_]{0,30}$' is not true) then
    raise exception using errcode = 'PT400', message = 'malformed_provider_name',
      detail = jsonb_build_object('names', p_names, 'expected', '1 to 31 of a-z, 0-9 and _, the first a letter')::text;
  end if;
  with added as (
    insert into private.push_providers (name) select distinct unnest(p_names) on conflict do nothing returning name
  )
  select coalesce(array_agg(a.name order by a.name), '{}') into v_new from added a;
  return jsonb_build_object('new', v_new);
end;
$$;
comment on function public.declare_push_providers(text[]) is
  'Says which push services a dispatcher has, so that devices may have their tokens; each does at its start. Idempotent; none is taken away, as devices may have its tokens. Returns {new}. PT400 malformed_provider_name.';
revoke all on function public.declare_push_providers(text[]) from public, anon, authenticated, service_role;
grant execute on function public.declare_push_providers(text[]) to service_role;

create trigger devices_check_provider before insert or update of provider on public.devices
  for each row execute function private.check_provider();
