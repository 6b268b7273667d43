create function public.list_outbox(
  p_organization_id uuid default null, p_states text[] default null, p_scenario text default null, p_user_id uuid default null,
  p_from timestamptz default null, p_to timestamptz default null, p_after jsonb default null, p_limit integer default 100)
returns jsonb
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_states public.outbox_state[];
  v_found private.outbox[];
  v_last private.outbox;
begin
  perform private.check_limit(p_limit, 1000);
  if exists (select from unnest(p_states) as s where not pg_catalog.pg_input_is_valid(s, 'public.outbox_state')) then
    raise exception using errcode = 'PT400', message = 'unknown_state',
      detail = jsonb_build_object('states', p_states, 'allowed', enum_range(null::public.outbox_state))::text;
  end if;
  v_states := p_states::public.outbox_state[];
  if p_scenario is not null then
    perform private.check_scenario_type(p_scenario);
  end if;
  -- What is over comes off its index, newest first; of what is not, there is only as much as waits.
  v_found := array(
    with asked as not materialized (
      select o.*
      from private.outbox o
      where (p_organization_id is null or o.organization_id = p_organization_id)
        and (v_states is null or o.state = any (v_states))
        and (p_user_id is null or o.user_id = p_user_id)
        and (p_from is null or o.created_at >= p_from) and (p_to is null or o.created_at < p_to)
        and (p_after is null or (o.created_at, o.id) < ((p_after ->> 'created_at')::timestamptz, (p_after ->> 'outbox_id')::uuid))
        and (p_scenario is null or exists (
          select from public.notifications n
          where n.organization_id = o.organization_id and n.id = o.notification_id and n.scenario = p_scenario))
    ), over as (
      select * from asked a where a.state in ('sent', 'skipped', 'retracted', 'dead') order by a.created_at desc, a.id desc limit p_limit
    ), open as (
      select * from asked a where a.state in ('pending', 'deferred', 'failed', 'claimed') order by a.created_at desc, a.id desc limit p_limit
    )
    select f::private.outbox from (select * from over union all select * from open) f order by f.created_at desc, f.id desc limit p_limit);
  v_last := v_found[p_limit];
  return jsonb_build_object(
    'rows', (select coalesce(jsonb_agg(private.outbox_row(f.organization_id, f.id) order by f.created_at desc, f.id desc), '[]') from unnest(v_found) as f),
    'next', case when v_last.id is not null then jsonb_build_object('created_at', v_last.created_at, 'outbox_id', v_last.id) end);
end;
$$;
comment on function public.list_outbox(uuid, text[], text, uuid, timestamptz, timestamptz, jsonb, integer) is
  'The outbox, newest first: {rows, next}. Hand next back as p_after for the rows that follow; null: these were the last. PT400 unknown_state, unknown_scenario.';
revoke all on function public.list_outbox(uuid, text[], text, uuid, timestamptz, timestamptz, jsonb, integer) from public, anon, authenticated, service_role;
grant execute on function public.list_outbox(uuid, text[], text, uuid, timestamptz, timestamptz, jsonb, integer) to service_role;
