create function private.are_thresholds(p_values integer[], p_maximum integer) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select coalesce(cardinality(p_values) between 1 and 20 and array_ndims(p_values) = 1
    and 1 <= all (p_values) and p_maximum >= all (p_values)
    and cardinality(p_values) = (select count(distinct v) from unnest(p_values) v), false);
$$;
comment on function private.are_thresholds(integer[], integer) is 'Whether these are one to twenty different whole numbers from 1 to a maximum.';
revoke all on function private.are_thresholds(integer[], integer) from public, anon, authenticated, service_role;
grant execute on function private.are_thresholds(integer[], integer) to service_role;
