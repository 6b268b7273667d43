-- What people are told (in-app), and what waits to be pushed to their phones (outbox).

create type public.outbox_state as enum
  ('pending', 'claimed', 'sent', 'deferred', 'skipped', 'retracted', 'failed', 'dead');
comment on type public.outbox_state is 'Where a push is on its way. Skipped is never failed.';

create type private.push_outcome as (
  organization_id uuid,
  outbox_id uuid,
  lease integer,
  device_id uuid,
  verdict text,
  provider_id text,
  reason text,
  retry_after double precision,
  awaits_receipt boolean
);
comment on type private.push_outcome is
  'What a provider said of one push to one device. verdict: sent, device_gone, retry or refused; null, of a receipt: not known yet.';
