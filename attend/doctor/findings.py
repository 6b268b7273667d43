"""What the doctor can find: how bad it is, what to do, and the entry of docs/runbook.md that says more.

What health finds comes with words of its own, from the database (`private.finding_kinds`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

type Severity = Literal["note", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be. A note is no trouble: the exit status does not count it."""

    code: str
    severity: Severity
    says: str
    remedy: str
    runbook: str

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


class _Kind(NamedTuple):
    severity: Severity
    remedy: str
    entry: str


_PUSH = "Apply the migrations: supabase db push --remote (docs/deploy.md)."
_AGAIN = "Apply the statement of supabase/schemas again, or find out who changed it and why."

KINDS: dict[str, _Kind] = {
    # The database itself.
    "login_is_not_postgres": _Kind("warning", "Log in as postgres: others do not see everything.", "the-doctor"),
    "postgres_untested": _Kind("warning", "Attend is tested on Postgres 17: upgrade the project.", "the-doctor"),
    "extension_missing": _Kind("error", "Create it (dashboard, Database, Extensions), or push again.", "the-doctor"),
    "extension_old": _Kind("warning", "Upgrade the project: behaviour was tested on a newer one.", "the-doctor"),
    "migrations_missing": _Kind("error", _PUSH, "migrations-and-definitions"),
    "migrations_unknown": _Kind("note", "None, if they are your own; else deploy this version.", "the-doctor"),
    "secret_placeholder": _Kind("error", "Put the real one into Vault: docs/deploy.md.", "the-bell-cannot-be-rung"),
    "check_failed": _Kind("error", "Mend what was found before it; else report it.", "the-doctor"),
    # Who may do what.
    "grant_missing": _Kind("error", "Grant it again: the statement is in supabase/schemas.", "grants-and-policies"),
    "grant_extra": _Kind("error", "Revoke it, unless you know who needs it.", "grants-and-policies"),
    "rls_off": _Kind("error", "alter table … enable row level security, at once.", "grants-and-policies"),
    "policy_extra": _Kind("error", "Drop it, unless you know whom it lets in.", "grants-and-policies"),
    "policy_changed": _Kind("error", _AGAIN, "grants-and-policies"),
    "policy_missing": _Kind("error", _AGAIN, "grants-and-policies"),
    # Definitions.
    "definition_missing": _Kind("error", _AGAIN, "migrations-and-definitions"),
    "definition_changed": _Kind("error", _AGAIN, "migrations-and-definitions"),
    "trigger_extra": _Kind("note", "None, if it is yours: it runs in every writer's transaction.", "the-doctor"),
    "not_compared": _Kind("note", "Run the doctor where `attend up` works.", "the-doctor"),
    # Settings.
    "statement_timeout_low": _Kind("warning", "alter role … reset statement_timeout.", "settings-that-hurt"),
    "triggers_off": _Kind("error", "Reset session_replication_role; then reconcile.", "settings-that-hurt"),
    "database_read_only": _Kind("error", "Free disk space, or reset it.", "settings-that-hurt"),
    "commits_not_durable": _Kind("warning", "Reset synchronous_commit: marks may be lost.", "settings-that-hurt"),
    "cron_elsewhere": _Kind("error", "Set cron.database_name to this database.", "settings-that-hurt"),
    "cron_zone": _Kind("warning", "Set cron.timezone to GMT: nights are UTC's.", "settings-that-hurt"),
    "safeupdate_off": _Kind("note", "None: Attend's own statements all have a condition.", "settings-that-hurt"),
    # The API.
    "api_not_asked": _Kind("note", "Name it: --api-url and SUPABASE_SECRET_KEY.", "the-doctor"),
    "api_unreachable": _Kind("error", "Check SUPABASE_URL, and that the project runs.", "the-api"),
    "api_refuses_key": _Kind("error", "Use the secret key of this very project.", "the-api"),
    "api_outdated": _Kind("error", "notify pgrst, 'reload schema'; else push the migrations.", "the-api"),
    "schema_exposed": _Kind("error", "Take it off the exposed schemas (API settings).", "the-api"),
    "schema_not_exposed": _Kind("error", "Add it to the exposed schemas (API settings).", "the-api"),
    # The functions, as the database reaches them.
    "functions_not_asked": _Kind("note", "Put into Vault what health misses there.", "the-bell-cannot-be-rung"),
    "function_unreachable": _Kind("error", "Deploy it, and see attend_functions_url in Vault.", "a-function-is-down"),
    "function_not_there": _Kind("error", "Deploy it, or a newer version of it.", "a-function-is-down"),
    "function_refuses_signature": _Kind(
        "error",
        "Give Vault and ATTEND_WEBHOOK_SECRET one secret, and let headers pass.",
        "a-function-refuses-signatures",
    ),
    "function_lacks_setting": _Kind("error", "Set the variable that it names.", "a-function-is-down"),
    "function_without_database": _Kind("error", "See its SUPABASE_URL and key, and its log.", "a-function-is-down"),
    "net_not_sending": _Kind("error", "select net.worker_restart(), else restart.", "the-bell-cannot-be-rung"),
    "clock_skew": _Kind("warning", "Set that machine's clock by NTP.", "clocks-differ"),
    "clock_skew_refuses": _Kind("error", "Set that machine's clock by NTP, at once.", "clocks-differ"),
}

# Nothing is said of what these are about: neither that it is well nor that it is not.
NOT_EXAMINED = {"api_not_asked", "not_compared", "functions_not_asked"}


def found(code: str, says: str) -> Finding:
    """A finding of a kind, in a sentence of its own."""
    kind = KINDS[code]
    return Finding(code, kind.severity, says, kind.remedy, f"docs/runbook.md#{kind.entry}")
