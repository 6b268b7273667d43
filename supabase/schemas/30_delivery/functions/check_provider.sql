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
