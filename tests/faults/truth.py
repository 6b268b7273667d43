"""What must be true of a town when everything has settled: judged by the suite's oracles, from the raw rows alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from tests.faults.town import Town
from tests.faults.world import World
from tests.support import engine_oracle, statistics
from tests.support.care_oracle import CareOracle
from tests.support.engine_world import Told
from tests.support.engine_world import World as People
from tests.support.scenarios import Scene

_SHOWN_OF_DIFFERENCES = 5
# What nobody may have to report: the proofs' own findings.
_FINDINGS = """
select 'told without the ticks'' knowing: ' || count(*) from private.sweep_findings having count(*) > 0
union all select 'statistics that a reconcile repaired: ' || count(*) from private.statistics_drift having count(*) > 0
union all select 'in quarantine: ' || count(*) from private.quarantine having count(*) > 0
union all select 'told twice: ' || n.user_id || ' ' || n.subject from public.notifications n
  group by n.user_id, n.subject having count(*) > 1
union all select 'told without a push: ' || n.id from public.notifications n where not exists (
  select from private.outbox o where o.organization_id = n.organization_id and o.notification_id = n.id)
union all select 'a push that is ' || o.state || coalesce(' (' || o.skipped_reason || ')', '') || ': ' || o.id
  from private.outbox o where o.state <> 'sent'
union all select 'two cases of one person: ' || c.person_id from public.pastoral_cases c
  group by c.person_id having count(*) > 1
"""


@dataclass
class Snapshot:
    """What two runs of one town must have in common."""

    told: set[tuple[UUID, str, str, bool]]
    """Person, scenario, subject, and whether it was taken back."""
    statistics: dict[Any, dict[str, Any]]
    cases: dict[UUID, tuple[str, UUID | None, str]]
    flags: dict[UUID, tuple[int, bool]]
    summaries: dict[int, tuple[Any, ...]]

    def differences(self, undisturbed: Snapshot) -> list[str]:
        """In words; nothing where they are equal."""
        found = [f"told, and not by the undisturbed run: {key}" for key in self.told - undisturbed.told]
        found += [f"not told, but by the undisturbed run: {key}" for key in undisturbed.told - self.told]
        for name in ("statistics", "cases", "flags", "summaries"):
            mine, other = getattr(self, name), getattr(undisturbed, name)
            found += [
                f"{name} of {key}: {mine.get(key)} instead of {other.get(key)}"
                for key in {**mine, **other}
                if mine.get(key) != other.get(key)
            ]
        return found


@dataclass
class Judge:
    """Remembers, from act to act, what was right at the end of the one before."""

    world: World
    town: Town
    _scenes: dict[UUID, People] = field(default_factory=dict)
    _care: CareOracle | None = None

    def look(self) -> tuple[Snapshot, list[str]]:
        """The state as it stands, and everything that is wrong with it."""
        with self.world.connect() as connection:
            connection.row_factory = dict_row
            connection.execute("set statement_timeout = 0")
            now: datetime = _rows(connection, "select now() as now")[0]["now"]
            wrong = [row["?column?"] for row in _rows(connection, _FINDINGS)]
            wrong += self._of_programmes(connection, now)
            kept: dict[Any, dict[str, Any]] = {}
            for organization in self.town.programmes:
                expected = statistics.expected_rows(connection, organization, now)
                kept |= (stored := statistics.stored_rows(connection, organization))
                wrong += [f"statistics: {words}" for words in statistics.differences(expected, stored)]
            cases, flags, mistakes = self._of_church(connection)
            summaries, miscounted = self._of_school(connection)
            told = {
                (row["user_id"], row["scenario"], row["subject"], row["retracted_at"] is not None)
                for row in _rows(connection, "select * from public.notifications")
            }
        return Snapshot(told, kept, cases, flags, summaries), wrong + mistakes + miscounted

    def _of_programmes(self, connection: psycopg.Connection[Any], now: datetime) -> list[str]:
        """Who has been told since the act before, against what the rules say of everybody's rows."""
        wrong: list[str] = []
        for organization in self.town.programmes:
            people = Scene(connection, organization).world()
            before = self._scenes.get(organization) or replace(people, told=[], cooldowns={}, achievements={})
            expected = {(told.user_id, told.subject) for told in before.told}
            for answer in _decided(people, before, now):
                if answer.gate in engine_oracle.FIRES:
                    expected.add((answer.user_id, answer.subject))
            found = {(told.user_id, told.subject) for told in people.told}
            wrong += [f"not told: {key}" for key in expected - found]
            wrong += [f"told without a reason: {key}" for key in found - expected]
            self._scenes[organization] = people
        return wrong

    def _of_church(
        self, connection: psycopg.Connection[Any]
    ) -> tuple[dict[UUID, tuple[str, UUID | None, str]], dict[UUID, tuple[int, bool]], list[str]]:
        people = _texts(_rows(connection, "select id, family_id from public.people"))
        families = [
            {"id": str(row["id"]), "assigned_servant_id": str(row["assigned_servant_id"])}
            for row in _rows(connection, "select id, assigned_servant_id from public.families")
        ]
        self._care = self._care or CareOracle(people, families)
        for person in self._care.people.values():
            person.records.clear()
        columns = "person_id, service_id, service_date, status"
        self._care.write(_texts(_rows(connection, f"select {columns} from public.attendance_records")))
        cases = {
            row["person_id"]: (row["status"], row["assigned_servant_id"], row["priority"])
            for row in _rows(connection, "select * from public.pastoral_cases")
        }
        flags = {
            row["id"]: (row["consecutive_absences"], row["at_risk_flag"])
            for row in _rows(connection, "select id, consecutive_absences, at_risk_flag from public.people")
        }
        expected = {person: tuple(case) for person, case in self._care.cases().items()}
        found = {person: case[:2] for person, case in cases.items()}
        wrong = [
            f"case of {person}: {found.get(person)} instead of {expected.get(person)}"
            for person in {**expected, **found}
            if expected.get(person) != found.get(person)
        ]
        wrong += [
            f"attendance of {person}: {flags.get(person)} instead of {flag}"
            for person, flag in self._care.flags().items()
            if flags.get(person) != flag
        ]
        return cases, flags, wrong

    def _of_school(self, connection: psycopg.Connection[Any]) -> tuple[dict[int, tuple[Any, ...]], list[str]]:
        visits: dict[int, list[datetime]] = defaultdict(list)
        query = "select student_id, checkin_time from public.student_attendance order by checkin_time"
        for row in _rows(connection, query):
            visits[row["student_id"]].append(row["checkin_time"])
        columns = ("checkins", "first_checkin_at", "last_checkin_at", "left_at", "returned_at")
        kept = {
            row["student_id"]: tuple(row[name] for name in columns)
            for row in _rows(connection, "select * from public.students")
        }
        wrong = [
            f"check-ins of student {student}: {summary} instead of {_summary(visits[student])}"
            for student, summary in kept.items()
            if summary != _summary(visits[student])
        ]
        return kept, wrong


