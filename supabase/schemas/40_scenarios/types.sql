-- The scenario engine (rules.md §3): rules, what each person has reached, marks of what changed, and the one claim that
-- tells a person something.

create type private.scenario_rule as (
  organization_id uuid,
  id uuid,
  type text,
  name text,
  is_enabled boolean,
  threshold_days integer,
  cooldown_days integer,
  version integer,
  priority integer,
  effective_from timestamptz,
  activation text,
  spread_days integer,
  max_reminders integer,
  metric text,
  period text,
  thresholds integer[],
  max_age_days integer,
  lead_days integer[],
  is_mandatory boolean,
  informs_coordinators boolean
);
comment on type private.scenario_rule is
  'A rule as the evaluators take it: a row of public.scenario_rules, a version of one, a draft, or one made for a question.';

create type private.notification_claim as (
  user_id uuid,
  scenario text,
  subject text,
  rule_id uuid,
  cooldown_days integer,
  crossed_at timestamptz,
  context jsonb,
  rule_version integer,
  priority integer,
  is_mandatory boolean,
  informs_coordinators boolean
);
comment on type private.notification_claim is
  'A wish to tell a person something; private.claim_notifications decides. cooldown_days null: once and for all.';

create type private.scenario_match as (
  user_id uuid,
  scenario text,
  rule_id uuid,
  subject text,
  gate text,
  crossed_at timestamptz,
  later_gate text,
  told_with text,
  eligible_at timestamptz,
  context jsonb
);
comment on type private.scenario_match is
  'What an evaluator says of a person and one subject of a rule. gate: why it does not match, or null. later_gate: why a match is not worth telling, judged after before_effective. told_with: the subject that is told in its place. eligible_at: when it would match, if that is known. context: the values compared.';

create type private.judged_claim as (
  user_id uuid,
  scenario text,
  subject text,
  rule_id uuid,
  cooldown_days integer,
  crossed_at timestamptz,
  context jsonb,
  rule_version integer,
  priority integer,
  is_mandatory boolean,
  informs_coordinators boolean,
  gate text,
  opted_out_of text,
  is_push_opted_out boolean,
  cooldown_until timestamptz,
  release_at timestamptz,
  release_on date,
  look_again_at timestamptz
);
comment on type private.judged_claim is
  'A claim (private.notification_claim), and whether it may be made: would_send, quiet_hours (made, and pushed at release_at), or what speaks against it. release_on: the person''s local day of the release. look_again_at: when a full day ends.';

create type private.claim_outcome as (
  user_id uuid,
  scenario text,
  subject text,
  outcome text,
  notification_id uuid,
  cooldown_until timestamptz,
  look_again_at timestamptz,
  rule_id uuid,
  crossed_at timestamptz,
  context jsonb
);
comment on type private.claim_outcome is
  'What became of a claim (private.claim_notifications), with what it was about, so that nobody has to join it to the claims.';
