create function private.link_invited_login() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  -- The oldest invitation wins: one login is one person, and one organisation for life.
  with invitation as (
    select i.organization_id, i.id, i.user_id
    from public.invitations i
    where i.email = lower(new.email) and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()
    order by i.created_at, i.organization_id, i.id
    limit 1
    for update skip locked
  ), linked as (
    insert into public.user_logins (auth_user_id, organization_id, user_id)
    select new.id, i.organization_id, i.user_id from invitation i
    on conflict do nothing
    returning organization_id, user_id
  )
  update public.invitations i set accepted_at = now()
  from invitation chosen
  join linked l on l.organization_id = chosen.organization_id and l.user_id = chosen.user_id
  where i.organization_id = chosen.organization_id and i.id = chosen.id;
  return null;
end;
$$;
-- Definer because sign-ups run as supabase_auth_admin, who may use none of our schemas.
comment on function private.link_invited_login() is
  'Trigger on auth.users: the first sign-in with a confirmed address links the invited person. An address nobody confirmed links nothing.';
revoke all on function private.link_invited_login() from public, anon, authenticated, service_role;
