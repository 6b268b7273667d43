create view private.ledger with (security_invoker = true) as
select r.kind, r.id as run_id, r.state <> 'finished' as is_open, r.started_at, r.updated_at, r.finished_at
from private.runs r
union all
select 'pastoral-cases', c.id, c.finished_at is null, c.started_at, c.updated_at, c.finished_at
from private.case_runs c;
comment on view private.ledger is 'Every run of every ledger, alike. kind is the name of its schedule.';
revoke all on private.ledger from public, anon, authenticated, service_role;
grant select on private.ledger to service_role;
