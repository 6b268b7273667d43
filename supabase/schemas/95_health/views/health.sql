create view public.health with (security_invoker = true) as
select h.* from private.health_at(now()) h;
comment on view public.health is
  'How Attend itself is, one row a thing: schedules against what is expected of them, calls against what was handled, what waits, what the nightly proofs found. finding is null where all is well, else its code, with what to do and the entry of docs/runbook.md. For the service alone: it counts over every organisation.';
revoke all on public.health from public, anon, authenticated, service_role;
grant select on public.health to service_role;
