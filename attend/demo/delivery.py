"""What was decided goes to the phones: the dispatcher in this process, and phones instead of a push service.

In between people do what must still count at the last moment. What became of each push is held against who has a phone.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from attend.demo.desk import Desk, count
from attend.demo.events import log_a_call
from attend.demo.evidence import Evidence, insist
from attend.demo.model import DemoData, Person
from attend.demo.report import Delivered, Told
from attend.outbox.answers import Push
from functions.push_notification_dispatcher.providers.protocol import Message, Result, Verdict

# One in ten has none.
_WITHOUT = 10
_DEADLINE = timedelta(hours=24)
_REGISTER = """
insert into public.devices (organization_id, user_id, provider, platform, token)
select u.organization_id, u.id, 'fcm', 'android', 'demo-phone-' || u.id from public.users u where u.id = any (%s)
"""
_DUE = """
select o.id, o.user_id, o.release_at from private.outbox o
where o.organization_id = %s and o.state in ('pending', 'deferred', 'failed') and o.next_attempt_at <= %s
"""
_BECAME = """
select o.id, concat_ws(' ', o.state, o.skipped_reason) as became from private.outbox o where o.id = any (%s)
"""
_TAKEN_BACK = "select count(*) from private.outbox o where o.organization_id = %s and o.state = 'retracted'"


class Phones:
    """A push service with one phone for each token. `gone`: tokens of apps that were removed."""

    name = "phones"

    def __init__(self) -> None:
        self.shown: list[Message] = []
        self.gone: set[str] = set()

    async def send(self, messages: Sequence[Message]) -> Sequence[Result]:
        """Show each message."""
        return [self._show(message) for message in messages]

    def _show(self, message: Message) -> Result:
        if message.token in self.gone:
            return Result(Verdict.DEVICE_GONE, reason="the app was removed")
        self.shown.append(message)
        return Result(Verdict.SENT, f"shown-{len(self.shown)}")

    async def receipts(self, provider_ids: Sequence[str]) -> Mapping[str, Result]:  # noqa: ARG002 - none has any
        """Answer that there are none."""
        return {}

    async def close(self) -> None:
        """Nothing is open."""


class Delivery:
    """Two of them: on the day itself, and on a morning three weeks later."""

    def __init__(self, seen: Evidence) -> None:
        self.seen = seen
        self.desk: Desk = seen.desk
        self.data: DemoData = seen.data
        self.phones = Phones()
        self.reached: set[UUID] = set()

    def today(self) -> Delivered:
        """Gives people phones; some of them do something while their push waits; then the dispatcher runs.

        Raises:
            StoryFailed: somebody was sent what they should not have been, or was not sent what they should.
        """
        began = time.monotonic()
        people = [person.id for place, person in enumerate(self.data.people) if place % _WITHOUT]
        self.desk.connection.execute(_REGISTER, (people,))
        self.reached = set(people)
        reader, muted, active, removed = self._waiting(4)
        preference = self._prefer_no_pushes(muted)
        self._read(reader)
        self.phones.gone.add(f"demo-phone-{removed.user_id}")
        self.reached.discard(removed.user_id)
        token = self.desk.sign_in(self.desk.people[active.user_id])
        # What the hook makes of the other two is done: it must not be what saves this one.
        self.desk.until_all_is_looked_at()
        with self.desk.without_bells():
            (activity,) = log_a_call(self.desk, token, self.desk.people[active.user_id])
            delivered, became = self._dispatch(None, began)
        self.desk.ring_by_hand()
        scripted = {
            reader.full_name: (became[reader.user_id], "skipped read"),
            active.full_name: (became[active.user_id], "skipped condition_gone"),
            removed.full_name: (became[removed.user_id], "skipped no_device"),
        }
        for name, (found, expected) in scripted.items():
            insist(found == expected, f"the push to {name} is {found}, not {expected}")
        insist(muted.user_id not in became, f"{muted.full_name} wanted no pushes, and one was still to go")
        did = [
            f"{muted.full_name} switches pushes off: taken back at once",
            f"{reader.full_name} opens the app and reads: not pushed",
            f"{active.full_name} logs a call whose bells are lost: looked at once more, not pushed",
            f"{removed.full_name} has removed the app: its token is given up",
        ]
        return delivered.model_copy(update={"did": did, "activity": activity, "preference": preference})

    def at(self, at: datetime) -> Delivered:
        """The dispatcher with `at` for its clock.

        Raises:
            StoryFailed: as `today`.
        """
        return self._dispatch(at, time.monotonic())[0]

    def _waiting(self, number: int) -> list[Told]:
        """People with a phone, no preferences of their own and one push that waits: a reminder."""
        (threshold,) = self.data.draft("milestone").parameters["thresholds"]
        told = [t for t in self.seen.ours(self.desk.notifications()) if t.push == "pending"]
        times = count(t.user_id for t in told)
        opinions = {preference.user_id for preference in self.data.preferences}
        found = [
            t
            for t in told
            if t.scenario == "inactivity" and times[t.user_id] == 1 and t.user_id in self.reached - opinions
            # The call they log is nothing to celebrate.
            if self.data.sessions(self.desk.people[t.user_id]) != threshold - 1
        ]
        insist(len(found) > number, f"only {len(found)} reminders wait to be pushed")
        return found[:number]

    def _prefer_no_pushes(self, told: Told) -> dict[str, Any]:
        row = {
            "organization_id": str(told.organization_id),
            "user_id": str(told.user_id),
            "scenario": "inactivity",
            "channel": "push",
            "is_enabled": False,
        }
        return self.desk.write(self._sign_in(told), "POST", "notification_preferences", row)[0]

    def _read(self, told: Told) -> None:
        read = {"read_at": self.desk.clock().isoformat()}
        self.desk.write(self._sign_in(told), "PATCH", f"notifications?id=eq.{told.id}", read)

    def _sign_in(self, told: Told) -> str:
        person: Person = self.desk.people[told.user_id]
        return self.desk.sign_in(person)

    def _dispatch(self, at: datetime | None, began: float) -> tuple[Delivered, dict[UUID, str]]:
        ours, clock = self.data.organization, at or self.desk.clock()
        due = {row["id"]: row for row in self.desk.rows(_DUE, ours.id, clock)}
        before = len(self.phones.shown)
        self.desk.dispatch(self.phones, at)
        became = {row["id"]: row["became"] for row in self.desk.rows(_BECAME, list(due))}
        shown = {UUID(m.collapse_key): m for m in self.phones.shown[before:]}
        insist(len(shown) == len(self.phones.shown) - before, "somebody was shown one push twice")
        self._check(due, became, set(shown), clock)
        rows = self.desk.pushes(ours)
        return Delivered(
            at=clock,
            local=self.desk.local(clock),
            phones=len(self.reached & {p.id for p in self.data.people if p.organization_id == ours.id}),
            due=len(due),
            became=count(became.values()),
            taken_back=self.desk.value(_TAKEN_BACK, ours.id),
            on_a_phone=next((f"{m.title}: {m.body}" for key, m in shown.items() if key in due), ""),
            rows=_one_of_each(rows),
            seconds=time.monotonic() - began,
        ), {due[key]["user_id"]: what for key, what in became.items()}

    def _check(
        self, due: Mapping[UUID, Mapping[str, Any]], became: Mapping[UUID, str], shown: set[UUID], at: datetime
    ) -> None:
        for key, what in became.items():
            row = due[key]
            name = self.desk.people[row["user_id"]].full_name
            has_phone, is_stale = row["user_id"] in self.reached, row["release_at"] + _DEADLINE <= at
            insist((what == "sent") == (key in shown), f"the push to {name} is {what}, and a phone says otherwise")
            insist(what != "sent" or (has_phone and not is_stale), f"{name} has no phone, or was told too late")
            insist(what != "skipped no_device" or not has_phone, f"{name} has a phone, and was not reached")
            insist((what == "skipped stale") == (is_stale and what != "skipped read"), f"{name} was told too late")
            insist(what.startswith(("sent", "skipped", "deferred")), f"the push to {name} is left {what}")


def _one_of_each(rows: Sequence[Push]) -> list[Push]:
    kinds: dict[tuple[str, str | None], Push] = {}
    for row in rows:
        kinds.setdefault((row.state, row.skipped_reason), row)
    return list(kinds.values())
