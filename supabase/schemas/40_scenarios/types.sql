-- The scenario engine (rules.md §3): rules, marks of what changed, and the one claim that tells a person something.

create type private.notification_claim as (
  user_id uuid,
  scenario text,
  subject text,
  rule_id uuid,
  cooldown_days integer,
  crossed_at timestamptz,
  context jsonb
);
comment on type private.notification_claim is 'A wish to tell a person something; private.claim_notifications decides.';
