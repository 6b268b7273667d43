-- What people are told (in-app), and what waits to be pushed to their phones (outbox).

create type public.outbox_state as enum
  ('pending', 'claimed', 'sent', 'deferred', 'skipped', 'retracted', 'failed', 'dead');
comment on type public.outbox_state is 'Where a push is on its way. Skipped is never failed.';
