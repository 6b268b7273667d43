"""Whatever is written, whoever drains and when: the statistics end equal to a rebuild written by other means."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, cast
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.support.database import Database
from tests.support.statistics import assert_right, drain, drain_all

NOW = datetime.now(UTC)
# Where periods of several types end at once, a leap day among them, and the days around today.
DAYS = [
    *(date(2023, 12, 30) + timedelta(days=n) for n in range(4)),
    *(date(2024, 2, 27) + timedelta(days=n) for n in range(5)),
    *(date(2024, 6, 29) + timedelta(days=n) for n in range(3)),
    *(NOW.date() - timedelta(days=n) for n in range(9)),
]
TIMES = [timedelta(), timedelta(hours=12), timedelta(days=1, microseconds=-1)]
TYPES = ["home-visit", "phone-call", "group-meeting", "other"]

moments = st.builds(
    lambda day, time: min(NOW, datetime(day.year, day.month, day.day, tzinfo=UTC) + time),
    st.sampled_from(DAYS),
    st.sampled_from(TIMES),
)
numbers = st.integers(0, 1_000_000)
chosen = st.lists(numbers, min_size=1, max_size=6)
sessions = st.integers(0, 1)
columns = st.fixed_dictionaries(
    {},
    optional={
        "user_id": numbers,
        "occurred_at": moments,
        "activity_type_id": st.sampled_from(TYPES),
        "duration_minutes": st.integers(0, 90),
        "status": st.sampled_from(["completed", "completed", "planned", "cancelled"]),
        "approval": st.sampled_from(["pending", "approved", "rejected"]),
        "proxy_registered_by": st.none() | numbers,
    },
)
activities = st.lists(columns, min_size=1, max_size=5)


class Edits(RuleBasedStateMachine):
    """Two connections, each in or out of a transaction, write, drain, commit and roll back in any order."""

    database: ClassVar[Database]

    @initialize()
    def found(self) -> None:
        self.clock = NOW
        self.organization_id = uuid.uuid4()
        self.sessions = [self.database.connect() for _ in range(2)]
        self.in_transaction = [False, False]
        self.users: list[UUID] = []
        self.contacts: list[UUID] = []
        self.activities: list[UUID] = []
        write = self.sessions[0].execute
        write("insert into public.organizations (id, name) values (%s, 'Random')", (self.organization_id,))
        for _ in range(3):
            self.join()
            self.contacts.append(uuid.uuid4())
            write("insert into public.contacts values (%s, %s)", (self.organization_id, self.contacts[-1]))
        for session in self.sessions:
            # Alone in its thread: whoever would have to wait for the other gives up, as a client does.
            session.execute("set lock_timeout = '20ms'")

    # --- What is done -------------------------------------------------------------------------------------------

    @rule(session=sessions, rows=activities)
    def log(self, session: int, rows: list[dict[str, Any]]) -> None:
        """One statement of several rows, as an import or a form sends it."""
        ids = [uuid.uuid4() for _ in rows]
        values = [self._activity(activity_id, row) for activity_id, row in zip(ids, rows, strict=True)]
        places = ", ".join([f"({', '.join(['%s'] * 9)})"] * len(rows))
        if self._write(
            session,
            "insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at,"
            f" duration_minutes, status, approval, proxy_registered_by) values {places}",
            [value for row in values for value in row],
        ):
            self.activities += ids

    @rule(session=sessions, which=chosen, change=columns)
    def change(self, session: int, which: list[int], change: dict[str, Any]) -> None:
        """Moves between people, days, types, statuses and approvals, in one statement for several."""
        if not change:
            return
        change = {name: self._person(value) if name in PEOPLE else value for name, value in change.items()}
        self._write(
            session,
            f"update public.activities set {', '.join(f'{name} = %s' for name in change)} where id = any (%s)",
            [*change.values(), self._some(self.activities, which)],
        )

    @rule(session=sessions, which=chosen, row=columns)
    def log_again(self, session: int, which: list[int], row: dict[str, Any]) -> None:
        """An upsert, as a client sends that lost an answer."""
        for activity_id in self._some(self.activities, which[:1]):
            self._write(
                session,
                "insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at,"
                " duration_minutes, status, approval, proxy_registered_by) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
                " on conflict (organization_id, id) do update set user_id = excluded.user_id,"
                " occurred_at = excluded.occurred_at, status = excluded.status",
                self._activity(activity_id, row),
            )

    @rule(session=sessions, which=chosen)
    def delete(self, session: int, which: list[int]) -> None:
        self._write(session, "delete from public.activities where id = any (%s)", [self._some(self.activities, which)])

    @rule(session=sessions, which=chosen, met=chosen)
    def meet(self, session: int, which: list[int], met: list[int]) -> None:
        self._write(
            session,
            "insert into public.activity_contacts select %s, a, c from unnest(%s::uuid[]) a, unnest(%s::uuid[]) c"
            " where exists (select from public.activities x where x.id = a)"
            " and exists (select from public.contacts x where x.id = c) on conflict do nothing",
            [self.organization_id, self._some(self.activities, which), self._some(self.contacts, met)],
        )

    @rule(session=sessions, which=chosen, to=chosen)
    def correct_who_was_met(self, session: int, which: list[int], to: list[int]) -> None:
        """Each row to another activity, where that leaves no row twice."""
        self._write(
            session,
            "update public.activity_contacts c set activity_id = %s where c.activity_id = any (%s)"
            " and c.contact_id = (select min(x.contact_id::text)::uuid from public.activity_contacts x"
            "   where x.activity_id = any (%s)) and c.activity_id = (select min(x.activity_id::text)::uuid"
            "   from public.activity_contacts x where x.contact_id = c.contact_id and x.activity_id = any (%s))"
            " and not exists (select from public.activity_contacts x"
            "   where x.contact_id = c.contact_id and x.activity_id = %s)",
            [
                *(self._some(self.activities, to[:1]) or [None]),
                *[self._some(self.activities, which)] * 3,
                *(self._some(self.activities, to[:1]) or [None]),
            ],
        )

    @rule(session=sessions, which=chosen)
    def forget_who_was_met(self, session: int, which: list[int]) -> None:
        self._write(
            session,
            "delete from public.activity_contacts where activity_id = any (%s)",
            [self._some(self.activities, which)],
        )

    @rule(session=sessions, which=numbers)
    def erase_contact(self, session: int, which: int) -> None:
        """Cascades; somebody else is there instead."""
        if self._write(
            session, "delete from public.contacts where id = any (%s)", [self._some(self.contacts, [which])]
        ):
            contact_id = uuid.uuid4()
            if self._write(session, "insert into public.contacts values (%s, %s)", [self.organization_id, contact_id]):
                self.contacts.append(contact_id)

    @rule(day=st.sampled_from(DAYS), minutes=st.integers(0, 60), contact=st.booleans(), approval=st.booleans())
    def set_bufdir_rule(self, day: date, minutes: int, contact: bool, approval: bool) -> None:
        self._write(
            0,
            "insert into public.bufdir_rules values (%s, %s, %s, %s, %s) on conflict (organization_id, effective_from)"
            " do update set min_duration_minutes = excluded.min_duration_minutes,"
            " requires_contact = excluded.requires_contact, requires_approval = excluded.requires_approval",
            [self.organization_id, day, minutes, contact, approval],
        )

    @rule(day=st.sampled_from(DAYS), to=st.sampled_from(DAYS))
    def move_bufdir_rule(self, day: date, to: date) -> None:
        self._write(
            0,
            "update public.bufdir_rules r set effective_from = %s where organization_id = %s and effective_from ="
            " (select max(x.effective_from) from public.bufdir_rules x"
            "  where x.organization_id = r.organization_id and x.effective_from <= %s)"
            " and not exists (select from public.bufdir_rules x"
            "  where x.organization_id = r.organization_id and x.effective_from = %s)",
            [to, self.organization_id, day, to],
        )

    @rule(day=st.sampled_from(DAYS))
    def delete_bufdir_rules(self, day: date) -> None:
        self._write(
            0,
            "delete from public.bufdir_rules where organization_id = %s and effective_from >= %s",
            [self.organization_id, day],
        )

    @rule(activity_type=st.sampled_from(TYPES), category=st.sampled_from(["group", "other"]))
    def recategorize(self, activity_type: str, category: str) -> None:
        self._write(
            0,
            "update public.activity_types set category = %s where organization_id = %s and id = %s",
            [category, self.organization_id, activity_type],
        )

    @rule(first=st.sampled_from(TYPES), second=st.sampled_from(TYPES))
    def swap_type_ids(self, first: str, second: str) -> None:
        """Keys that cascade into the activities."""
        with self._transaction(0):
            for old, new in ((first, "swapping"), (second, first), ("swapping", second)):
                self.sessions[0].execute(
                    "update public.activity_types set id = %s where organization_id = %s and id = %s",
                    (new, self.organization_id, old),
                )

    @rule()
    def join(self) -> None:
        user_id = uuid.uuid4()
        if self._write(
            0,
            "insert into public.users (organization_id, id, full_name, role)"
            " values (%s, %s, 'Somebody', 'peer_mentor')",
            [self.organization_id, user_id],
        ):
            self.users.append(user_id)

    @rule(session=sessions, which=numbers)
    def erase_person(self, session: int, which: int) -> None:
        self._write(session, "delete from public.users where id = any (%s)", [self._some(self.users, [which])])

    # --- When it is drained and committed -----------------------------------------------------------------------

    @rule(session=sessions, limit=st.sampled_from([1, 3, 2000]))
    def drain(self, session: int, limit: int) -> None:
        with self._transaction(session):
            drain(self.sessions[session], limit, self.clock)

    @rule(session=sessions)
    def begin(self, session: int) -> None:
        if not self.in_transaction[session]:
            self.sessions[session].execute("begin")
            self.in_transaction[session] = True

    @rule(session=sessions, commits=st.sampled_from([True, True, False]))
    def end(self, session: int, commits: bool) -> None:
        if self.in_transaction[session]:
            # A changed rule waits at its commit for a drain under way; who cannot wait is rolled back, and that is all.
            with contextlib.suppress(psycopg.errors.LockNotAvailable):
                self.sessions[session].execute("commit" if commits else "rollback")
            self.in_transaction[session] = False

    @rule(step=st.sampled_from([timedelta(hours=5), timedelta(days=1), timedelta(days=1), timedelta(days=33)]))
    def time_passes(self, step: timedelta) -> None:
        self.clock += step

    @rule(limit=st.sampled_from([1, 7, 2000]))
    def settle(self, limit: int) -> None:
        """Everything committed and drained: the statistics are right."""
        for session in (0, 1):
            self.end(session, commits=True)
        drain_all(self.sessions[1], self.clock, limit)
        assert_right(self.sessions[0], [self.organization_id], self.clock)

    def teardown(self) -> None:
        if not hasattr(self, "sessions"):
            return
        try:
            self.settle(2000)
            # The next example drains its own marks alone.
            self.sessions[0].execute("delete from public.organizations where id = %s", (self.organization_id,))
            drain_all(self.sessions[0], self.clock)
            left = self.sessions[0].execute("select count(*) as n from private.statistics_marks").fetchone()
            assert left == {"n": 0}
        finally:
            for session in self.sessions:
                session.close()
            self.database.execute("delete from public.organizations")
            self.database.execute("delete from private.statistics_marks")

    # --- By what means ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self, session: int) -> Iterator[None]:
        """Undone, and no more than that, when it would have to wait for the other connection or names what is gone."""
        given_up = (
            psycopg.errors.LockNotAvailable,
            psycopg.errors.ForeignKeyViolation,
            psycopg.errors.UniqueViolation,
            psycopg.errors.DeadlockDetected,
        )
        with contextlib.suppress(*given_up), self.sessions[session].transaction():
            yield

    def _write(self, session: int, query: str, params: Sequence[Any]) -> bool:
        with self._transaction(session):
            self.sessions[session].execute(query.encode(), params)
            return True
        return False

    def _activity(self, activity_id: UUID, row: dict[str, Any]) -> list[Any]:
        row = {name: self._person(value) if name in PEOPLE else value for name, value in row.items()}
        return [
            self.organization_id,
            activity_id,
            row.get("user_id", self.users[-1]),
            row.get("activity_type_id", "other"),
            row.get("occurred_at", NOW),
            row.get("duration_minutes", 30),
            row.get("status", "completed"),
            row.get("approval", "pending"),
            row.get("proxy_registered_by"),
        ]

    def _person(self, number: int | None) -> UUID | None:
        return None if number is None else self.users[number % len(self.users)]

    @staticmethod
    def _some(of: list[UUID], which: list[int]) -> list[UUID]:
        return sorted({of[number % len(of)] for number in which}) if of else []


PEOPLE = frozenset({"user_id", "proxy_registered_by"})


def _run(database: Database, examples: int, steps: int) -> None:
    machine: Callable[[], RuleBasedStateMachine] = type("Edits", (Edits,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(os.environ.get("ATTEND_EXAMPLES", examples)),
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=cast(list[HealthCheck], list(HealthCheck)),  # its metaclass iterates, untyped
        ),
    )


def test_random_edits_end_equal_to_a_rebuild(database: Database) -> None:
    _run(database, examples=25, steps=40)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_more_random_edits_end_equal_to_a_rebuild(database: Database) -> None:
    # ATTEND_EXAMPLES=1000 looks longer.
    _run(database, examples=100, steps=60)
