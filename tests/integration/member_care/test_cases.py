"""Pastoral cases: stories with what they come to, twenty generators at once, and what a trail says."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.congregation import Congregation, refused
from tests.support.database import Database
from tests.support.races import answer, in_background, wait_until_blocked


@dataclass
class Story:
    """One person of a family, and what happens to them, step by step."""

    church: Congregation
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    other: UUID | None = None

    def __post_init__(self) -> None:
        self.family = self.church.family(self.church.servant)
        self.person = self.church.person(self.family)
        self.login = self.church.login(self.church.servant)

    def records(self, statuses: str, start: int = 0) -> None:
        self.church.records(self.person, statuses, start)

    def correct(self, day: int, status: str) -> None:
        self.church.correct(self.person, day, status)

    def cancel(self, day: int) -> None:
        self.church.database.execute("delete from public.services where id = %s", (self.church.services.pop(day),))

    def night(self, times: int = 1) -> None:
        for _ in range(times):
            self.is_looked_at()
            self.church.generate(self.now)
            self.now += timedelta(days=1)

    def is_looked_at(self) -> None:
        """A night asks only of whom two indexes name: they name everybody whose case has to change."""
        changed = self.church.database.rows(
            "select c.person_id, (select t.is_certain from private.people_to_tend(%s) t"
            "   where t.person_id = c.person_id) as is_certain"
            " from private.case_changes("
            "   %s, array(select p.id from public.people p where p.organization_id = %s), %s) c",
            (self.church.id, self.church.id, self.church.id, self.now),
        )
        assert all(change["is_certain"] is not None for change in changed), changed
        certain = "select array_agg(t.person_id) from private.people_to_tend(%s) t where t.is_certain"
        assert set(self.church.database.value(certain, (self.church.id,)) or []) <= {c["person_id"] for c in changed}

    def later(self, days: float) -> None:
        self.now += timedelta(days=days)

    def work(self, status: str) -> None:
        case = self.church.cases(self.person)[-1]["id"]
        with self.church.as_person(self.login) as servant:
            servant.execute("select public.work_case(%s, %s::public.case_status)", (case, status))
        # The story's clock, which is ahead of the server's.
        self.church.database.execute(
            "update public.pastoral_cases set closed_at = %s where id = %s and closed_at is not null", (self.now, case)
        )

    def status(self, status: str) -> None:
        self.church.database.execute(
            "update public.people set status = %s::public.person_status where id = %s", (status, self.person)
        )

    def threshold(self, value: int) -> None:
        self.church.set("absence_alert_threshold", value)

    def recase(self, value: int) -> None:
        self.church.set("recase_after_days", value)

    def servant_leaves(self) -> None:
        self.church.database.execute("update public.users set is_active = false where id = %s", (self.church.servant,))

    def servant_comes(self) -> None:
        self.other = self.church.user("servant")
        self.church.database.execute(
            "update public.families set assigned_servant_id = %s where id = %s", (self.other, self.family)
        )

    def no_servant(self) -> None:
        self.church.database.execute(
            "update public.families set assigned_servant_id = null where id = %s", (self.family,)
        )

    def no_family(self) -> None:
        self.church.database.execute("update public.people set family_id = null where id = %s", (self.person,))

    def a_mentor_for_a_servant(self) -> None:
        self.church.database.execute(
            "update public.users set role = 'peer_mentor' where id = %s", (self.church.servant,)
        )

    def opts_out(self) -> None:
        self.church.database.execute(
            "insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled)"
            " values (%s, %s, 'pastoral_case', false)",
            (self.church.id, self.church.servant),
        )

    def quiet(self) -> None:
        """It is quiet around the clock, but for a minute."""
        at = self.now.astimezone(UTC)
        self.church.database.execute(
            "insert into public.org_settings_kv values"
            " (%s, 'quiet_hours', jsonb_build_object('from', %s::text, 'to', %s::text))",
            (self.church.id, f"{(at.hour + 23) % 24:02}:00", f"{(at.hour + 12) % 24:02}:00"),
        )
        self.church.database.execute(
            "update public.organizations set time_zone = 'UTC' where id = %s", (self.church.id,)
        )

    def cap(self, value: int) -> None:
        self.church.set("notification_daily_cap", value)

    def told_of_others(self) -> None:
        """The servant's day is full."""
        self.cap(1)
        self.church.database.execute(
            "insert into public.notifications (organization_id, user_id, scenario, subject, triggered_at, release_on)"
            " values (%s, %s, 'inactivity', 'x', %s, (%s at time zone 'Africa/Cairo')::date)",
            (self.church.id, self.church.servant, self.now, self.now),
        )

    def cases(self) -> list[str]:
        names = {self.church.servant: "servant", self.other: "other", None: "nobody"}
        return [
            " ".join(
                [case["status"], case["priority"], names[case["assigned_servant_id"]]]
                + ([case["withdrawn_reason"]] if case["withdrawn_reason"] else [])
            )
            for case in self.church.cases(self.person)
        ]


