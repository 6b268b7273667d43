create function private.are_engagement_numbers(p_value jsonb, p_minimum numeric) returns boolean
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  v_parts constant text[] := '{attendance,groups,volunteering,classes,donations}';
begin
  if jsonb_typeof(p_value) <> 'object' or p_value = '{}' or p_value - v_parts <> '{}'
    or exists (select from jsonb_each(p_value) e where jsonb_typeof(e.value) <> 'number')
  then
    return false;
  end if;
  -- Whoever names every part may not make them all nothing: the score divides by their sum.
  return (select bool_and(e.value::numeric between p_minimum and 1000000) from jsonb_each_text(p_value) e)
    and not (p_value ?& v_parts and (select bool_and(e.value::numeric = 0) from jsonb_each_text(p_value) e));
end;
$$;
comment on function private.are_engagement_numbers(jsonb, numeric) is
  'Whether this is an object of numbers from p_minimum by parts of the engagement score: some of them or all, and not all of them 0.';
revoke all on function private.are_engagement_numbers(jsonb, numeric) from public, anon, authenticated, service_role;
grant execute on function private.are_engagement_numbers(jsonb, numeric) to authenticated, service_role;
