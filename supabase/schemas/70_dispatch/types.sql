-- Releasing what was decided: what held then is asked again before it is pushed (rules.md §3).

create type private.push_release as (
  organization_id uuid,
  id uuid,
  notification_id uuid,
  user_id uuid,
  lease integer,
  attempts integer,
  gate text,
  release_at timestamptz,
  planned_on date,
  release_on date,
  expires_at timestamptz,
  problem text,
  scenario text,
  rule_id uuid
);
comment on type private.push_release is
  'A claimed push (private.outbox), and what speaks against sending it now, or null. release_at, release_on: when and on which of the person''s days it goes. problem: what went wrong in judging it. scenario, rule_id: of its notification.';
