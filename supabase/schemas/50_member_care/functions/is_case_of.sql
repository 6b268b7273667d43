create function private.is_case_of(p_status public.case_status, p_assigned_servant_id uuid, p_servant_id uuid) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select p_status in ('open', 'in_progress') and p_assigned_servant_id is not distinct from p_servant_id;
$$;
comment on function private.is_case_of(public.case_status, uuid, uuid) is
  'Whether a case is still to be done, and still this servant''s: else news of it concern them no more.';
revoke all on function private.is_case_of(public.case_status, uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function private.is_case_of(public.case_status, uuid, uuid) to service_role;
