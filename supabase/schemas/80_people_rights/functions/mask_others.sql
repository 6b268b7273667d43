create function private.mask_others(p_organization_id uuid, p_own_name text, p_value jsonb) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_text constant text := lower(p_value::text);
begin
  return private.mask_names(p_value, private.name_pattern(array(
    select o.name
    from (
      select u.full_name as name from public.users u where u.organization_id = p_organization_id
      union all
      select p.full_name from public.people p where p.organization_id = p_organization_id
      union all
      select c.display_name from public.contacts c where c.organization_id = p_organization_id
      union all
      select s.full_name from public.students s where s.organization_id = p_organization_id
    ) o
    -- Nobody may be told who else is written of; their own name, and what is part of it, is theirs.
    where strpos(v_text, lower(btrim(to_json(o.name)::text, '"'))) > 0
      and strpos(lower(coalesce(p_own_name, '')), lower(o.name)) = 0)), '[another person]');
end;
$$;
comment on function private.mask_others(uuid, text, jsonb) is
  'A document of free text in which the names of other people of the organisation read "[another person]". A first name alone, or a nickname, is not found.';
revoke all on function private.mask_others(uuid, text, jsonb) from public, anon, authenticated, service_role;
