"""An independent judge of the demo: what must become of the people a seed makes, from their rows alone.

It reads nothing of how the rows were made (their `casting`), asks no database, and lets the engine's oracle apply the
rules (`tests/support/engine_oracle.py`), one person at a time: nobody's notification depends on anybody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime, time
from typing import Any
from uuid import UUID, uuid5

from attend.demo import model
from attend.demo.model import DemoData, Draft
from tests.support import engine_oracle
from tests.support.engine_world import Activity, Answer, Certificate, Person, Rule, Told, World

type Key = tuple[UUID, str]
"""A person and the subject of a rule."""


class Oracle:
    """The people of a seed and what they have been told so far."""

    def __init__(self, data: DemoData, spread_hash: Callable[[UUID, UUID], int] | None = None) -> None:
        """`spread_hash` is needed only for rules that are spread over days."""
        zones = {organization.id: organization.time_zone for organization in data.organizations}
        self.organization_of = {person.id: person.organization_id for person in data.people}
        self.worlds = {
            person.id: World(
                time_zone=zones[person.organization_id],
                daily_cap=None,
                quiet=None,
                spread_hash=spread_hash or _is_not_spread,
                people=[_as(Person, person)],
                rules=[],
                activities=[],
                certificates=[],
                switched_off=set(),
                coordinators=set(),
            )
            for person in data.people
        }
        for activity in data.activities:
            if activity.status == "completed":
                self.log(activity)
        for certificate in data.certificates:
            is_valid = certificate.revoked_at is None and certificate.replaced_by is None
            self.certify(certificate.user_id, certificate.id, certificate.expires_at, is_valid=is_valid)
        for off in data.preferences:
            if not off.is_enabled:
                self.switch_off(off.user_id, off.scenario, off.channel)

    def switch_on(self, organization_id: UUID, row: Mapping[str, Any]) -> None:
        """A rule takes effect. `row`: the columns of public.scenario_rules, as they were saved."""
        values = {field.name: row[field.name] for field in fields(Rule)}
        values["id"] = UUID(str(row["id"]))
        values["effective_from"] = datetime.fromisoformat(str(row["effective_from"]))
        for world in self._worlds_of(organization_id):
            world.rules.append(Rule(**values))

    def limit(self, organization_id: UUID, daily_cap: int, quiet: tuple[time, time]) -> None:
        """The organisation's settings."""
        for world in self._worlds_of(organization_id):
            world.daily_cap, world.quiet = daily_cap, quiet

    def switch_off(self, user_id: UUID, scenario: str, channel: str) -> None:
        """A person no longer wants something."""
        self.worlds[user_id].switched_off.add((user_id, scenario, channel))

    def log(self, activity: model.Activity) -> None:
        """A completed activity is there."""
        own = Activity(
            id=activity.id,
            user_id=activity.user_id,
            occurred_at=activity.occurred_at,
            duration_minutes=activity.duration_minutes,
            contacts=frozenset(activity.contact_ids),
        )
        self.worlds[activity.user_id].activities.append(own)

    def take_away(self, activity: model.Activity) -> None:
        """An activity is no longer this person's."""
        world = self.worlds[activity.user_id]
        world.activities = [other for other in world.activities if other.id != activity.id]

    def certify(self, user_id: UUID, certificate_id: UUID, expires_at: datetime, *, is_valid: bool = True) -> None:
        """A certificate is there, or is as this says from now on."""
        world = self.worlds[user_id]
        world.certificates = [c for c in world.certificates if c.id != certificate_id]
        world.certificates.append(Certificate(certificate_id, user_id, expires_at, is_valid))

    def dry_run(self, at: datetime) -> list[Answer]:
        """Everybody at an instant, by every rule and subject, without effects."""
        return [answer for world in self.worlds.values() for answer in engine_oracle.dry_run(world, at)]

    def evaluate(self, at: datetime) -> list[Answer]:
        """The same; who would be told, is."""
        return [answer for world in self.worlds.values() for answer in engine_oracle.decide(world, at)]

    def told(self, at: datetime) -> dict[Key, Told]:
        """What people were told at an instant."""
        told = (t for world in self.worlds.values() for t in world.told if t.triggered_at == at)
        return {(t.user_id, t.subject): t for t in told}

    def retracted(self) -> set[Key]:
        """What people were told and no longer see."""
        told = (t for world in self.worlds.values() for t in world.told if t.is_retracted)
        return {(t.user_id, t.subject) for t in told}

    def _worlds_of(self, organization_id: UUID) -> Iterable[World]:
        return (world for user_id, world in self.worlds.items() if self.organization_of[user_id] == organization_id)


def gates(answers: Iterable[Answer]) -> dict[Key, str]:
    """Who stops at which gate."""
    return {(answer.user_id, answer.subject): str(answer.gate) for answer in answers}


def as_saved(draft: Draft, effective_from: datetime) -> dict[str, Any]:
    """The row that saving a draft makes: the columns' defaults, and an id that follows from the name."""
    defaults: dict[str, Any] = {
        "version": 1,
        "priority": 100,
        "threshold_days": 21,
        "cooldown_days": 14,
        "max_reminders": 3,
        "metric": "sessions",
        "period": "year",
        "thresholds": [50],
        "max_age_days": 7,
        "lead_days": [30],
        "spread_days": None,
        "is_mandatory": False,
        "informs_coordinators": False,
    }
    made = {"id": uuid5(draft.organization_id, draft.name), "activation": draft.activation}
    return defaults | draft.words() | made | {"effective_from": effective_from}


def _as[T](kind: type[T], row: object) -> T:
    return kind(**{field.name: getattr(row, field.name) for field in fields(kind)})  # type: ignore[arg-type]


def _is_not_spread(_user_id: UUID, _rule_id: UUID) -> int:
    raise AssertionError("a rule is spread over days, and nobody said how")
