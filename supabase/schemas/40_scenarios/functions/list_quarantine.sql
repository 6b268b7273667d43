create function public.list_quarantine(p_organization_id uuid) returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('user_id', q.user_id, 'full_name', u.full_name, 'reason', q.reason,
      'message', q.message, 'since', q.since) order by q.since, q.user_id), '[]')
    from private.quarantine q
    join public.users u on u.organization_id = q.organization_id and u.id = q.user_id
    where q.organization_id = p_organization_id);
end;
$$;
comment on function public.list_quarantine(uuid) is
  'Whose evaluation failed, with reason (SQLSTATE) and message, oldest first. They are left out until public.retry_quarantine.';
revoke all on function public.list_quarantine(uuid) from public, anon, authenticated, service_role;
grant execute on function public.list_quarantine(uuid) to service_role;
