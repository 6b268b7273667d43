"""What the database answers to an operator's questions. Unknown keys are kept, so that `--json` loses nothing."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.runs import Counts

type Moment = AwareDatetime | Literal["infinity", "-infinity"]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class Organization(_Answer):
    """Whose rules they are; times are told in its zone where no person is meant."""

    id: UUID
    name: str
    time_zone: str


class Person(_Answer):
    """Somebody, as they are named."""

    organization_id: UUID
    id: UUID
    full_name: str


class Rule(_Answer):
    """A row of public.scenario_rules. Which of its parameters mean something, its type says."""

    id: UUID
    type: str
    name: str
    is_enabled: bool
    version: int
    effective_from: Moment | None = None
    activation: Literal["skip", "all", "spread"] | None = None
    spread_days: int | None = None
    evaluated_until: Moment | None = None

    def parameter(self, name: str) -> Any:
        """One of the parameters, which are kept as they came."""
        return (self.model_extra or {}).get(name)


class RuleVersion(_Answer):
    """A rule as it stood for a time."""

    rule_id: UUID
    version: int
    rule: Rule
    valid_from: Moment
    valid_to: Moment


class Preview(_Answer):
    """What an edit would change, in people. `activations` says how many would be told at once."""

    rule: Rule
    matching: int
    added: int
    removed: int
    needs_activation: bool
    activations: dict[str, int] | None = None


class GateRow(_Answer):
    """One person, one rule, one subject: the first gate that holds, and what it compared."""

    user_id: UUID
    full_name: str
    scenario: str
    rule_id: UUID
    rule_version: int
    subject: str
    gate: str
    crossed_at: AwareDatetime | None = None
    eligible_again_at: Moment | None = None
    release_at: AwareDatetime | None = None
    detail: dict[str, Any]


class Told(_Answer):
    """A notification of the past, as it was decided."""

    scenario: str
    rule_id: UUID | None = None
    rule_version: int | None = None
    subject: str
    triggered_at: AwareDatetime
    retracted_at: AwareDatetime | None = None
    read_at: AwareDatetime | None = None
    push: str | None = None
    release_at: AwareDatetime | None = None
    detail: dict[str, Any]


class Held(_Answer):
    """A match that was not told."""

    scenario: str
    rule_id: UUID
    rule_version: int
    subject: str
    gate: str
    decided_at: AwareDatetime
    look_again_at: AwareDatetime | None = None


class ExplainedPerson(_Answer):
    """Whom an explanation is about, and the zone their times are told in."""

    user_id: UUID
    full_name: str
    role: str
    time_zone: str


class Quarantine(_Answer):
    """Why somebody cannot be evaluated."""

    reason: str
    message: str
    since: AwareDatetime


class Quarantined(Quarantine):
    """Somebody in quarantine."""

    user_id: UUID
    full_name: str


class Explanation(_Answer):
    """Why a person would or would not be told, and what was told and held before."""

    at: AwareDatetime
    user: ExplainedPerson
    answers: list[GateRow]
    told: list[Told]
    held: list[Held]
    quarantine: Quarantine | None = None


class Decided(_Answer):
    """People evaluated, with all effects."""

    people: int
    counts: Counts
