create table public.scenario_rules (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  type text not null constraint rule_type_is_known check (private.is_scenario_type(type)),
  name text not null constraint rule_name_is_not_blank check (btrim(name) <> ''),
  is_enabled boolean not null,
  threshold_days integer not null default 21 constraint threshold_days_is_between_1_and_3650 check (threshold_days between 1 and 3650),
  cooldown_days integer not null default 14 constraint cooldown_days_is_between_1_and_3650 check (cooldown_days between 1 and 3650),
  created_at timestamptz not null default now(),
  primary key (organization_id, id),
  constraint rule_name_is_unique_per_type unique (organization_id, type, name)
);
comment on table public.scenario_rules is 'What an organisation wants noticed. Several rules of a type are allowed; without an enabled rule nobody is told anything.';
comment on column public.scenario_rules.threshold_days is 'Inactivity: days of 24 hours without a completed activity.';
comment on column public.scenario_rules.cooldown_days is 'Days of 24 hours before the same person may be told about this rule again.';

create table private.scenario_marks (
  organization_id uuid not null,
  id bigint generated always as identity,
  user_id uuid not null,
  rings boolean not null,
  marked_at timestamptz not null default now(),
  primary key (organization_id, id)
)
-- A queue lives from being vacuumed often: dead rows are all that makes claiming slow.
with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
comment on table private.scenario_marks is
  'Append-only: people whose facts changed, written in the transaction that changed them. Whoever drains deletes the mark in the transaction that evaluates the person.';
comment on column private.scenario_marks.rings is 'The first mark of its transaction: at commit it rings the bell.';

alter table public.scenario_rules enable row level security;
alter table private.scenario_marks enable row level security;

create policy "staff read their organisation's rules" on public.scenario_rules for select to authenticated
  using (organization_id = (select private.organization_as('{coordinator,manager,admin}')));

revoke all on public.scenario_rules from public, anon, authenticated, service_role;
revoke all on private.scenario_marks from public, anon, authenticated, service_role;
grant select on public.scenario_rules to authenticated;
grant select, insert, update, delete on public.scenario_rules to service_role;
grant select, update, delete on private.scenario_marks to service_role;

create trigger statistics_marks_mark_scenarios after insert on private.statistics_marks
  referencing new table as new_rows for each statement execute function private.mark_scenarios();

-- The bell is a trigger of its own: dropping it loses seconds, never work. The condition is judged as each mark is
-- written, so a million marks queue one deferred call.
create constraint trigger scenario_marks_ring_bell after insert on private.scenario_marks
  deferrable initially deferred
  for each row when (new.rings)
  execute function private.ring_bell_at_commit('scenario-trigger-engine', 'public', 'activities');

insert into private.bells (function_name) values ('scenario-trigger-engine');
