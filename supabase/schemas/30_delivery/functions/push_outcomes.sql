create function private.push_outcomes(p_outcomes jsonb, p_may_be_unknown boolean) returns private.push_outcome[]
language plpgsql stable
set search_path = ''
as $$
declare
  v_outcomes private.push_outcome[];
begin
  if jsonb_typeof(p_outcomes) is distinct from 'array' then
    raise exception using errcode = 'PT400', message = 'outcomes_are_not_an_array';
  end if;
  v_outcomes := array(select o from jsonb_populate_recordset(null::private.push_outcome, p_outcomes) o);
  if exists (
    select from unnest(v_outcomes) as o
    where o.organization_id is null or o.outbox_id is null or o.device_id is null
      or (o.verdict is null and not p_may_be_unknown) or o.verdict not in ('sent', 'device_gone', 'retry', 'refused'))
  then
    raise exception using errcode = 'PT400', message = 'malformed_outcome',
      detail = jsonb_build_object('verdicts', array['sent', 'device_gone', 'retry', 'refused'])::text,
      hint = 'Each outcome names organization_id, outbox_id, device_id and a verdict.';
  end if;
  return v_outcomes;
end;
$$;
comment on function private.push_outcomes(jsonb, boolean) is 'Reads outcomes from JSON. PT400 outcomes_are_not_an_array, malformed_outcome.';
revoke all on function private.push_outcomes(jsonb, boolean) from public, anon, authenticated, service_role;
grant execute on function private.push_outcomes(jsonb, boolean) to service_role;
