create function private.seed_activity_types() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  insert into public.activity_types (organization_id, id, label, category)
  select o.id, t.id, t.label, t.category
  from new_rows o
  cross join (values
    ('home-visit', 'Home visit', 'home_visit'::public.activity_category),
    ('phone-call', 'Phone call', 'phone_call'),
    ('group-meeting', 'Group meeting', 'group'),
    ('other', 'Other', 'other')
  ) as t (id, label, category)
  on conflict do nothing;
  return null;
end;
$$;
-- Definer because whoever may create an organisation need not be allowed to write its activity types.
comment on function private.seed_activity_types() is 'Trigger: a new organisation starts with the well-known activity types.';
revoke all on function private.seed_activity_types() from public, anon, authenticated, service_role;
