create function public.dry_run_scenarios(
  p_organization_id uuid, p_at timestamptz default null, p_after_user uuid default null, p_limit integer default 500,
  p_scenario text default null)
returns jsonb
language plpgsql stable
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_after uuid := p_after_user;
  v_ids uuid[];
  v_rows jsonb;
begin
  if p_limit is null or p_limit not between 1 and 10000 then
    raise exception using errcode = 'PT400', message = 'limit_out_of_range',
      detail = jsonb_build_object('limit', p_limit, 'minimum', 1, 'maximum', 10000)::text;
  end if;
  if p_scenario is not null then
    perform private.check_rule_type(p_scenario);
  end if;
  perform private.question_time(p_organization_id, p_at);
  -- Until somebody has a row: of a page of people who came later, a question about the past has none, and [] means the end.
  loop
    v_ids := array(
      select u.id from public.users u
      where u.organization_id = p_organization_id and (v_after is null or u.id > v_after)
      order by u.id limit p_limit);
    if v_ids = '{}' then
      return '[]';
    end if;
    v_rows := private.explanations(p_organization_id, v_ids, p_scenario, p_at);
    if v_rows <> '[]' then
      return v_rows;
    end if;
    v_after := v_ids[cardinality(v_ids)];
  end loop;
end;
$$;
comment on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer, text) is
  'What an evaluation would do now, or would have done at p_at on the facts of then, without effects: rows of each person, rule and subject with the gate, for the p_limit people after p_after_user. Page until []. One JSON value, so no row limit of the API cuts it. PT400 time_out_of_range, limit_out_of_range, unknown_scenario; PT404 unknown_organization.';
revoke all on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer, text) from public, anon, authenticated, service_role;
grant execute on function public.dry_run_scenarios(uuid, timestamptz, uuid, integer, text) to service_role;