# What happens; the cases in the end; what servants were told, in order.
STORIES: dict[str, tuple[list[tuple[Any, ...]], list[str], list[str]]] = {
    "two absences are none of ours": ([("records", "aa"), ("night",)], [], []),
    "the third is": ([("records", "aaa"), ("night",)], ["open normal servant"], ["opened"]),
    "night after night it stays one case, told once": (
        [("records", "aaa"), ("night", 40)],
        ["open normal servant"],
        ["opened"],
    ),
    "whoever is present is left in peace": ([("records", "aapaap"), ("night",)], [], []),
    "excused is neither an absence nor a return": (
        [("records", "aaeae"), ("night",)],
        ["open normal servant"],
        ["opened"],
    ),
    "excused alone is nothing": ([("records", "eeeeee"), ("night",)], [], []),
    "six from the beginning are urgent, and never escalated": (
        [("records", "aaaaaa"), ("night", 3)],
        ["open urgent servant"],
        ["opened"],
    ),
    "the sixth escalates, once": (
        [("records", "aaa"), ("night",), ("records", "aaa", 21), ("night", 3), ("records", "aa", 42), ("night", 20)],
        ["open urgent servant"],
        ["opened", "escalated"],
    ),
    "a case in progress is escalated too": (
        [("records", "aaa"), ("night",), ("work", "in_progress"), ("records", "aaa", 21), ("night",)],
        ["in_progress urgent servant"],
        ["opened", "escalated"],
    ),
    "a return is marked, and the servant closes": (
        [("records", "aaa"), ("night",), ("records", "p", 21), ("night", 3), ("work", "closed"), ("night", 40)],
        ["closed normal servant"],
        ["opened retracted"],
    ),
    "nothing else closes by itself": (
        [("records", "aaa"), ("night",), ("records", "pppppp", 21), ("night", 90)],
        ["returned normal servant"],
        ["opened retracted"],
    ),
    "late is a return": (
        [("records", "aaa"), ("night",), ("records", "l", 21), ("night",)],
        ["returned normal servant"],
        ["opened retracted"],
    ),
    "a correction that takes the risk away withdraws": (
        [("records", "aaa"), ("night",), ("correct", 14, "present"), ("night",)],
        ["withdrawn normal servant attendance_corrected"],
        ["opened retracted"],
    ),
    "so does an excuse": (
        [("records", "aaa"), ("night",), ("correct", 7, "excused"), ("night",)],
        ["withdrawn normal servant attendance_corrected"],
        ["opened retracted"],
    ),
    "so does a service that did not take place": (
        [("records", "aaa"), ("night",), ("cancel", 7), ("night",)],
        ["withdrawn normal servant attendance_corrected"],
        ["opened retracted"],
    ),
    "so does a return that was entered late, before the third absence": (
        [("records", "aaa"), ("night",), ("records", "p", 10), ("night",)],
        ["withdrawn normal servant attendance_corrected"],
        ["opened retracted"],
    ),
    "a return does not hide that the absence never was": (
        [("records", "aaa"), ("night",), ("records", "p", 21), ("correct", 0, "present"), ("night",)],
        ["withdrawn normal servant attendance_corrected"],
        ["opened retracted"],
    ),
    "nor does one that was marked before": (
        [("records", "aaa"), ("night",), ("records", "p", 21), ("night",), ("correct", 0, "present"), ("night",)],
        ["withdrawn normal servant attendance_corrected"],
        ["opened retracted"],
    ),
    "a correction of a correction is told of once": (
        [
            *(("records", "aaa"), ("night",), ("correct", 14, "present"), ("night",)),
            *(("correct", 14, "absent"), ("night", 2)),
        ],
        ["withdrawn normal servant attendance_corrected", "open normal servant"],
        ["opened retracted", "opened"],
    ),
    "a return that was a mistake opens the case again": (
        [("records", "aaa"), ("night",), ("records", "p", 21), ("night",), ("correct", 21, "absent"), ("night",)],
        ["open normal servant"],
        ["opened retracted", "reopened"],
    ),
    "closed too early, it is left alone for 28 days": (
        [("records", "aaa"), ("night",), ("work", "closed"), ("night", 27)],
        ["closed normal servant"],
        ["opened retracted"],
    ),
    "and made again then": (
        [("records", "aaa"), ("night",), ("work", "closed"), ("later", 28), ("night",)],
        ["closed normal servant", "open normal servant"],
        ["opened retracted", "opened"],
    ),
    "or after as many days as the organisation says": (
        [("records", "aaa"), ("recase", 7), ("night",), ("work", "closed"), ("night", 6), ("later", 1), ("night",)],
        ["closed normal servant", "open normal servant"],
        ["opened retracted"],
    ),
    "or at the sixth absence": (
        [("records", "aaa"), ("night",), ("work", "closed"), ("records", "aaa", 21), ("night", 2)],
        ["closed normal servant", "open urgent servant"],
        ["opened retracted"],
    ),
    "an urgent one that was closed waits like any other": (
        [("records", "aaaaaa"), ("night",), ("work", "closed"), ("records", "aa", 42), ("night", 10)],
        ["closed urgent servant"],
        ["opened retracted"],
    ),
    "a relapse within 30 days opens it again": (
        [
            *(("records", "aaa"), ("night",), ("records", "p", 21), ("night",), ("work", "closed"), ("later", 20)),
            *(("records", "aaa", 28), ("night",)),
        ],
        ["open normal servant"],
        ["opened retracted", "reopened"],
    ),
    "also where nobody has closed it": (
        [
            ("records", "aaa"),
            ("night",),
            ("records", "p", 21),
            ("night",),
            ("later", 20),
            ("records", "aaa", 28),
            ("night",),
        ],
        ["open normal servant"],
        ["opened retracted", "reopened"],
    ),
    "a relapse after 30 days is another case": (
        [
            *(("records", "aaa"), ("night",), ("records", "ppp", 21), ("night",), ("work", "closed"), ("later", 20)),
            *(("records", "aaa", 42), ("night",)),
        ],
        ["closed normal servant", "open normal servant"],
        ["opened retracted", "opened"],
    ),
    "whoever moves is withdrawn": (
        [("records", "aaa"), ("night",), ("status", "moved"), ("night",)],
        ["withdrawn normal servant person_moved"],
        ["opened retracted"],
    ),
    "whoever has died is withdrawn, and nobody is told again": (
        [("records", "aaa"), ("night",), ("status", "deceased"), ("records", "aaa", 21), ("night", 30)],
        ["withdrawn normal servant person_deceased"],
        ["opened retracted"],
    ),
    "the inactive get no case": ([("records", "aaa"), ("status", "inactive"), ("night",)], [], []),
    "and whoever is active again does": (
        [("records", "aaa"), ("status", "inactive"), ("night",), ("status", "active"), ("night",)],
        ["open normal servant"],
        ["opened"],
    ),
    "a family without a servant: unassigned": (
        [("no_servant",), ("records", "aaa"), ("night", 2)],
        ["open normal nobody"],
        [],
    ),
    "nobody's family: unassigned": ([("no_family",), ("records", "aaa"), ("night",)], ["open normal nobody"], []),
    "a servant who has left: unassigned": (
        [("servant_leaves",), ("records", "aaa"), ("night",)],
        ["open normal nobody"],
        [],
    ),
    "a mentor is no servant": (
        [("a_mentor_for_a_servant",), ("records", "aaa"), ("night",)],
        ["open normal nobody"],
        [],
    ),
    "a servant who leaves their case leaves it to nobody": (
        [("records", "aaa"), ("night",), ("servant_leaves",), ("night",)],
        ["open normal nobody"],
        ["opened retracted"],
    ),
    "the family's next servant takes it over, and is told": (
        [("records", "aaa"), ("night",), ("servant_leaves",), ("night",), ("servant_comes",), ("night", 2)],
        ["open normal other"],
        ["opened retracted", "assigned"],
    ),
    "a higher threshold withdraws": (
        [("records", "aaa"), ("night",), ("threshold", 4), ("night",)],
        ["withdrawn normal servant threshold_raised"],
        ["opened retracted"],
    ),
    "a lower one finds people": (
        [("records", "a"), ("night",), ("threshold", 1), ("night",)],
        ["open normal servant"],
        ["opened"],
    ),
    "whoever wants to hear nothing has the case all the same": (
        [("opts_out",), ("records", "aaa"), ("night", 2)],
        ["open normal servant"],
        [],
    ),
    "a full day is tried again": (
        [("records", "aaa"), ("told_of_others",), ("night",), ("night", 2)],
        ["open normal servant"],
        ["opened"],
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_story_comes_to_what_it_should(database: Database, story: str) -> None:
    steps, cases, told = STORIES[story]
    tale = Story(Congregation(database))
    for name, *arguments in steps:
        getattr(tale, name)(*arguments)
    assert tale.cases() == cases
    assert tale.church.told() == told
    # And it has come to rest.
    assert tale.church.generate(tale.now) == {}


def test_a_full_day_is_not_told_on_that_day(database: Database) -> None:
    tale = Story(Congregation(database))
    tale.records("aaa")
    tale.told_of_others()
    assert tale.church.generate(tale.now) == {"cases": {"open": 1}, "pastoral_case": {"capped": 1}}
    assert tale.church.told() == []
    assert tale.church.generate(tale.now + timedelta(days=1)) == {"pastoral_case": {"sent": 1}}


def test_in_quiet_hours_the_push_waits_and_a_return_takes_it_back(database: Database) -> None:
    tale = Story(Congregation(database))
    tale.records("aaa")
    tale.quiet()
    assert tale.church.generate(tale.now) == {"cases": {"open": 1}, "pastoral_case": {"quiet_hours": 1}}
    outbox = "select o.state::text from private.outbox o where o.organization_id = %s"
    assert database.value(outbox, (tale.church.id,)) == "deferred"
    tale.records("p", 21)
    tale.church.generate(tale.now)
    assert database.value(outbox, (tale.church.id,)) == "retracted"


def test_what_was_taken_back_unseen_is_told_when_it_is_true_again(database: Database) -> None:
    tale = Story(Congregation(database))
    tale.records("aaa")
    tale.quiet()
    tale.church.generate(tale.now)
    tale.correct(14, "excused")
    tale.church.generate(tale.now + timedelta(minutes=1))
    assert tale.church.told() == ["opened retracted"]
    tale.correct(14, "absent")
    again = tale.church.generate(tale.now + timedelta(minutes=2))
    assert again == {"cases": {"open": 1}, "pastoral_case": {"quiet_hours": 1}}
    assert tale.church.told() == ["opened retracted", "opened"]


def test_what_was_seen_is_told_once_however_often_it_is_corrected(database: Database) -> None:
    tale = Story(Congregation(database))
    tale.records("aaa")
    tale.church.generate(tale.now)
    database.execute("update private.outbox set state = 'sent' where organization_id = %s", (tale.church.id,))
    tale.correct(14, "excused")
    tale.church.generate(tale.now + timedelta(minutes=1))
    tale.correct(14, "absent")
    again = tale.church.generate(tale.now + timedelta(minutes=2))
    assert again == {"cases": {"open": 1}, "pastoral_case": {"cooling_down": 1}}


def test_who_opts_out_while_news_of_theirs_is_taken_back_does_not_wait_in_a_circle(database: Database) -> None:
    """The servant's lock comes before that of their push, whoever takes it."""
    church = Congregation(database)
    low, high = sorted((church.user("servant"), church.user("servant")))
    of_high, of_low = church.family(high), church.family(low)
    back = church.person(of_high)
    church.records(back, "aaa")
    church.generate()
    church.records(back, "p", 21)
    for family in (of_high, of_low):
        church.records(church.person(family), "aaa")
    failures: list[str] = []

    def run(statement: str, *arguments: Any) -> threading.Thread:
        def work() -> None:
            with database.connect("service_role") as connection:
                connection.execute("set statement_timeout = '60s'")
                try:
                    connection.execute(statement.encode(), arguments)
                except psycopg.Error as error:
                    failures.append(repr(error))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        return thread

    with database.connect(autocommit=False) as holding:
        holding.execute("select from public.users where id = %s for no key update", (low,))
        waiting = [run("select private.tend_cases(%s, null, now())", church.id)]
        # Meanwhile the other of the two servants opts out; they have news that is to be taken back.
        with database.connect(autocommit=False) as other:
            other.execute("set local lock_timeout = '5s'")
            out = "insert into public.notification_preferences values (%s, %s, 'pastoral_case', 'all', false)"
            other.execute(out, (church.id, high))
            other.commit()
        holding.commit()
        for thread in waiting:
            thread.join(20)
    assert failures == []
    assert church.told(high) == ["opened retracted"]
    assert church.told(low) == ["opened"]


def test_a_case_that_is_given_away_and_back_is_told_of_again(tale: Story, database: Database) -> None:
    church = tale.church
    case = church.cases(tale.person)[0]["id"]
    admin, other = church.login(church.admin), church.user("servant")
    for servant in (other, church.servant):
        with church.as_person(admin) as connection:
            connection.execute("select public.reassign_case(%s, %s)", (case, servant))
        database.value("select public.drain_care_marks()")
    assert church.told(church.servant) == ["opened retracted", "assigned"]
    assert church.told(other) == ["assigned retracted"]


def test_what_has_been_read_is_not_taken_back(database: Database) -> None:
    tale = Story(Congregation(database))
    tale.records("aaa")
    tale.night()
    database.execute("update public.notifications set read_at = now() where organization_id = %s", (tale.church.id,))
    tale.correct(0, "present")
    tale.night()
    assert tale.church.told() == ["opened"]


def test_what_is_said_names_case_and_person_and_no_more(database: Database) -> None:
    tale = Story(Congregation(database))
    tale.records("aaa")
    tale.night()
    (case,) = tale.church.cases(tale.person)
    notification = database.rows(
        "select context, subject, rule_id from public.notifications where organization_id = %s", (tale.church.id,)
    )[0]
    assert notification["context"] == {
        "case_id": str(case["id"]),
        "person_id": str(tale.person),
        "event": "opened",
        "priority": "normal",
        "absences": 3,
    }
    assert (notification["subject"], notification["rule_id"]) == (str(tale.person), None)
    assert "home visit or a phone call" in case["notes"]


# ------------------------------------------------------------------------------------------- many at once


def at_once(database: Database, number: int, statement: str, *arguments: Any) -> list[str]:
    barrier, failures = threading.Barrier(number), []

    def run() -> None:
        with database.connect("service_role") as connection:
            connection.execute("set statement_timeout = '60s'")
            barrier.wait()
            try:
                connection.execute(statement.encode(), arguments)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test is to say it
                failures.append(repr(error))

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_twenty_generators_at_once_make_one_case_a_person_and_escalate_once(database: Database) -> None:
    church = Congregation(database)
    family = church.family(church.servant)
    people = [church.person(family) for _ in range(30)]
    for person in people:
        church.records(person, "aaa")
    generate = "select public.auto_generate_absence_pastoral_cases()"
    assert at_once(database, 20, generate) == []
    assert [len(church.cases(person)) for person in people] == [1] * 30
    assert church.told() == ["opened"] * 30
    for person in people:
        church.records(person, "aaa", 21)
    assert at_once(database, 20, generate) == []
    assert church.told() == ["opened"] * 30 + ["escalated"] * 30
    events = database.value(
        "select count(*) from public.pastoral_case_events where organization_id = %s and changes ? 'escalated_at'",
        (church.id,),
    )
    assert events == 30
    for person in people:
        church.record(person, 42, "present")
    assert at_once(database, 20, generate) == []
    assert {case["status"] for person in people for case in church.cases(person)} == {"returned"}


def test_a_night_that_has_nothing_to_do_waits_for_nobody_and_writes_nothing(database: Database) -> None:
    """With somebody who is asked after, who is so by nobody, who returned, whose case was closed early, who is well."""
    church = Congregation(database)
    family = church.family(church.servant)
    people = [church.person(family), church.person(), church.person(family), church.person(family)]
    for person in people:
        church.records(person, "aaa")
    church.records(church.person(family), "apa")
    church.record(people[2], 21, "present")
    church.generate()
    close = "update public.pastoral_cases set status = 'closed', closed_at = now() where person_id = %s"
    database.execute(close, (people[3],))
    assert church.generate() == {}
    with database.connect(autocommit=False) as holder, database.connect("service_role", autocommit=False) as night:
        holder.execute("select from public.people where organization_id = %s for update", (church.id,))
        holder.execute("select from public.pastoral_cases where organization_id = %s for update", (church.id,))
        night.execute("set local statement_timeout = '5s'")
        (answer,) = night.execute("select private.tend_cases(%s, null, now()) as counts", (church.id,)).fetchall()
        (writes,) = night.execute("select pg_current_xact_id_if_assigned() as id").fetchall()
        assert (answer["counts"], writes["id"]) == ({}, None)
        holder.rollback()


def test_a_generator_that_judged_before_another_acted_judges_again(database: Database) -> None:
    """The case was made, and closed by its servant, between this one's look and its turn."""
    church = Congregation(database)
    person = church.person(church.family(church.servant))
    church.records(person, "aaa")
    with database.connect("service_role", autocommit=False) as first, database.connect("service_role") as second:
        first.execute("select private.tend_cases(%s, null, now())", (church.id,))
        tend = "select private.tend_cases(%s, null, now())"
        waiting = threading.Thread(target=lambda: second.execute(tend, (church.id,)))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        close = "update public.pastoral_cases set status = 'closed', closed_at = now() where person_id = %s"
        first.execute(close, (person,))
        first.commit()
        waiting.join(10)
    assert [case["status"] for case in church.cases(person)] == ["closed"]
    assert church.told() == ["opened"]


def test_twenty_drains_and_generators_at_once_do(database: Database) -> None:
    church = Congregation(database)
    people = [church.person(church.family(church.servant)) for _ in range(30)]
    for person in people:
        church.records(person, "aaa")
    drain, run = "select public.drain_care_marks(7)", "select public.work_case_run()"
    assert at_once(database, 20, f"do $$ begin perform {drain[7:]}; commit; perform {run[7:]}; end $$") == []
    church.generate()
    assert [len(church.cases(person)) for person in people] == [1] * 30
    assert church.told() == ["opened"] * 30


# ------------------------------------------------------------------------------------------- the ledger and marks


def test_the_ledger_says_what_a_run_did_and_a_run_goes_on_where_it_was(database: Database) -> None:
    database.execute("delete from public.organizations")
    database.execute("delete from private.case_runs")
    churches = [Congregation(database) for _ in range(3)]
    for church in churches:
        church.records(church.person(church.family(church.servant)), "aaa")
    ask = "select public.work_case_run(now(), 2)"
    first, second = database.value(ask), database.value(ask)
    assert (first["state"], first["organizations"], second["state"], second["organizations"]) == (
        *("in_progress", 2),
        *("finished", 1),
    )
    (run,) = database.rows("select * from private.case_runs")
    assert (run["organizations"], run["counts"]) == (3, {"cases": {"open": 3}, "pastoral_case": {"sent": 3}})
    schedule = database.rows("select * from private.schedules where name = 'pastoral-cases'")[0]
    assert schedule["last_started_at"] < schedule["last_succeeded_at"]
    assert schedule["last_result"] == {"run_id": run["id"], "organizations": 3, "counts": run["counts"]}
    report = database.value("select public.auto_generate_absence_pastoral_cases()")
    assert (report["organizations"], report["counts"]) == (3, {})
    assert database.value("select count(*) from private.case_runs where finished_at is not null") == 2


def test_who_finds_another_at_work_is_told_so(database: Database) -> None:
    Congregation(database)
    database.execute("delete from private.case_runs")
    with database.connect("service_role", autocommit=False) as holder, database.connect("service_role") as late:
        holder.execute("select public.work_case_run(now(), 1)")
        (answer,) = late.execute("select public.work_case_run() as answer").fetchall()
        assert answer["answer"]["state"] == "busy"
        holder.rollback()


def test_whoever_becomes_at_risk_is_marked_and_drained_within_their_transactions(database: Database) -> None:
    database.execute("delete from private.care_marks")
    church = Congregation(database)
    person = church.person(church.family(church.servant))
    marked = "select count(*) from private.care_marks where organization_id = %s"
    church.records(person, "aa")
    assert database.value(marked, (church.id,)) == 0
    church.record(person, 14, "absent")
    assert database.value(marked, (church.id,)) == 1
    answer = database.value("select public.drain_care_marks()")
    assert (answer["marks"], answer["people"], answer["more"]) == (1, 1, False)
    assert answer["counts"] == {"cases": {"open": 1}, "pastoral_case": {"sent": 1}}
    for number, (day, status) in enumerate([(21, "absent"), (28, "absent"), (35, "absent"), (42, "present")]):
        church.record(person, day, status)
        # The fourth and fifth change nothing; the sixth escalates; a return ends it.
        assert database.value(marked, (church.id,)) == (0, 0, 1, 1)[number]
        database.value("select public.drain_care_marks()")
    church.correct(person, 0, "present")
    assert database.value(marked, (church.id,)) == 1, "a correction of a returned person's absence"
    database.value("select public.drain_care_marks()")
    assert church.cases(person)[0]["status"] == "returned", "five are left"


def test_a_drain_leaves_marks_that_another_holds(database: Database) -> None:
    church = Congregation(database)
    church.records(church.person(church.family(church.servant)), "aaa")
    with database.connect(autocommit=False) as other, database.connect("service_role") as connection:
        other.execute("select from private.care_marks for update")
        connection.execute("set lock_timeout = '1s'")
        assert answer(connection, "select public.drain_care_marks()")["marks"] == 0


def test_a_case_that_another_is_telling_of_is_left_to_them(database: Database, tale: Story) -> None:
    church = tale.church
    database.execute("update public.pastoral_cases set untold = 'assigned' where organization_id = %s", (church.id,))
    with database.connect(autocommit=False) as other, database.connect("service_role") as connection:
        other.execute("select from public.pastoral_cases for update")
        connection.execute("set lock_timeout = '1s'")
        assert answer(connection, "select private.tell_servants(%s, null, '{}', now())", church.id) == {}


def test_a_drain_that_fails_leaves_the_marks(database: Database) -> None:
    church = Congregation(database)
    person = church.person(church.family(church.servant))
    church.records(person, "aaa")
    marked = database.value("select count(*) from private.care_marks")
    assert marked > 0
    with database.connect("service_role", autocommit=False) as connection:
        connection.execute("select public.drain_care_marks()")
        connection.rollback()
    assert (database.value("select count(*) from private.care_marks"), church.cases(person)) == (marked, [])


# ------------------------------------------------------------------------------------------- working a case


@pytest.fixture
def tale(database: Database) -> Story:
    tale = Story(Congregation(database))
    tale.records("aaa")
    tale.night()
    return tale


def test_a_servant_works_their_case_and_the_trail_says_so(tale: Story) -> None:
    church = tale.church
    case = church.cases(tale.person)[0]["id"]
    with church.as_person(tale.login) as servant:
        visit = servant.execute(
            "select public.log_contact(%s, 'home_visit', 'reached', now() - interval '1 hour', 'Tea.') as contact",
            (case,),
        ).fetchall()[0]["contact"]
        assert (visit["contacted_by"], visit["outcome"]) == (str(church.servant), "reached")
        servant.execute("select public.work_case(%s, p_notes => 'Ill, and better now.')", (case,))
        servant.execute("select public.work_case(%s, 'closed')", (case,))
        seen = servant.execute("select status, notes from public.pastoral_cases").fetchall()
        trail = servant.execute("select actor_id, changes from public.pastoral_case_events order by id").fetchall()
        assert len(servant.execute("select from public.pastoral_contacts").fetchall()) == 1
    assert seen == [{"status": "closed", "notes": "Ill, and better now."}]
    assert [event["actor_id"] for event in trail] == [None, *[church.servant] * 3]
    assert trail[0]["changes"]["status"] == [None, "open"]
    assert trail[1]["changes"] == {"status": ["open", "in_progress"]}
    assert trail[2]["changes"]["notes"][1] == "Ill, and better now."
    assert trail[3]["changes"]["status"] == ["in_progress", "closed"]


def test_a_servant_who_is_just_being_decided_about_need_not_wait_to_close_a_case(
    tale: Story, database: Database
) -> None:
    case = tale.church.cases(tale.person)[0]["id"]
    outbox = "select concat_ws(' ', o.state, o.skipped_reason) from private.outbox o where o.organization_id = %s"
    with database.connect(autocommit=False) as deciding:
        deciding.execute("select from public.users where id = %s for no key update", (tale.church.servant,))
        with tale.church.as_person(tale.login) as servant:
            servant.execute("set lock_timeout = '2s'")
            servant.execute("select public.work_case(%s, 'closed')", (case,))
    # Nor is anything of theirs touched meanwhile: it is judged when it is to go.
    assert database.value(outbox, (tale.church.id,)) == "pending"
    claim = "select public.claim_outbox(gen_random_uuid(), 1000) #>> '{held,condition_gone}'"
    assert int(database.value(claim)) >= 1
    assert database.value(outbox, (tale.church.id,)) == "skipped condition_gone"
    assert tale.church.told() == ["opened retracted"]


def test_what_is_closed_this_moment_is_not_taken_up_again(database: Database, tale: Story) -> None:
    case = tale.church.cases(tale.person)[0]["id"]
    refusals: list[str] = []
    with tale.church.as_person(tale.login) as first, tale.church.as_person(tale.login) as second:
        first.autocommit = False
        first.execute("select public.work_case(%s, 'closed')", (case,))
        later = in_background(
            lambda: refusals.append(refused(second, "select public.work_case(%s, 'in_progress')", case))
        )
        wait_until_blocked(database)
        first.commit()
        later.join(10)
    assert refusals == ["PT409 status_cannot_change"]
    assert tale.church.cases(tale.person)[0]["status"] == "closed"


def test_only_what_a_servant_may_do_is_done(tale: Story) -> None:
    church = tale.church
    case = church.cases(tale.person)[0]["id"]
    stranger = church.login(church.user("servant"))
    manager = church.login(church.user("manager"))
    with church.as_person(stranger) as connection:
        assert connection.execute("select from public.pastoral_cases").fetchall() == []
        assert refused(connection, "select public.work_case(%s, 'closed')", case) == "PT404 unknown_case"
        assert (
            refused(connection, "select public.log_contact(%s, 'home_visit', 'reached')", case) == "PT404 unknown_case"
        )
    with church.as_person(manager) as connection:
        assert len(connection.execute("select from public.pastoral_cases").fetchall()) == 1
        assert refused(connection, "select public.work_case(%s, 'closed')", case) == "PT404 unknown_case"
    with church.as_person(tale.login) as connection:
        for query, word in (
            ("select public.work_case(%s, 'returned')", "PT409 status_cannot_change"),
            ("select public.work_case(%s, 'withdrawn')", "PT409 status_cannot_change"),
            ("select public.reassign_case(%s, gen_random_uuid())", "42501 only_admins_reassign"),
            ("select public.log_contact(%s, 'letter', 'reached')", "23514 contact_kind_is_known"),
            ("select public.log_contact(%s, 'home_visit', 'tea')", "23514 contact_outcome_is_known"),
            (
                "select public.log_contact(%s, 'home_visit', 'reached', now() + interval '1 day')",
                "23514 contact_is_not_in_the_future",
            ),
        ):
            assert refused(connection, query, case) == word
        connection.execute("select public.work_case(%s, 'closed')", (case,))
        assert refused(connection, "select public.work_case(%s, 'open')", case) == "PT409 status_cannot_change"
    assert church.generate() == {}


def test_an_admin_gives_a_case_to_somebody_else_who_is_told(tale: Story, database: Database) -> None:
    church = tale.church
    case = church.cases(tale.person)[0]["id"]
    admin, other = church.login(church.admin), church.user("servant")
    left, mentor = church.user("servant"), church.user("peer_mentor")
    elsewhere = Congregation(database).servant
    database.execute("update public.users set is_active = false where id = %s", (left,))
    give = "select public.reassign_case(%s, %s)"
    with church.as_person(admin) as connection:
        assert refused(connection, give, case, elsewhere) == "PT404 unknown_servant"
        assert refused(connection, give, case, left) == "PT409 servant_has_left"
        assert refused(connection, give, case, mentor) == "PT409 not_a_servant"
        assert church.cases(tale.person)[0]["assigned_servant_id"] == church.servant
        connection.execute(give, (case, other))
    database.value("select public.drain_care_marks()")
    assert church.told(church.servant) == ["opened retracted"]
    assert church.told(other) == ["assigned"]
    with church.as_person(tale.login) as connection:
        assert connection.execute("select from public.pastoral_cases").fetchall() == []
    with church.as_person(admin) as connection:
        connection.execute("select public.work_case(%s, 'closed')", (case,))
        assert refused(connection, give, case, other) == "PT409 case_is_done"


def test_administrators_list_the_unassigned_and_nobody_else_does(database: Database) -> None:
    church = Congregation(database)
    person = church.person()
    church.records(person, "aaa")
    theirs = church.person(church.family(church.servant))
    church.records(theirs, "aaa")
    church.generate()
    listed = "select person_id, full_name, priority, reason from public.unassigned_pastoral_cases"
    for role, rows in (("admin", 1), ("manager", 1), ("servant", 0), ("coordinator", 0), ("peer_mentor", 0)):
        with church.as_person(church.login(church.user(role))) as connection:
            found = connection.execute(listed.encode()).fetchall()
            assert len(found) == rows, role
    with church.as_person(church.login(church.admin)) as connection:
        assert connection.execute(listed.encode()).fetchall() == [
            {"person_id": person, "full_name": "Somebody", "priority": "normal", "reason": "no_family"}
        ]


def test_nobody_elses_servants_see_anything(tale: Story, database: Database) -> None:
    elsewhere = Congregation(database)
    with elsewhere.as_person(elsewhere.login(elsewhere.admin)) as connection:
        for table in ("people", "families", "services", "attendance_records", "pastoral_cases", "pastoral_case_events"):
            assert connection.execute(f"select from public.{table}".encode()).fetchall() == [], table
        case = tale.church.cases(tale.person)[0]["id"]
        assert refused(connection, "select public.work_case(%s, 'closed')", case) == "PT404 unknown_case"
