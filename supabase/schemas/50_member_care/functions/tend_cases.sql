create function private.tend_cases(p_organization_id uuid, p_person_ids uuid[], p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_changes private.case_change[] := array(select c from private.case_changes(p_organization_id, p_person_ids, p_now) c);
  v_opened uuid[];
  v_counts jsonb := '{}';
begin
  if v_changes <> '{}' then
    -- Locked in the order of the key and judged again by a statement that sees what was committed meanwhile: of twenty generators
    -- at once one finds something to do.
    perform from public.people p
    where p.organization_id = p_organization_id and p.id in (select c.person_id from unnest(v_changes) as c)
    order by p.id
    for no key update;
    v_changes := array(
      select c from private.case_changes(p_organization_id, array(select distinct c.person_id from unnest(v_changes) as c), p_now) c);
    v_opened := private.apply_case_changes(p_organization_id, v_changes, p_now);
    perform private.retract_case_news(p_organization_id, array(
      select c.case_id from unnest(v_changes) as c where c.action in ('return', 'withdraw', 'assign')), p_now);
    select coalesce(jsonb_object_agg('cases', a.counts), '{}') into v_counts
    from (
      select jsonb_object_agg(n.action, n.n) as counts
      from (select c.action, count(*) as n from unnest(v_changes) as c group by c.action) n
    ) a
    where a.counts is not null;
  end if;
  return private.add_counts(v_counts, private.tell_servants(p_organization_id, p_person_ids, v_opened, p_now));
end;
$$;
comment on function private.tend_cases(uuid, uuid[], timestamptz) is
  'Brings the cases of an organisation''s people (null: of everybody) to what they should be, and tells the servants, in the caller''s transaction. Repeating it changes nothing. Returns {"cases": {"action": n}, "pastoral_case": {"outcome": n}}.';
revoke all on function private.tend_cases(uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.tend_cases(uuid, uuid[], timestamptz) to service_role;
