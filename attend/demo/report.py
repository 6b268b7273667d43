"""What the demo saw, as values: the rows of `attend demo --json`. Keys are stable; durations are seconds, measured.

Every list of people is of both organisations unless it says otherwise, so that a reader of the JSON can check the
whole of it; what is shown on a terminal is the demo's own organisation.
"""

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

type Gates = dict[str, int]


class Decision(BaseModel):
    """The gate of one person by one rule."""

    organization_id: UUID
    user_id: UUID
    full_name: str
    rule_id: UUID
    gate: str


class Told(BaseModel):
    """One notification. `push`: also queued for the phone; the in-app list has it always."""

    organization_id: UUID
    user_id: UUID
    full_name: str
    rule_id: UUID
    triggered_at: AwareDatetime
    days_quiet: float
    push: bool


class RuleGates(BaseModel):
    """How many people of the demo's organisation stop at which gate of a rule."""

    rule_id: UUID
    name: str
    is_enabled: bool
    threshold_days: int
    cooldown_days: int
    gates: Gates


class Example(BaseModel):
    """Why one person was, or was not, told: the answer of `explain_scenarios`, and the same in words."""

    user_id: UUID
    full_name: str
    gate: str
    why: str
    detail: dict[str, Any]


class Started(BaseModel):
    """The stack answers."""

    chapter: Literal["started"] = "started"
    seconds: float
    api_url: str


class Imported(BaseModel):
    """The organisations are written; the hook has worked through everybody; no rule is on, so nobody is told."""

    chapter: Literal["imported"] = "imported"
    organizations: list[str]
    people: int
    mentors: int
    """Peer mentors of the demo's own organisation."""
    rows: dict[str, int]
    people_evaluated_by_hook: int
    told: int
    generate_seconds: float
    write_seconds: float
    hook_seconds: float
    """From the commit until no mark is left."""


class Foreseen(BaseModel):
    """The rules are on; a dry run says what an evaluation would do."""

    chapter: Literal["foreseen"] = "foreseen"
    at: AwareDatetime
    seconds: float
    rules: list[RuleGates]
    decisions: list[Decision]


class Evaluated(BaseModel):
    """The scheduled evaluation has run: cron, bell, function, SQL."""

    chapter: Literal["evaluated"] = "evaluated"
    run_id: int
    as_of: AwareDatetime
    people: int
    chunks: int
    counts: Gates
    """The run ledger's, over all organisations and rules."""
    rules: list[RuleGates]
    decisions: list[Decision]
    told: list[Told]
    examples: list[Example]
    seconds: float
    """From setting the schedule to the finished run."""
    bell_to_run_seconds: float | None
    """From the cron job ringing to the function opening the run; null when a later tick rang meanwhile."""
    run_seconds: float


class Logged(BaseModel):
    """A mentor who was told logs an activity with her own sign-in: the hook looks, and leaves her alone."""

    chapter: Literal["logged"] = "logged"
    user_id: UUID
    full_name: str
    activity_id: UUID
    occurred_at: AwareDatetime
    gate_before: str
    gate_after: str
    told: int
    seconds: float
    """From the request to the hook's work being done."""


class Corrected(BaseModel):
    """A coordinator moves a wrongly registered activity to whose it is: the mentor who had none is told."""

    chapter: Literal["corrected"] = "corrected"
    activity_id: UUID
    by: str
    from_user_id: UUID
    from_full_name: str
    to_user_id: UUID
    to_full_name: str
    gate_before: str
    told: Told
    write_seconds: float
    seconds: float
    """From the request to the notification being there."""


class Repeated(BaseModel):
    """A second scheduled evaluation tells nobody twice."""

    chapter: Literal["repeated"] = "repeated"
    run_id: int
    as_of: AwareDatetime
    counts: Gates
    told: int
    seconds: float


class Later(BaseModel):
    """An evaluation some days later by the clock argument, in which nobody did anything."""

    chapter: Literal["later"] = "later"
    days: int
    at: AwareDatetime
    counts: Gates
    rules: list[RuleGates]
    told_first: list[Told]
    reminded: list[Told]
    seconds: float


type Chapter = Started | Imported | Foreseen | Evaluated | Logged | Corrected | Repeated | Later


class DemoReport(BaseModel):
    """The whole document of `attend demo --json`."""

    seed: int
    now: AwareDatetime
    """The clock the generator was given: the same seed and clock make the same people."""
    organization_id: UUID
    organization: str
    started: Started
    imported: Imported
    foreseen: Foreseen
    evaluated: Evaluated
    logged: Logged
    corrected: Corrected
    repeated: Repeated
    later: list[Later]
    seconds: float
