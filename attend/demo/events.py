"""What people do in the story, each through the API with their own sign-in, and what the hook makes of it."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from attend.demo.desk import Desk
from attend.demo.evidence import Evidence, insist
from attend.demo.model import DemoData, Person, start_of_year
from attend.demo.report import Event, Told

_TOLD = "select exists (select from public.notifications n where n.user_id = %s and n.subject = %s)"
_RETRACTED = "select n.retracted_at is not null from public.notifications n where n.id = %s"


class Events:
    """Four of them. Each waits for the hook, with cron off."""

    def __init__(self, seen: Evidence) -> None:
        self.seen = seen
        self.desk: Desk = seen.desk
        self.data: DemoData = seen.data
        self.rule_ids = {rule["type"]: rule["id"] for rule in reversed(seen.rules)}

    def all(self) -> Iterator[Event]:
        """Each as it has happened."""
        yield self.reaches_the_milestone()
        yield self.renews_a_certificate()
        yield self.is_active_again()
        yield self.corrects_a_mistake()

    def reaches_the_milestone(self) -> Event:
        """A mentor logs the one session that was missing."""
        mentor = self.data.cast("one-short")[0]
        (threshold,) = self.data.draft("milestone").parameters["thresholds"]
        token = self.desk.sign_in(mentor)
        began = time.monotonic()
        rows = log_a_call(self.desk, token, mentor)
        subject = f"{self.rule_ids['milestone']}:{threshold}:{self.data.now.year}"
        self.desk.until(f"telling {mentor.full_name}", lambda: self.desk.value(_TOLD, mentor.id, subject))
        told, seconds = self._newly_told(began)
        insist([t.subject for t in told] == [subject], f"not one but {len(told)} things were told")
        return Event(
            who=mentor.full_name,
            did=f"logs a phone call, session {threshold} this year",
            then="and is congratulated",
            rows=rows,
            told=told,
            retracted=self.seen.newly_retracted(),
            seconds=seconds,
        )

    def renews_a_certificate(self) -> Event:
        """A coordinator enters the new certificate of somebody who was told that hers runs out."""
        told = self._one_told("certification_expiry")
        old = next(c for c in self.data.certificates if str(c.id) in told.subject)
        coordinator = self.data.cast("coordinator")[0]
        token = self.desk.sign_in(coordinator)
        began = time.monotonic()
        expires_at = old.expires_at + timedelta(days=730)
        certificate = {
            "organization_id": str(old.organization_id),
            "user_id": str(old.user_id),
            "name": old.name,
            "expires_at": expires_at.isoformat(),
        }
        rows = self.desk.write(token, "POST", "certificates", certificate)
        rows += self.desk.write(token, "PATCH", f"certificates?id=eq.{old.id}", {"replaced_by": rows[0]["id"]})
        return self._retracted(coordinator, f"renews “{old.name}” of {told.full_name}", "whose", told, rows, began)

    def is_active_again(self) -> Event:
        """Somebody who was told that she has been quiet logs an activity."""
        told = self._one_told("inactivity")
        mentor = self.desk.people[told.user_id]
        token = self.desk.sign_in(mentor)
        began = time.monotonic()
        rows = log_a_call(self.desk, token, mentor)
        return self._retracted(mentor, "(told above) logs a phone call", "and the", told, rows, began)

    def corrects_a_mistake(self) -> Event:
        """A coordinator moves a visit from the mentor it was registered on to the one who made it."""
        mentor = self.data.cast("misregistered")[0]
        (threshold,) = self.data.draft("milestone").parameters["thresholds"]
        owner = next(p for p in self.data.cast("steady") if self.data.sessions(p) not in (threshold - 1, threshold))
        coordinator = self.data.cast("coordinator")[1]
        wrong = max(
            (a for a in self.data.activities if a.user_id == mentor.id and a.status == "completed"),
            key=lambda activity: activity.occurred_at,
        )
        token = self.desk.sign_in(coordinator)
        began = time.monotonic()
        rows = self.desk.write(token, "PATCH", f"activities?id=eq.{wrong.id}", {"user_id": str(owner.id)})
        subject = self.rule_ids["inactivity"]
        what = f"telling {mentor.full_name}, who has turned quiet,"
        self.desk.until(what, lambda: self.desk.value(_TOLD, mentor.id, subject))
        told, seconds = self._newly_told(began)
        insist([t.user_id for t in told] == [mentor.id], f"not one but {len(told)} people were told")
        return Event(
            who=coordinator.full_name,
            did=f"moves a visit of {mentor.full_name} to {owner.full_name}, whose it is",
            then=f"and {mentor.full_name} turns out to be quiet, and is told",
            rows=rows,
            told=told,
            # Rarely more than nothing: the visit may have been the mentor's milestone.
            retracted=self.seen.newly_retracted(),
            seconds=seconds,
        )

    def _newly_told(self, began: float) -> tuple[list[Told], float]:
        seconds = time.monotonic() - began
        self.desk.until_all_is_looked_at()
        return self.seen.newly_told(), seconds

    def _one_told(self, scenario: str) -> Told:
        """Somebody whose reminder waits to be pushed, and whose next activity is nothing to celebrate."""
        (threshold,) = self.data.draft("milestone").parameters["thresholds"]
        waiting = (
            t
            for t in self.seen.ours(list(self.seen.told.values()))
            if t.scenario == scenario and t.push == "pending"
            if self.data.sessions(self.desk.people[t.user_id]) != threshold - 1
        )
        one = next(waiting, None)
        insist(one is not None, f"nobody of whom {scenario} waits to be pushed")
        assert one is not None  # noqa: S101 - the line above, for the type checker
        return one

    def _retracted(
        self, who: Person, did: str, what: str, told: Told, rows: list[dict[str, Any]], began: float
    ) -> Event:
        undone: UUID = told.id
        self.desk.until("taking back what no longer holds", lambda: self.desk.value(_RETRACTED, undone))
        newly, seconds = self._newly_told(began)
        insist(not newly, f"{len(newly)} people were told because {who.full_name} did something good")
        return Event(
            who=who.full_name,
            did=did,
            then=f"{what} reminder is taken back unpushed",
            rows=rows,
            told=[],
            retracted=self.seen.newly_retracted(),
            seconds=seconds,
        )


def log_a_call(desk: Desk, token: str, mentor: Person) -> list[dict[str, Any]]:
    """A mentor's phone call of just now, with their own token; returns the row."""
    now = desk.clock()
    # In the first hour of a year, it is one of this year's all the same.
    occurred_at = max(now - timedelta(minutes=40), start_of_year(now))
    call = {
        "organization_id": str(mentor.organization_id),
        "user_id": str(mentor.id),
        "activity_type_id": "phone-call",
        "occurred_at": occurred_at.isoformat(),
        "duration_minutes": 25,
    }
    return desk.write(token, "POST", "activities", call)
