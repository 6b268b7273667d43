create function private.certification_expiry_candidates(
  p_organization_id uuid, p_from_user uuid, p_to_user uuid, p_after timestamptz, p_until timestamptz)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  return (
    select array_agg(distinct c.user_id)
    from public.certificates c
    where c.organization_id = p_organization_id and c.revoked_at is null and c.replaced_by is null
      and c.expires_at > p_after and c.expires_at <= p_until
      and (p_from_user is null or c.user_id >= p_from_user) and (p_to_user is null or c.user_id < p_to_user));
end;
$$;
comment on function private.certification_expiry_candidates(uuid, uuid, uuid, timestamptz, timestamptz) is
  'Everybody of a range with a certificate that expires after p_after and not after p_until; null: nobody.';
revoke all on function private.certification_expiry_candidates(uuid, uuid, uuid, timestamptz, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.certification_expiry_candidates(uuid, uuid, uuid, timestamptz, timestamptz) to service_role;
