create function private.check_limit(p_limit integer, p_maximum integer) returns void
language plpgsql immutable parallel safe
set search_path = ''
as $$
begin
  if p_limit is null or p_limit not between 1 and p_maximum then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', p_maximum)::text;
  end if;
end;
$$;
comment on function private.check_limit(integer, integer) is 'Raises PT400 limit_out_of_range unless the limit lies between 1 and the maximum.';
revoke all on function private.check_limit(integer, integer) from public, anon, authenticated, service_role;
grant execute on function private.check_limit(integer, integer) to service_role;
