create function public.replay_outbox(
  p_organization_id uuid default null, p_scenario text default null, p_from timestamptz default null, p_to timestamptz default null,
  p_error text default null, p_limit integer default 1000, p_now timestamptz default now())
returns jsonb
language plpgsql
set search_path = ''
set statement_timeout = '55s'
set plan_cache_mode = force_custom_plan
as $$
declare
  v_organization_ids uuid[];
  v_ids uuid[];
  v_replayed integer := 0;
begin
  perform private.check_limit(p_limit, 10000);
  if p_scenario is not null then
    perform private.check_scenario_type(p_scenario);
  end if;
  with dead as (
    select o.organization_id, o.id
    from private.outbox o
    join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
    where o.state = 'dead' and (p_organization_id is null or o.organization_id = p_organization_id)
      and (p_from is null or o.created_at >= p_from) and (p_to is null or o.created_at < p_to)
      and (p_scenario is null or n.scenario = p_scenario)
      and (p_error is null or strpos(lower(o.last_error), lower(p_error)) > 0)
    order by o.organization_id, o.id
    limit p_limit
    for no key update of o
  )
  select array_agg(d.organization_id), array_agg(d.id) into v_organization_ids, v_ids from dead d;
  if v_ids is not null then
    v_replayed := private.requeue_pushes(v_organization_ids, v_ids, 'replayed', p_now);
  end if;
  return jsonb_build_object('replayed', v_replayed, 'more', v_replayed = p_limit);
end;
$$;
comment on function public.replay_outbox(uuid, text, timestamptz, timestamptz, text, integer, timestamptz) is
  'Tries dead letters again: all, or those of an organisation, a scenario, a time of creation (from inclusive, to exclusive) or with this text in their error; up to p_limit, and whether there may be more. A second replay finds none of them dead, and does nothing. Whoever has a push on one device is not sent it there again.';
revoke all on function public.replay_outbox(uuid, text, timestamptz, timestamptz, text, integer, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.replay_outbox(uuid, text, timestamptz, timestamptz, text, integer, timestamptz) to service_role;
