create function private.question_time(p_organization_id uuid, p_at timestamptz) returns timestamptz
language plpgsql stable
set search_path = ''
as $$
declare
  v_since timestamptz;
begin
  -- An answer that lacks what the housekeeping has deleted would be a wrong one.
  select greatest(o.created_at, private.kept_since('histories', now()), private.kept_since('notifications', now())) into v_since
  from public.organizations o where o.id = p_organization_id;
  if not found then
    raise exception using errcode = 'PT404', message = 'unknown_organization',
      detail = jsonb_build_object('organization_id', p_organization_id)::text;
  end if;
  if p_at > now() + interval '1 minute' or p_at < v_since then
    raise exception using errcode = 'PT400', message = 'time_out_of_range',
      detail = jsonb_build_object('at', p_at, 'earliest', v_since, 'latest', now())::text,
      hint = 'Facts are known from the organisation''s first day until now, as far back as histories and notifications are kept.';
  end if;
  return case when p_at < now() then p_at end;
end;
$$;
comment on function private.question_time(uuid, timestamptz) is
  'The time a question is about: null for now (p_at null or this moment), else p_at. PT400 time_out_of_range for the future, for before the organisation was, and for what is no longer kept (private.retention); PT404 unknown_organization.';
revoke all on function private.question_time(uuid, timestamptz) from public, anon, authenticated, service_role;
grant execute on function private.question_time(uuid, timestamptz) to service_role;
