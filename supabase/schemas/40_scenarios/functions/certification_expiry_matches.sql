create function private.certification_expiry_matches(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_rules private.scenario_rule[],
  p_now timestamptz, p_as_of timestamptz, p_matched_only boolean)
returns setof private.scenario_match
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_user_ids uuid[] := p_user_ids;
  v_longest interval := (select make_interval(hours => 24 * max(l)) from unnest(p_rules) r, unnest(r.lead_days) l where r.type = 'certification_expiry');
begin
  if v_longest is null then
    return;
  end if;
  if p_matched_only and p_user_ids is null and p_as_of is null then
    v_user_ids := private.certification_expiry_candidates(p_organization_id, p_from_user, p_to_user, p_now, p_now + v_longest);
    if v_user_ids is null then
      return;
    end if;
  end if;
  return query
  with judged as materialized (
    select f.user_id, f.away_until, r.id as rule_id, c.certificate_id, c.name, c.expires_at, c.is_valid, l.lead, s.crosses_at,
      case
        when not r.is_enabled then 'rule_disabled'
        when not f.is_active then 'person_inactive'
        when f.away_from <= p_now and (f.away_until is null or p_now < f.away_until) then 'away'
        when (c.is_valid and s.crosses_at <= p_now and p_now < c.expires_at) is not true then 'not_matched'
      end as gate,
      min(l.lead) filter (where s.crosses_at <= p_now) over (partition by r.id, c.certificate_id) as shortest_due
    from private.facts(p_organization_id, p_from_user, p_to_user, v_user_ids, p_as_of) f
    cross join unnest(p_rules) r
    cross join unnest(r.lead_days) as l (lead)
    left join private.certificates_as_of(p_organization_id, p_from_user, p_to_user, v_user_ids, p_as_of) c on c.user_id = f.user_id
    cross join lateral (select c.expires_at - make_interval(hours => 24 * l.lead) as crosses_at) s
    where r.type = 'certification_expiry'
  )
  select j.user_id, 'certification_expiry', j.rule_id, concat_ws(':', j.rule_id, j.certificate_id, j.lead), j.gate,
    case when j.gate is null then j.crosses_at end,
    case when j.gate is null and j.lead > j.shortest_due then 'superseded' end,
    case when j.gate is null and j.lead > j.shortest_due then concat_ws(':', j.rule_id, j.certificate_id, j.shortest_due) end,
    case j.gate when 'away' then j.away_until when 'not_matched' then case when j.is_valid and j.crosses_at > p_now then j.crosses_at end end,
    jsonb_strip_nulls(jsonb_build_object('certificate_id', j.certificate_id, 'name', j.name, 'expires_at', j.expires_at,
      'lead_days', j.lead, 'is_valid', case when j.gate is not null then j.is_valid end,
      'away_until', case when j.gate = 'away' then j.away_until end,
      'would_cross_at', case when j.gate is not null then j.crosses_at end))
  from judged j
  where j.gate is null or not p_matched_only;
end;
$$;
comment on function private.certification_expiry_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) is
  'The certification expiry evaluator: for everybody of a range or list, each of these rules of the type, each certificate and lead, whether the certificate is about to expire. Of several leads due the shortest is told. Arguments as private.inactivity_matches (rules.md §3).';
revoke all on function private.certification_expiry_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) from public, anon, authenticated, service_role;
grant execute on function private.certification_expiry_matches(uuid, uuid, uuid, uuid[], private.scenario_rule[], timestamptz, timestamptz, boolean) to service_role;
