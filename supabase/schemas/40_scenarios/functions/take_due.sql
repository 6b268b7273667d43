create function private.take_due(p_organization_id uuid, p_now timestamptz, p_changed_only boolean) returns uuid[]
language plpgsql
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_clock record;
  v_rule private.scenario_rule;
  v_earliest timestamptz := p_now;
  v_is_taken boolean := false;
  v_due uuid[] := '{}';
begin
  for v_clock in
    -- Who finds a clock taken leaves it to the other tick.
    select c.evaluated_until, c.rule_id
    from private.rule_clocks c
    where c.organization_id = p_organization_id and c.evaluated_until < p_now
      and (c.evaluated_until = '-infinity' or not p_changed_only)
    order by c.rule_id
    for no key update of c skip locked
  loop
    -- The rule is read once its clock is held: an edit until then is seen, and a later one waits to reset the clock.
    select r.* into v_rule from unnest(private.rules_of(p_organization_id, null)) as r where r.id = v_clock.rule_id;
    v_due := v_due || private.due_of_rule(v_rule, v_clock.evaluated_until, p_now);
    v_earliest := least(v_earliest, nullif(v_clock.evaluated_until, '-infinity'));
    v_is_taken := true;
    update private.rule_clocks c set evaluated_until = p_now
    where c.organization_id = p_organization_id and c.rule_id = v_clock.rule_id;
  end loop;
  if not v_is_taken then
    return null;
  end if;
  -- Gates that end by themselves: a full day, a rule spread over days, an absence.
  with looked_at as (
    update private.held_decisions h set look_again_at = null
    where h.organization_id = p_organization_id and h.look_again_at <= p_now
    returning h.user_id
  )
  select array_agg(d.user_id) into v_due
  from (
    select unnest(v_due) as user_id
    union
    select l.user_id from looked_at l
    union
    select u.id from public.users u
    where u.organization_id = p_organization_id and u.away_until > v_earliest and u.away_until <= p_now
    union
    -- Whoever leaves is not to be told what still waits to be pushed.
    select u.id from public.users u
    where u.organization_id = p_organization_id and u.away_from > v_earliest and u.away_from <= p_now
  ) d;
  return v_due;
end;
$$;
comment on function private.take_due(uuid, timestamptz, boolean) is
  'Moves the clocks of an organisation''s rules to p_now, and returns who has become due meanwhile; null: nobody. In one transaction with their marks.';
revoke all on function private.take_due(uuid, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.take_due(uuid, timestamptz, boolean) to service_role;
