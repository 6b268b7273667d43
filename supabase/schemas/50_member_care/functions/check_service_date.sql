create function private.check_service_date() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if new.service_date > private.local_date(now(), (select o.time_zone from public.organizations o where o.id = new.organization_id)) then
    raise exception using errcode = 'check_violation', message = 'service_is_not_in_the_future',
      detail = jsonb_build_object('service_date', new.service_date)::text, schema = tg_table_schema, table = tg_table_name,
      constraint = 'service_is_not_in_the_future', hint = 'A service is entered once it takes place, by the day of the organisation''s time zone.';
  end if;
  return new;
end;
$$;
comment on function private.check_service_date() is
  'Trigger on public.services: a day that the organisation has not reached yet is refused, and so is attendance on it.';
revoke all on function private.check_service_date() from public, anon, authenticated, service_role;
