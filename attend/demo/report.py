"""What the demo saw, as values: the rows of `attend demo --json`. Keys are stable; durations are seconds, measured.

Every list of people is of both organisations unless it says otherwise, so that a reader of the JSON can check the
whole of it; what is shown on a terminal is the demo's own organisation.
"""

from datetime import date
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from attend.outbox.answers import Push

type Counts = dict[str, int]


class Decision(BaseModel):
    """The gate of one person at one subject of a rule."""

    organization_id: UUID
    user_id: UUID
    full_name: str
    rule_id: UUID
    scenario: str
    subject: str
    gate: str


class Told(BaseModel):
    """One notification. `push`: where it is on the way to the phone; null: in the app only."""

    id: UUID
    organization_id: UUID
    user_id: UUID
    full_name: str
    rule_id: UUID
    scenario: str
    subject: str
    crossed_at: AwareDatetime
    triggered_at: AwareDatetime
    release_on: date
    push: str | None


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
    rows: Counts
    people_evaluated_by_hook: int
    told: int
    generate_seconds: float
    write_seconds: float
    hook_seconds: float
    """From the commit until no mark is left."""
    seconds: float


class Previewed(BaseModel):
    """What `preview_rule` says before a rule is switched on. People of the demo's own organisation."""

    matching: int
    activations: Counts
    """How many would be told at once with skip, with all, and with spread over seven days."""


class Refused(BaseModel):
    """An answer that said no."""

    code: str
    details: dict[str, Any]


class SwitchedOn(BaseModel):
    """A rule is previewed, saved, and tells whom it concerns."""

    rules: list[dict[str, Any]]
    """As saved, of both organisations where both switch one on; the demo's own first."""
    preview: Previewed
    told: list[Told]
    held: Counts
    """Who matched and was not told, by gate. The demo's own organisation."""
    seconds: float
    """From saving the rule (the first one: from letting cron tick) until everybody has been told."""


class Foreseen(SwitchedOn):
    """The first rule: wrong numbers are refused, its bell is lost, a dry run says what cron's next tick then brings."""

    chapter: Literal["foreseen"] = "foreseen"
    refused: Refused
    at: AwareDatetime
    dry_run_seconds: float
    decisions: list[Decision]
    """The dry run's."""
    afterwards: list[Decision]
    """The same people after the tick; `sent` are those that the database has a notification of."""


class Milestones(SwitchedOn):
    """The milestone rule."""

    chapter: Literal["milestones"] = "milestones"


class Certificates(SwitchedOn):
    """The certificate rule."""

    chapter: Literal["certificates"] = "certificates"


class Event(BaseModel):
    """Somebody writes something through the API with their own sign-in, and the hook works."""

    who: str
    did: str
    """As it follows the name in a sentence."""
    then: str
    rows: list[dict[str, Any]]
    """What was written, as the API returned it."""
    told: list[Told]
    retracted: list[UUID]
    """Notifications taken back."""
    seconds: float
    """From the request until the hook's work shows."""


class Happened(BaseModel):
    """People do things: the hook works within a second or two, with cron off."""

    chapter: Literal["happened"] = "happened"
    events: list[Event]
    seconds: float


class Example(BaseModel):
    """Why one person was, or was not, told: the answer of `explain_scenarios`, and the same in words."""

    user_id: UUID
    full_name: str
    scenario: str
    gate: str
    """`sent`, when there is a notification."""
    told_at: AwareDatetime | None
    push: str | None
    why: str
    """One sentence."""
    detail: dict[str, Any]


class Explained(BaseModel):
    """Why, and why not."""

    chapter: Literal["explained"] = "explained"
    at: AwareDatetime
    at_length: list[Example]
    """One who was told, and one who was not."""
    in_short: list[Example]
    seconds: float


class Swept(BaseModel):
    """The daily evaluation of everybody, through the run ledger; what it finds, the ticks have missed."""

    chapter: Literal["swept"] = "swept"
    by: Literal["cron", "clock argument"]
    run_id: int
    as_of: AwareDatetime
    people: int
    chunks: int
    counts: dict[str, Counts]
    told: list[Told]
    missed_by_ticks: int
    seconds: float


