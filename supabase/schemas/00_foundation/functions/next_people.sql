create function private.next_people(
  p_from_organization uuid, p_from_user uuid, p_to_organization uuid, p_to_user uuid, p_limit integer)
returns table (organization_id uuid, people integer, next_user uuid)
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
begin
  if p_limit is null or p_limit not between 1 and 100000 then
    raise exception using errcode = 'PT400', message = 'chunk_size_out_of_range',
      detail = jsonb_build_object('chunk_size', p_limit, 'minimum', 1, 'maximum', 100000)::text;
  end if;
  -- One statement, so that the people counted and the person who follows them are of one snapshot. Where the range ends is
  -- asked outside: as a condition of the index it would be read to the end of the organisation in search of one more. (Read twice,
  -- for numbering the rows takes longer than reading them.)
  return query
    select p.organization_id, sum(p.people)::integer, (array_agg(p.next_user) filter (where p.next_user is not null))[1]
    from (
      select c.organization_id, count(*) as people, null::uuid as next_user
      from (
        select u.organization_id, u.id from public.users u
        where (u.organization_id, u.id) >= (p_from_organization, p_from_user)
        order by u.organization_id, u.id limit p_limit
      ) c
      where p_to_organization is null or (c.organization_id, c.id) < (p_to_organization, p_to_user)
      group by c.organization_id
      union all
      select n.organization_id, 0, n.id
      from (
        select u.organization_id, u.id from public.users u
        where (u.organization_id, u.id) >= (p_from_organization, p_from_user)
        order by u.organization_id, u.id offset p_limit limit 1
      ) n
      where p_to_organization is null or (n.organization_id, n.id) < (p_to_organization, p_to_user)
    ) p
    group by p.organization_id
    order by p.organization_id;
end;
$$;
comment on function private.next_people(uuid, uuid, uuid, uuid, integer) is
  'The next p_limit people of a range (from inclusive, to exclusive, null: open) in key order, counted by organisation; next_user is who follows them, in their own organisation''s row. PT400 chunk_size_out_of_range.';
revoke all on function private.next_people(uuid, uuid, uuid, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function private.next_people(uuid, uuid, uuid, uuid, integer) to service_role;
