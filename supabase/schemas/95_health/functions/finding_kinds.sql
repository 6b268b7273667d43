create function private.finding_kinds() returns table (code text, severity text, says text, remedy text, runbook text)
language sql immutable
set search_path = ''
as $$
  select k.* from (values
    -- Schedules. What is named first is the cause of what follows it: private.schedule_health reports one of them.
    ('job_missing', 'error', 'Its job is gone from pg_cron, so nothing starts it.',
      'Schedule it again: the statement is in supabase/schemas/90_schedules/tables.sql (or 95_health).', 'a-job-of-cron-is-gone-or-switched-off'),
    ('job_disabled', 'error', 'Its job is switched off in pg_cron.',
      'select cron.alter_job(jobid, active := true) from cron.job where jobname = ''attend-'' || the schedule''s name.', 'a-job-of-cron-is-gone-or-switched-off'),
    ('run_stuck', 'error', 'Its run is open, and nobody has gone on with it for ten minutes.',
      'See who holds what is left of it, and whether the function is reached.', 'a-run-is-stuck'),
    ('schedule_late', 'error', 'It did not start when it was due.',
      'See whether cron runs at all, and, where it rings a function, whether that answers.', 'a-schedule-is-late-or-fails'),
    ('schedule_failing', 'error', 'It starts and does not succeed.',
      'Read its last_result, then the log of the function that it rings, or of the database.', 'a-schedule-is-late-or-fails'),
    ('window_exceeded', 'warning', 'It took longer than its window.',
      'Give it more instances or a longer window (private.schedules.window_length); see what it waits for.', 'a-schedule-takes-too-long'),
    -- Functions.
    ('function_silent', 'error', 'It is rung and has handled nothing since.',
      'See whether it is up, and what it answers: net._http_response.', 'a-function-is-down'),
    -- What waits.
    ('marks_old', 'error', 'Marks wait longer than a sweep and a drain need.',
      'See whether the function is reached and what it answers; after a large import, whether the number falls.', 'marks-are-old'),
    ('outbox_old', 'error', 'Messages that may go out are not sent.',
      'See whether the dispatcher is reached and what the provider answers.', 'the-outbox-stands'),
    ('dead_letters', 'warning', 'Messages were given up.',
      'Mend what the reason names, then replay them.', 'the-outbox-stands'),
    ('quarantine_filled', 'warning', 'People are left out because their evaluation failed.',
      'attend quarantine list, mend the reason, attend quarantine retry.', 'somebody-is-in-quarantine'),
    -- What the nightly proofs found.
    ('sweep_found', 'warning', 'The last full evaluation told people whom the ticks had missed.',
      'Once, after an import or a restore: nothing. Again and again: report it with the rule.', 'the-sweep-found-something'),
    ('statistics_drifted', 'warning', 'The last reconcile repaired statistics that differed from their activities.',
      'Once, after an import or a restore: nothing. Again and again: see who writes with triggers off.', 'statistics-had-drifted'),
    -- What everything stands on.
    ('bell_secret_missing', 'error', 'A secret that bells need is missing from Vault: nothing is rung.',
      'Create it: docs/deploy.md, "Vault".', 'the-bell-cannot-be-rung'),
    ('bell_secret_malformed', 'error', 'A secret in Vault cannot be what bells need: nothing is rung, or nothing is accepted.',
      'The URL begins with http, has no blank; the signing secret is whsec_ and base64.', 'the-bell-cannot-be-rung'),
    ('cron_silent', 'error', 'Nothing that runs by the clock has run for five minutes.',
      'See whether pg_cron is installed and its worker runs; restart the database.', 'cron-is-silent'),
    ('net_missing', 'error', 'pg_net is not installed: nothing is rung.',
      'create extension pg_net with schema extensions.', 'the-bell-cannot-be-rung'),
    ('net_queue_standing', 'error', 'Calls wait in pg_net''s queue and are not sent.',
      'select net.worker_restart(), else restart the database; see who fills the queue.', 'too-many-calls-or-a-queue-that-grows'),
    ('heartbeat_off', 'note', 'The heartbeat is off: Vault has no attend_heartbeat_url, so no outside monitor notices when all of this stops.',
      'Put the URL of a dead-man''s monitor into Vault.', 'the-heartbeat'),
    ('heartbeat_unheard', 'warning', 'The outside monitor did not take the last heartbeat.',
      'Try its URL from elsewhere; put the right one into Vault.', 'the-heartbeat')
  ) as k (code, severity, says, remedy, runbook);
$$;
comment on function private.finding_kinds() is
  'What health can find: error (withholds the heartbeat), warning, note (which is no trouble); in a sentence, with what to do and the heading of docs/runbook.md.';
revoke all on function private.finding_kinds() from public, anon, authenticated, service_role;
grant execute on function private.finding_kinds() to service_role;
