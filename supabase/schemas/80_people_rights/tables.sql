-- What a person may ask of us: to see everything, and to be forgotten (docs/privacy.md).

create table private.erasures (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  kind text not null constraint erased_kind_is_known check (kind = any (private.person_kinds())),
  person_id text not null,
  erased_at timestamptz not null default now(),
  primary key (organization_id, kind, person_id)
);
comment on table private.erasures is
  'Who was erased, and when, by an id that leads nowhere any more: it answers whoever asks again, and is what a restored backup has to be told.';

alter table private.erasures enable row level security;
revoke all on private.erasures from public, anon, authenticated, service_role;
grant select on private.erasures to service_role;
