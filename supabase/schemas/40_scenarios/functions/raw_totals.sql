create function private.raw_totals(
  p_organization_id uuid, p_user_id uuid, p_period text, p_period_start timestamptz, p_at timestamptz)
returns table (sessions integer, minutes integer, contacts integer)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_from timestamptz := coalesce(p_period_start, '-infinity');
  v_to timestamptz := case when p_period = 'year' then ((p_period_start at time zone 'UTC') + interval '1 year') at time zone 'UTC' else 'infinity' end;
begin
  return query
  select count(*)::integer, coalesce(sum(a.duration_minutes), 0)::integer,
    (select count(distinct ac.contact_id)::integer
     from public.activities b
     -- Probed, never joined the other way round: that would read the whole organisation's contacts for one person.
     cross join lateral (
       select c.contact_id from public.activity_contacts c
       where c.organization_id = p_organization_id and c.activity_id = b.id
       offset 0
     ) ac
     where b.organization_id = p_organization_id and b.user_id = p_user_id and b.status = 'completed'
       and b.occurred_at >= v_from and b.occurred_at < v_to and b.occurred_at <= p_at and b.recorded_at <= p_at)
  from public.activities a
  where a.organization_id = p_organization_id and a.user_id = p_user_id and a.status = 'completed'
    and a.occurred_at >= v_from and a.occurred_at < v_to and a.occurred_at <= p_at and a.recorded_at <= p_at;
end;
$$;
comment on function private.raw_totals(uuid, uuid, text, timestamptz, timestamptz) is
  'A person''s sessions, minutes and different contacts of a period, from the activities that had taken place and been recorded at p_at.';
revoke all on function private.raw_totals(uuid, uuid, text, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.raw_totals(uuid, uuid, text, timestamptz, timestamptz) to service_role;
