create function private.certificates_as_of(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_user_ids uuid[], p_as_of timestamptz)
returns table (certificate_id uuid, user_id uuid, name text, expires_at timestamptz, is_valid boolean)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  if p_as_of is null then
    return query
    select c.id, c.user_id, c.name, c.expires_at, c.revoked_at is null and c.replaced_by is null
    from public.certificates c
    where c.organization_id = p_organization_id
      and (p_from_user is null or c.user_id >= p_from_user) and (p_to_user is null or c.user_id < p_to_user)
      and (p_user_ids is null or c.user_id = any (p_user_ids));
    return;
  end if;
  return query
  select distinct on (h.certificate_id) h.certificate_id, h.user_id, h.name, h.expires_at, h.revoked_at is null and h.replaced_by is null
  from (
    select g.certificate_id, g.user_id, g.name, g.expires_at, g.revoked_at, g.replaced_by, g.created_at, g.valid_to, g.id
    from private.certificate_history g
    where g.organization_id = p_organization_id and g.valid_to > p_as_of
    union all
    select c.id, c.user_id, c.name, c.expires_at, c.revoked_at, c.replaced_by, c.created_at, 'infinity', null
    from public.certificates c
    where c.organization_id = p_organization_id
  ) h
  where h.created_at <= p_as_of
    and (p_from_user is null or h.user_id >= p_from_user) and (p_to_user is null or h.user_id < p_to_user)
    and (p_user_ids is null or h.user_id = any (p_user_ids))
  order by h.certificate_id, h.valid_to, h.id;
end;
$$;
comment on function private.certificates_as_of(uuid, uuid, uuid, uuid[], timestamptz) is
  'The certificates of a range or list of people, now (null) or as they stood at p_as_of. is_valid: neither revoked nor replaced.';
revoke all on function private.certificates_as_of(uuid, uuid, uuid, uuid[], timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.certificates_as_of(uuid, uuid, uuid, uuid[], timestamptz) to service_role;