def shown(words: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = len(words) - _SHOWN_OF_DIFFERENCES
    return words if more <= 0 else [*words[:_SHOWN_OF_DIFFERENCES], f"… and {more} more"]


def _decided(people: People, before: People, now: datetime) -> list[engine_oracle.Answer]:
    """Nobody's notification depends on anybody else: one person at a time, which a large town can be waited for."""
    activities, certificates = defaultdict(list), defaultdict(list)
    for activity in people.activities:
        activities[activity.user_id].append(activity)
    for certificate in people.certificates:
        certificates[certificate.user_id].append(certificate)
    told: dict[UUID, list[Told]] = defaultdict(list)
    for each in before.told:
        told[each.user_id].append(each)
    answers: list[engine_oracle.Answer] = []
    for person in people.people:
        alone = replace(
            people,
            people=[person],
            activities=activities[person.id],
            certificates=certificates[person.id],
            told=told[person.id],
            cooldowns=before.cooldowns,
            achievements=before.achievements,
        )
        answers += engine_oracle.dry_run(alone, now)
    return answers


def _summary(visits: list[datetime]) -> tuple[Any, ...]:
    returns = [(before, at) for before, at in pairwise(visits) if at - before >= timedelta(days=14)]
    left_at, returned_at = returns[-1] if returns else (None, None)
    first, last = (visits[0], visits[-1]) if visits else (None, None)
    return (len(visits), first, last, left_at, returned_at)


def _rows(connection: psycopg.Connection[Any], query: str) -> list[dict[str, Any]]:
    return connection.execute(query.encode()).fetchall()


def _texts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the demo's rows are, which the oracle was written for."""
    return [{name: str(value) for name, value in row.items()} for row in rows]
