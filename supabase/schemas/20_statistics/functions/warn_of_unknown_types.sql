create function private.warn_of_unknown_types() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into public.statistics_warnings (organization_id, user_id, rule, details)
  select n.organization_id, n.user_id, 'type_breakdown_keys_valid',
    jsonb_build_object('statistics_id', n.id, 'unknown_types', jsonb_agg(k.key order by k.key))
  from new_rows n
  cross join lateral jsonb_object_keys(n.activity_type_breakdown) as k (key)
  where not exists (select from public.activity_types t where t.organization_id = n.organization_id and t.id = k.key)
  group by n.organization_id, n.user_id, n.id;
  return null;
end;
$$;
-- Definer because whoever writes statistics need not be allowed to write warnings.
comment on function private.warn_of_unknown_types() is 'Trigger: records rows whose activity_type_breakdown names types the organisation does not have.';
revoke all on function private.warn_of_unknown_types() from public, anon, authenticated, service_role;
