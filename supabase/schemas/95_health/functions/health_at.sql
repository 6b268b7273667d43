create function private.health_at(p_now timestamptz)
returns table (part text, name text, function_name text, finding text, severity text, since timestamptz, says text, remedy text,
  runbook text, figures jsonb, checked_at timestamptz)
language plpgsql stable
set search_path = ''
as $$
begin
  return query
  with looked as (
    select 'foundation' as part, f.name, null::text as function_name, f.finding, f.since, f.figures from private.foundations(p_now) f
    union all
    select 'schedule', s.name, s.function_name, s.finding, s.since, s.figures from private.schedule_health(p_now) s
    union all
    select 'function', r.name, r.name, r.finding, r.since, r.figures from private.ring_health(p_now) r
    union all
    select 'backlog', b.name, b.function_name,
      case when b.waiting > 0 and b.oldest_at <= p_now - b.tolerance then b.finding end, b.oldest_at,
      jsonb_build_object('waiting', b.waiting, 'oldest_at', b.oldest_at, 'tolerance_seconds', extract(epoch from b.tolerance)::bigint)
    from private.backlogs(p_now) b
    union all
    select 'proof', p.name, p.function_name, p.finding, p.since, p.figures from private.proofs() p
  )
  select l.part, l.name, l.function_name, l.finding, coalesce(k.severity, 'ok'), case when l.finding is not null then l.since end,
    k.says, k.remedy, 'docs/runbook.md#' || k.runbook, l.figures, p_now
  from looked l
  left join private.finding_kinds() k on k.code = l.finding
  order by array_position('{foundation,schedule,function,backlog,proof}'::text[], l.part), l.name;
end;
$$;
comment on function private.health_at(timestamptz) is
  'Everything there is to know of how Attend itself is, one row a thing; finding is null where all is well. The clock is an argument: what would be said at that time of what is stored now.';
revoke all on function private.health_at(timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.health_at(timestamptz) to service_role;