class Limited(BaseModel):
    """An administrator sets a daily cap and quiet hours."""

    chapter: Literal["limited"] = "limited"
    by: str
    daily_cap: int
    quiet_from: str
    quiet_to: str
    refused: int
    """HTTP status with which quiet hours of no length were answered."""
    seconds: float


class Capped(BaseModel):
    """Somebody who matches and whose day is full, with what went first."""

    user_id: UUID
    full_name: str
    scenario: str
    told_instead: str


class Later(BaseModel):
    """A tick with its clock some days ahead, in which nobody did anything."""

    chapter: Literal["later"] = "later"
    at: AwareDatetime
    local: str
    """The same on the wall clock of the demo's organisation."""
    people: int
    """Whom the tick found due, of both organisations."""
    told_first: list[Told]
    reminded: list[Told]
    held: Counts
    """Who matches and is not told, by gate, at the end of it. The demo's own organisation."""
    capped: list[Capped]
    seconds: float


class Delivered(BaseModel):
    """What waited to be pushed went to people's phones, or did not. The demo's own organisation."""

    chapter: Literal["delivered"] = "delivered"
    at: AwareDatetime
    """The dispatcher's clock."""
    local: str
    phones: int
    """How many of its people have one that is in use."""
    did: list[str] = []
    """What people did while their push waited, and what that made of it."""
    activity: dict[str, Any] | None = None
    """What one of them logged, as the API returned it."""
    preference: dict[str, Any] | None = None
    """What another of them switched off, as the API returned it."""
    due: int
    became: Counts
    """What became of those that were due: state, and of skipped ones the reason."""
    taken_back: int
    """Pushes that were taken back so far, before any dispatcher came."""
    on_a_phone: str
    """One of them as it is shown."""
    rows: list[Push]
    """One of each kind, as `attend outbox list` has it."""
    seconds: float


class Case(BaseModel):
    """A row of public.pastoral_cases."""

    id: UUID
    person_id: UUID
    full_name: str
    assigned_servant_id: UUID | None
    servant: str | None
    status: str
    priority: str
    absences: int
    absent_since: date
    withdrawn_reason: str | None


class CaseNews(BaseModel):
    """A notification of a case, as its servant reads it."""

    id: UUID
    servant: str
    person_id: UUID
    full_name: str
    """Who is to be asked after."""
    event: str


class CareStep(BaseModel):
    """Somebody of the church writes something through the API with their own sign-in, and the hook works."""

    who: str
    did: str
    """As it follows the name in a sentence."""
    records: list[dict[str, Any]]
    """Attendance that was written, as the API returned it."""
    cases: list[Case]
    """All of them afterwards, as an administrator reads them."""
    listed: dict[UUID, list[UUID]]
    """The people on each servant's own list afterwards."""
    told: list[CaseNews]
    """What servants have been told since the step before."""
    taken_back: list[UUID]
    """Notifications that they no longer see."""
    seconds: float
    """From the request (the last of several) until the hook's work shows."""


class Refusal(BaseModel):
    """Something that nobody can enter, and what the API says of it."""

    what: str
    status: int
    code: str
    message: str


class Cared(BaseModel):
    """A church: three missed services, a case on the shepherd's list, a home visit, a return, a correction."""

    chapter: Literal["cared"] = "cared"
    organization_id: UUID
    organization: str
    time_zone: str
    admin: str
    servants: dict[UUID, str]
    families: list[dict[str, Any]]
    people: list[dict[str, Any]]
    """In the end, with what attendance says of them."""
    steps: list[CareStep]
    refused: list[Refusal]
    trail: int
    """Changes of cases in the audit trail."""
    seconds: float


type Chapter = (
    Started
    | Imported
    | Foreseen
    | Milestones
    | Certificates
    | Happened
    | Explained
    | Swept
    | Delivered
    | Limited
    | Later
    | Cared
)


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
    milestones: Milestones
    certificates: Certificates
    happened: Happened
    explained: Explained
    limited: Limited
    later: list[Later]
    swept: list[Swept]
    delivered: list[Delivered]
    cared: Cared
    seconds: float
