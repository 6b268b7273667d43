create table public.activity_types (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id text not null constraint activity_type_id_is_a_slug check (id ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  label text not null constraint activity_type_label_is_not_blank check (btrim(label) <> ''),
  category public.activity_category not null,
  primary key (organization_id, id)
);
comment on table public.activity_types is 'Kinds of activity of an organisation. home-visit and phone-call are the well-known ids.';

create table public.contacts (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  display_name text,
  created_at timestamptz not null default now(),
  primary key (organization_id, id)
);
comment on table public.contacts is 'Somebody the organisation''s people are in touch with.';

create table public.activities (
  organization_id uuid not null,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  activity_type_id text not null,
  occurred_at timestamptz not null,
  recorded_at timestamptz not null default now(),
  duration_minutes integer not null default 0,
  status public.activity_status not null default 'completed',
  approval public.approval_status not null default 'pending',
  proxy_registered_by uuid,
  primary key (organization_id, id),
  foreign key (organization_id, user_id) references public.users (organization_id, id) on delete cascade,
  foreign key (organization_id, activity_type_id) references public.activity_types (organization_id, id) on update cascade,
  foreign key (organization_id, proxy_registered_by)
    references public.users (organization_id, id) on delete set null (proxy_registered_by),
  constraint duration_is_between_zero_and_a_week check (duration_minutes between 0 and 10080),
  constraint occurred_at_is_not_before_1970 check (occurred_at >= timestamptz '1970-01-01 00:00+00'),
  -- The clock is the database's, a minute tolerant; only writes are judged, so an old row stays valid for ever.
  constraint completed_is_not_in_the_future check (status <> 'completed' or occurred_at <= now() + interval '1 minute')
);
comment on table public.activities is 'What a person did or plans to do. Belongs to who it was done by (user_id), never to who typed it (proxy_registered_by).';
comment on column public.activities.recorded_at is 'When the database learned of it.';
-- A person's last completed activity is one probe, and a period's figures are read without touching the table.
create index activities_completed on public.activities (organization_id, user_id, occurred_at desc)
  include (id, activity_type_id, duration_minutes, approval, proxy_registered_by) where status = 'completed';
-- The conditions are always true, and keep these indexes away from the checks of foreign keys: when autovacuum finds only
-- rows that are not committed yet, all indexes cost the same, the one made last wins, and each check reads a whole
-- organisation (tests/benchmarks/test_growth.py).
create index activities_activity_type_id on public.activities (organization_id, activity_type_id) where activity_type_id is not null;
create index activities_user_id on public.activities (organization_id, user_id) where user_id is not null;
create index activities_proxy_registered_by on public.activities (organization_id, proxy_registered_by)
  where proxy_registered_by is not null;

create table public.activity_contacts (
  organization_id uuid not null,
  activity_id uuid not null,
  contact_id uuid not null,
  primary key (organization_id, activity_id, contact_id),
  foreign key (organization_id, activity_id) references public.activities (organization_id, id) on delete cascade,
  foreign key (organization_id, contact_id) references public.contacts (organization_id, id) on delete cascade
);
comment on table public.activity_contacts is 'Who was met in an activity. A change here is a change of the activity.';
-- Always true: keeps it away from looking up an activity's contacts (see activities_user_id).
create index activity_contacts_contact_id on public.activity_contacts (organization_id, contact_id) where contact_id is not null;

alter table public.activity_types enable row level security;
alter table public.contacts enable row level security;
alter table public.activities enable row level security;
alter table public.activity_contacts enable row level security;

create policy "people read their organisation's activity types" on public.activity_types for select to authenticated
  using (organization_id = (select private.current_organization_id()));
create policy "admins add activity types" on public.activity_types for insert to authenticated
  with check (organization_id = (select private.organization_as('{admin}')));
create policy "admins change activity types" on public.activity_types for update to authenticated
  using (organization_id = (select private.organization_as('{admin}')))
  with check (organization_id = (select private.organization_as('{admin}')));

create policy "active people read their organisation's contacts" on public.contacts for select to authenticated
  using (organization_id = (select private.organization_as('{peer_mentor,coordinator,manager,admin}')));
create policy "active people add contacts" on public.contacts for insert to authenticated
  with check (organization_id = (select private.organization_as('{peer_mentor,coordinator,admin}')));
create policy "coordinators change contacts" on public.contacts for update to authenticated
  using (organization_id = (select private.organization_as('{coordinator,admin}')))
  with check (organization_id = (select private.organization_as('{coordinator,admin}')));

-- Mentors write their own; coordinators write for anybody of the organisation and sign as the one who typed it.
create policy "people read their own activities, staff read the organisation's" on public.activities for select to authenticated
  using (
    organization_id = (select private.organization_as('{coordinator,manager,admin}'))
    or (organization_id = (select private.current_organization_id()) and user_id = (select private.current_user_id()))
  );
create policy "mentors add their own activities, coordinators by proxy" on public.activities for insert to authenticated
  with check (
    (organization_id = (select private.organization_as('{peer_mentor,coordinator,admin}'))
      and user_id = (select private.current_user_id()) and proxy_registered_by is null and approval = 'pending')
    or (organization_id = (select private.organization_as('{coordinator,admin}'))
      and user_id <> (select private.current_user_id()) and proxy_registered_by = (select private.current_user_id()))
  );
create policy "mentors change their own pending activities, coordinators others'" on public.activities for update to authenticated
  using (
    (organization_id = (select private.organization_as('{peer_mentor,coordinator,admin}'))
      and user_id = (select private.current_user_id()) and approval = 'pending')
    or (organization_id = (select private.organization_as('{coordinator,admin}')) and user_id <> (select private.current_user_id()))
  )
  with check (
    (organization_id = (select private.organization_as('{peer_mentor,coordinator,admin}'))
      and user_id = (select private.current_user_id()) and approval = 'pending')
    or (organization_id = (select private.organization_as('{coordinator,admin}')) and user_id <> (select private.current_user_id()))
  );
create policy "mentors remove their own pending activities, coordinators others'" on public.activities for delete to authenticated
  using (
    (organization_id = (select private.organization_as('{peer_mentor,coordinator,admin}'))
      and user_id = (select private.current_user_id()) and approval = 'pending')
    or (organization_id = (select private.organization_as('{coordinator,admin}')) and user_id <> (select private.current_user_id()))
  );

-- Who may see, change or remove an activity is the activity's policy; the reader's own rights on it decide here too.
create policy "contacts of readable activities are readable" on public.activity_contacts for select to authenticated
  using (
    organization_id = (select private.current_organization_id())
    and exists (select from public.activities a
                where a.organization_id = activity_contacts.organization_id and a.id = activity_contacts.activity_id)
  );
create policy "contacts are added to one's own activities, by coordinators to all" on public.activity_contacts for insert to authenticated
  with check (
    organization_id = (select private.organization_as('{peer_mentor,coordinator,admin}'))
    -- What the reader may see of activities decides whose others' these can be: only coordinators see any.
    and exists (select from public.activities a
                where a.organization_id = activity_contacts.organization_id and a.id = activity_contacts.activity_id
                  and (a.user_id <> (select private.current_user_id()) or a.approval = 'pending'))
  );
create policy "contacts are removed from one's own activities, by coordinators from all" on public.activity_contacts for delete to authenticated
  using (
    organization_id = (select private.organization_as('{peer_mentor,coordinator,admin}'))
    -- What the reader may see of activities decides whose others' these can be: only coordinators see any.
    and exists (select from public.activities a
                where a.organization_id = activity_contacts.organization_id and a.id = activity_contacts.activity_id
                  and (a.user_id <> (select private.current_user_id()) or a.approval = 'pending'))
  );

revoke all on public.activity_types, public.contacts, public.activities, public.activity_contacts
  from public, anon, authenticated, service_role;
grant select, insert, update on public.activity_types to authenticated;
grant select, insert, update (display_name) on public.contacts to authenticated;
grant select, delete on public.activities to authenticated;
-- recorded_at is the database's to say, and an activity does not change its organisation.
grant insert (organization_id, id, user_id, activity_type_id, occurred_at, duration_minutes, status, approval, proxy_registered_by)
  on public.activities to authenticated;
grant update (user_id, activity_type_id, occurred_at, duration_minutes, status, approval) on public.activities to authenticated;
grant select, insert, delete on public.activity_contacts to authenticated;
grant select, insert, update, delete
  on public.activity_types, public.contacts, public.activities, public.activity_contacts to service_role;

create trigger organizations_seed_activity_types after insert on public.organizations
  referencing new table as new_rows
  for each statement execute function private.seed_activity_types();
