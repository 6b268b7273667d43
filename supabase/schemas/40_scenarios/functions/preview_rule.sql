create function public.preview_rule(p_organization_id uuid, p_rule jsonb, p_now timestamptz default now()) returns jsonb
language plpgsql stable
set search_path = ''
set statement_timeout = '55s'
as $$
declare
  v_new private.scenario_rule := private.draft_rule(p_organization_id, p_rule);
  v_old private.scenario_rule;
  v_after uuid[];
  v_added bigint;
  v_removed bigint;
begin
  select r.* into v_old from unnest(private.rules_of(p_organization_id, null)) as r where r.id = v_new.id;
  -- People are counted, by what they match in: another threshold or lead concerns people whom the rule concerned before.
  with before as materialized (
    select m.user_id, m.subject from private.matching_subjects(v_old, p_now) m
  ), after as materialized (
    select m.user_id, m.subject from private.matching_subjects(v_new, p_now) m
  )
  select array(select distinct a.user_id from after a),
    (select count(distinct d.user_id) from (select * from after except select * from before) d),
    (select count(distinct d.user_id) from (select * from before except select * from after) d)
    into v_after, v_added, v_removed;
  return jsonb_build_object(
    'rule', to_jsonb(v_new), 'matching', cardinality(v_after), 'added', v_added, 'removed', v_removed,
    'needs_activation', v_new.is_enabled and (v_old.is_enabled is not true or v_added > 0),
    'activations', case when v_new.is_enabled then (
      select jsonb_object_agg(c.activation, (
        select count(*) from private.scenario_gates(p_organization_id, null, null, v_after,
          array[private.activate_rule(v_new, c.activation, case c.activation when 'spread' then 7 end, p_now)], p_now, null) g
        where g.gate in ('would_send', 'quiet_hours')))
      from unnest(case v_new.type when 'certification_expiry' then '{all}'::text[] else '{skip,all,spread}' end) as c (activation)) end);
end;
$$;
comment on function public.preview_rule(uuid, jsonb, timestamptz) is
  'What a new rule, or with "id" an edit, would change, without effects: {rule, matching, added, removed, needs_activation, activations: {skip|all|spread: how many would be told at once (spread: over 7 days)}}. added and removed are people who match in something they did not match in before, or no longer do; public.save_rule wants them back.';
revoke all on function public.preview_rule(uuid, jsonb, timestamptz) from public, anon, authenticated, service_role;
grant execute on function public.preview_rule(uuid, jsonb, timestamptz) to service_role;
