create function private.tend_cases(p_organization_id uuid, p_person_ids uuid[], p_now timestamptz) returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_person_ids uuid[] := p_person_ids;
  v_perhaps uuid[];
  v_changes private.case_change[];
  v_opened private.notification_claim[];
  v_left uuid[];
  v_counts jsonb := '{}';
begin
  if p_person_ids is null then
    select array_agg(t.person_id) filter (where t.is_certain), array_agg(t.person_id) filter (where not t.is_certain)
      into v_person_ids, v_perhaps
    from private.people_to_tend(p_organization_id) t;
    -- Judged without their locks, so that a case which waits for its servant and nothing else is not written to night after night.
    if v_perhaps <> '{}' then
      v_person_ids := v_person_ids || array(
        select distinct c.person_id from private.case_changes(p_organization_id, v_perhaps, p_now) c);
    end if;
  end if;
  if v_person_ids <> '{}' then
    -- Locked in the order of the key, and judged by a statement that sees what was committed meanwhile: of twenty generators at
    -- once one finds something to do.
    perform from public.people p
    where p.organization_id = p_organization_id and p.id = any (v_person_ids)
    order by p.id
    for no key update;
    v_changes := array(select c from private.case_changes(p_organization_id, v_person_ids, p_now) c);
    v_opened := private.apply_case_changes(p_organization_id, v_changes, p_now);
    v_left := array(select c.case_id from unnest(v_changes) as c where c.action in ('return', 'withdraw', 'assign'));
    if v_left <> '{}' then
      -- Before anybody is told, so that it makes room in their day; so whoever is about to be told is locked along, for all of
      -- these locks to be taken in the order of the key.
      perform from public.users u
      where u.organization_id = p_organization_id and u.id in (
        select unnest(private.servants_with_news(p_organization_id, v_left))
        union all
        select o.user_id from unnest(v_opened) as o
        union all
        select c.assigned_servant_id from public.pastoral_cases c where c.organization_id = p_organization_id and c.untold is not null)
      order by u.id
      for no key update;
      perform private.retract_case_news(p_organization_id, v_left, p_now);
    end if;
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
