"""Several holders on one run, over real connections: everybody is worked on exactly once, whoever dies in between."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attend.stack import migrations
from tests.conftest import on_real_stack
from tests.support import database as databases
from tests.support.database import Database
from tests.support.races import answer, in_background, side_by_side, wait_until_blocked

KIND = "shared"
LEASE_SECONDS = 60
# What a chunk does in these tests: it writes down whom it was given. Owned by nobody's feature, hence its own schema.
_LOG = """
create schema if not exists worked;
create table worked.log (run_id bigint, organization_id uuid, user_id uuid);
create function worked.work(p_run_id bigint, p_holder uuid, p_size integer) returns integer language plpgsql as $$
declare
  v_slice record;
  v_people integer := 0;
begin
  for v_slice in select t.* from private.take_chunk(p_run_id, p_holder, p_size) t loop
    insert into worked.log
    select p_run_id, u.organization_id, u.id from public.users u
    where u.organization_id = v_slice.organization_id and (v_slice.from_user is null or u.id >= v_slice.from_user)
      and (v_slice.to_user is null or u.id < v_slice.to_user);
    v_people := v_people + v_slice.people;
  end loop;
  return v_people;
end $$;
"""
_ABANDON = """
update private.run_slices set lease_until = clock_timestamp() - interval '1 microsecond'
where ctid = any (array(select s.ctid from private.run_slices s where s.holder = %s for update skip locked))
"""


@pytest.fixture(scope="module")
def ledger(database: Database) -> Iterator[Database]:
    database.execute(_LOG)
    database.execute("insert into private.schedules (name, description) values (%s, 'Shared.')", (KIND,))
    yield database
    # A database that is not a clone goes on without them.
    database.execute("drop schema worked cascade")
    database.execute("delete from private.schedules where name = %s", (KIND,))


@pytest.fixture
def due(ledger: Database) -> Iterator[list[UUID]]:
    """Twenty mentors in two organisations whom an evaluation tells, in key order."""
    populate(ledger, [10, 10])
    ledger.execute(
        "insert into public.scenario_rules (organization_id, type, name, is_enabled)"
        " select id, 'inactivity', 'q', true from public.organizations"
    )
    ledger.execute("delete from private.scenario_marks")
    yield [row["id"] for row in ledger.rows("select id from public.users order by organization_id, id")]
    clear(ledger)


def clear(ledger: Database) -> None:
    ledger.execute("delete from private.runs")
    ledger.execute("delete from public.organizations")
    ledger.execute("delete from private.scenario_marks")
    ledger.execute("truncate worked.log")


def populate(ledger: Database, sizes: list[int]) -> None:
    """Replaces everybody: an organisation of each size."""
    clear(ledger)
    for size in sizes:
        organization = ledger.value("insert into public.organizations (name) values ('O') returning id")
        ledger.execute(
            "insert into public.users (organization_id, full_name, role, joined_at)"
            " select %s, 'P', 'peer_mentor', now() - interval '90 days' from generate_series(1, %s)",
            (organization, size),
        )


def people(ledger: Database) -> set[UUID]:
    return {row["id"] for row in ledger.rows("select id from public.users")}


def start(
    connection: psycopg.Connection[Any], holder: UUID, size: int, lease: int = LEASE_SECONDS, kind: str = KIND
) -> dict[str, Any]:
    return answer(connection, "select public.start_run(%s, %s, null, %s, %s)", kind, holder, lease, size)


def evaluate(connection: psycopg.Connection[Any], run: int, holder: UUID, size: int) -> dict[str, Any]:
    return answer(connection, "select public.evaluate_chunk(%s, %s, %s)", run, holder, size)


def report(ledger: Database, run: int) -> dict[str, Any]:
    return ledger.value("select public.run_report(%s)", (run,))


# ---------------------------------------------------------------------------------------- beside each other


def test_others_work_and_take_while_one_is_in_the_middle_of_its_chunk(ledger: Database, due: list[UUID]) -> None:
    one, two = uuid4(), uuid4()
    answers: list[dict[str, Any]] = []
    with (
        ledger.connect("service_role") as first,
        ledger.connect("service_role") as second,
        ledger.connect(autocommit=False) as obstacle,
    ):
        run = start(first, one, 5, kind="scenario-evaluation")["run_id"]
        # The first holder stands in the middle of its chunk: somebody holds a person of whom it wants to write.
        obstacle.execute("select from public.users where id = %s for update", (due[2],))
        thread = in_background(lambda: answers.append(evaluate(first, run, one, 5)))
        wait_until_blocked(ledger)

        second.execute("set lock_timeout = '200ms'")
        assert start(second, two, 5, kind="scenario-evaluation")["run_id"] == run
        assert [evaluate(second, run, two, 5) for _ in range(3)][-1] | {"counts": {}} == {
            "done": False,
            "more": False,
            "people": 5,
            "counts": {},
        }
        assert report(ledger, run)["people"] == 15
        assert start(second, uuid4(), 5, kind="scenario-evaluation")["state"] == "busy"
        assert not answers
        obstacle.rollback()
        thread.join(10)
    assert (answers[0]["done"], answers[0]["people"]) == (True, 5)
    assert report(ledger, run)["people"] == 20
    told = [row["user_id"] for row in ledger.rows("select user_id from public.notifications")]
    assert sorted(told) == sorted(due)


@pytest.mark.usefixtures("due")
def test_of_two_that_end_together_one_finishes_the_run(ledger: Database) -> None:
    one, two = uuid4(), uuid4()
    answers: list[dict[str, Any]] = []
    with (
        ledger.connect("service_role", autocommit=False) as first,
        ledger.connect("service_role") as second,
    ):
        run = start(first, one, 12)["run_id"]
        first.commit()
        start(second, two, 12)
        answers.append(evaluate(first, run, one, 12))
        thread = in_background(lambda: answers.append(evaluate(second, run, two, 12)))
        wait_until_blocked(ledger)
        first.commit()
        thread.join(10)
    assert [(a["done"], a["more"], a["people"]) for a in answers] == [(False, False, 12), (True, False, 8)]
    result = ledger.value("select last_result from private.schedules where name = %s", (KIND,))
    assert (result["run_id"], result["people"], result["chunks"]) == (run, 20, 2)


def test_a_slice_is_taken_over_after_its_lease_and_not_before(ledger: Database, due: list[UUID]) -> None:
    dead, heir = uuid4(), uuid4()
    with ledger.connect("service_role") as connection:
        run = start(connection, dead, 20, lease=1)["run_id"]
        busy = start(connection, heir, 20)
        assert (busy["state"], busy["held_by"]) == ("busy", str(dead))
        ledger.execute("select pg_sleep_until(%s::timestamptz)", (busy["lease_until"],))
        assert start(connection, heir, 20) | {"as_of": 0, "lease_until": 0} == {
            "state": "resumed",
            "run_id": run,
            "held_by": str(heir),
            "as_of": 0,
            "lease_until": 0,
        }
        with pytest.raises(psycopg.Error, match="lease_lost"):
            evaluate(connection, run, dead, 20)
        assert evaluate(connection, run, heir, 20)["done"]
    assert len(ledger.rows("select from public.notifications")) == len(due)


def test_a_chunk_asked_for_again_while_the_first_is_under_way_is_the_next_one(
    ledger: Database, due: list[UUID]
) -> None:
    """As after an answer that did not arrive: the first attempt goes on, and commits."""
    holder = uuid4()
    answers: list[dict[str, Any]] = []
    with (
        ledger.connect("service_role", autocommit=False) as first,
        ledger.connect("service_role") as again,
    ):
        run = start(first, holder, 10)["run_id"]
        first.commit()
        evaluate(first, run, holder, 10)
        thread = in_background(lambda: answers.append(evaluate(again, run, holder, 10)))
        wait_until_blocked(ledger)
        first.commit()
        thread.join(10)
    assert [(a["done"], a["people"]) for a in answers] == [(True, 10)]
    assert len(ledger.rows("select from public.notifications")) == len(due)


@pytest.mark.usefixtures("due")
def test_a_pause_waits_for_the_chunk_under_way_and_gives_back_what_it_took(ledger: Database) -> None:
    holder = uuid4()
    reports: list[dict[str, Any]] = []
    with (
        ledger.connect("service_role", autocommit=False) as working,
        ledger.connect("service_role") as pausing,
    ):
        run = start(working, holder, 10)["run_id"]
        working.commit()
        evaluate(working, run, holder, 10)
        thread = in_background(lambda: reports.append(answer(pausing, "select public.pause_run(%s, %s)", run, holder)))
        wait_until_blocked(ledger)
        working.commit()
        thread.join(10)
        assert [(r["state"], r["people"]) for r in reports] == [("in_progress", 10)]
        other = uuid4()
        assert start(pausing, other, 10)["state"] == "resumed"
        assert evaluate(pausing, run, other, 10)["done"]


@pytest.mark.usefixtures("due")
def test_of_two_that_come_together_each_has_its_share(ledger: Database) -> None:
    one, two = uuid4(), uuid4()
    answers: list[dict[str, Any]] = []
    with (
        ledger.connect("service_role", autocommit=False) as first,
        ledger.connect("service_role") as second,
    ):
        # One slice of everybody, of which the first takes half.
        run = start(second, one, 20)["run_id"]
        answer(second, "select public.pause_run(%s, %s)", run, one)
        start(first, one, 10)
        thread = in_background(lambda: answers.append(start(second, two, 10)))
        wait_until_blocked(ledger)
        first.commit()
        thread.join(10)
        assert [(a["state"], a["run_id"], a["held_by"]) for a in answers] == [("resumed", run, str(two))]
        assert [evaluate(second, run, holder, 10)["done"] for holder in (one, two)] == [False, True]


@pytest.mark.usefixtures("due")
def test_of_two_that_pause_together_nobody_is_left_running(ledger: Database) -> None:
    one, two = uuid4(), uuid4()
    with ledger.connect("service_role") as connection:
        run = start(connection, one, 10)["run_id"]
        start(connection, two, 10)
    pause = "select public.pause_run(%s, %s) ->> 'state'"
    assert side_by_side(ledger, (pause, run, one), (pause, run, two)) == ("running", "in_progress")


@pytest.mark.usefixtures("due")
def test_a_chunk_that_was_too_long_is_done_in_parts(ledger: Database) -> None:
    holder = uuid4()
    with ledger.connect("service_role") as connection:
        run = start(connection, holder, 20)["run_id"]
        connection.execute("set statement_timeout = '1ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select private.take_chunk(%s, %s, 20), pg_sleep(0.1)", (run, holder))
        connection.execute("reset statement_timeout")
        parts = [evaluate(connection, run, holder, size)["people"] for size in (7, 7, 7)]
    assert parts == [7, 7, 6]
    assert report(ledger, run)["state"] == "finished"


def test_what_a_chunk_reads_does_not_grow_with_its_organisation(ledger: Database) -> None:
    pages: list[int] = []
    for size in (2_000, 40_000):
        populate(ledger, [size])
        ledger.execute("vacuum analyze public.users")
        ends = ledger.rows("select organization_id, id from public.users order by id limit 2 offset 100")
        bounds = [part for end in ends for part in end.values()]
        with ledger.connect() as connection:
            plan = "explain (analyze, buffers, format json) select * from private.next_people(%s, %s, %s, %s, 50)"
            connection.execute(plan.encode(), bounds)  # what the session itself has to read first
            found = answer(connection, plan, *bounds)
        pages.append(found[0]["Plan"]["Shared Hit Blocks"] + found[0]["Plan"]["Shared Read Blocks"])
    clear(ledger)
    assert pages[1] <= pages[0] + 5, pages


# ------------------------------------------------------------------------------------------- any order


@dataclass
class Holder:
    """Somebody who works, on a connection of their own; `people` of a chunk under way, None: none is."""

    connection: psycopg.Connection[Any]
    id: UUID = field(default_factory=uuid4)
    people: int | None = None
    run: int = 0
    has_slice: bool = False


class Play:
    """Holders on one run, one step after the other, with their transactions open side by side.

    Each step is one that nobody has to wait for: the lock time-out makes an error of it otherwise.
    """

    def __init__(self, ledger: Database, connections: list[psycopg.Connection[Any]]) -> None:
        self.ledger = ledger
        self.holders = [Holder(connection) for connection in connections]
        self.done = 0
        self.chunks = 0
        self.counted = 0
        self.runs: set[int] = set()

    def join(self, who: Holder, size: int) -> None:
        if not who.has_slice:
            who.id = uuid4()
            started = start(who.connection, who.id, size)
            who.connection.commit()
            who.has_slice, who.run = started["state"] != "busy", started["run_id"]
            self.runs.add(who.run)

    def begin(self, who: Holder, size: int) -> None:
        if who.has_slice and who.people is None:
            try:
                who.people = answer(who.connection, "select worked.work(%s, %s, %s)", who.run, who.id, size)
            except psycopg.Error as error:
                if error.sqlstate != "PT409":
                    raise
                who.connection.rollback()
                who.has_slice = False

    def end(self, who: Holder, size: int) -> None:
        if who.people is not None:
            finish = "select private.finish_chunk(%s, %s, %s, %s, '{}', 60)"
            told = answer(who.connection, finish, who.run, who.id, size, who.people)
            who.connection.commit()
            self.done += told["done"]
            self.chunks += 1
            self.counted += who.people
            who.people, who.has_slice = None, told["more"]

    def fail(self, who: Holder, _size: int) -> None:
        """The transaction is undone; the holder may try again."""
        who.connection.rollback()
        who.people = None

    def die(self, who: Holder, _size: int) -> None:
        self.fail(who, 0)
        who.has_slice = False

    def lapse(self, who: Holder, _size: int) -> None:
        """The lease ends, whatever its holder is doing; a slice that is being worked on is let alone."""
        self.ledger.execute(_ABANDON, (who.id,))

    def pause(self, who: Holder, _size: int) -> None:
        if who.people is None and who.has_slice:
            who.connection.execute("select public.pause_run(%s, %s)", (who.run, who.id))
            who.connection.commit()
            who.has_slice = False

    def to_the_end(self) -> None:
        """Whoever is left out of the play dies, and one holder does the rest."""
        for holder in self.holders:
            self.die(holder, 0)
            self.lapse(holder, 0)
        # Those who had died before under another id.
        self.ledger.execute("update private.run_slices set lease_until = clock_timestamp() where holder is not null")
        last = self.holders[0]
        if not self.done:
            self.join(last, 3)
            while last.has_slice:
                self.begin(last, 3)
                self.end(last, 3)


STEPS = ("join", "begin", "begin", "end", "end", "fail", "die", "lapse", "pause")
steps = st.tuples(st.integers(0, 3), st.sampled_from(STEPS), st.integers(1, 9))


@pytest.fixture(scope="module")
def four(ledger: Database) -> Iterator[list[psycopg.Connection[Any]]]:
    connections = [ledger.connect("service_role") for _ in range(4)]
    ledger.execute("grant usage on schema worked to service_role")
    ledger.execute("grant insert, select on worked.log to service_role")
    for connection in connections:
        connection.execute("set lock_timeout = '300ms'")
        connection.autocommit = False
    yield connections
    for connection in connections:
        connection.close()


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=0, max_size=6),
    play=st.lists(steps, max_size=60),
    leaves=st.none() | st.integers(0, 59),
)
def test_whatever_the_order_everybody_is_worked_on_exactly_once(
    ledger: Database,
    four: list[psycopg.Connection[Any]],
    sizes: list[int],
    play: list[tuple[int, str, int]],
    leaves: int | None,
) -> None:
    populate(ledger, sizes)
    game = Play(ledger, four)
    game.join(game.holders[0], 4)
    gone: set[UUID] = set()
    for number, (who, step, size) in enumerate(play):
        if game.done:
            break  # a further holder would begin the next run
        if number == leaves and not any(holder.people is not None for holder in game.holders):
            # A whole organisation with the first people of a slice, or of the rest.
            gone |= {
                row["id"]
                for row in ledger.rows(
                    "with o as (delete from public.organizations o using private.run_slices s"
                    " where o.id = s.from_organization_id returning o.id)"
                    " select u.id from public.users u join o on o.id = u.organization_id"
                )
            }
        getattr(game, step)(game.holders[who], size)
    game.to_the_end()
    assert game.done == 1, "finished once"
    (run,) = game.runs
    told = report(ledger, run)
    log = [row["user_id"] for row in ledger.rows("select user_id from worked.log")]
    assert len(log) == len(set(log)), "somebody was worked on twice"
    assert people(ledger) <= set(log), "somebody was skipped"
    assert set(log) - people(ledger) <= gone
    assert (told["state"], told["people"], told["chunks"]) == ("finished", game.counted, game.chunks)
    assert told["people"] == len(log)
    assert not ledger.rows("select from private.run_slices")
    result = ledger.value("select last_result from private.schedules where name = %s", (KIND,))
    assert (result["run_id"], result["people"]) == (run, len(log))


# ------------------------------------------------------------------------------------- all at the same time


def _work_and_die(ledger: Database, seed: int, done: list[int], over: threading.Event) -> None:
    """Works as a new holder again and again; now and then its server process is killed in the middle of a chunk."""
    dice = random.Random(seed)
    while not over.is_set():
        with ledger.connect("service_role") as connection, ledger.connect(autocommit=True) as killer:
            holder, size = uuid4(), dice.randint(1, 12)
            started = start(connection, holder, size, lease=1)
            if started["state"] == "busy":
                time.sleep(0.02)
                continue
            connection.autocommit = False
            try:
                more = True
                while more and not over.is_set():
                    fate = dice.random()
                    if fate < 0.03:
                        break  # dies between two chunks
                    count = answer(connection, "select worked.work(%s, %s, %s)", started["run_id"], holder, size)
                    if fate < 0.06:
                        killer.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
                    finish = "select private.finish_chunk(%s, %s, %s, %s, '{}', 1)"
                    told = answer(connection, finish, started["run_id"], holder, size, count)
                    connection.commit()
                    more = told["more"]
                    if told["done"]:
                        done.append(started["run_id"])
                        over.set()
            except psycopg.OperationalError:
                continue  # killed
            except psycopg.Error as error:
                if error.sqlstate != "PT409":
                    raise


def test_five_holders_who_die_at_random_work_on_everybody_exactly_once(
    ledger: Database, four: list[psycopg.Connection[Any]]
) -> None:
    assert four
    populate(ledger, [400, 3, 0, 1, 250, 700, 90])
    done: list[int] = []
    failures: list[BaseException] = []
    over = threading.Event()

    def work(seed: int) -> None:
        try:
            _work_and_die(ledger, seed, done, over)
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            failures.append(error)
            over.set()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(done) == 1
    log = [row["user_id"] for row in ledger.rows("select user_id from worked.log where run_id = %s", (done[0],))]
    assert sorted(log) == sorted(people(ledger))
    assert report(ledger, done[0])["people"] == 1_444


# ------------------------------------------------------------------------------------------- the migration


@pytest.mark.skipif(on_real_stack(), reason="a real stack gives no database without the migration")
def test_a_run_that_was_open_before_the_migration_goes_on_from_its_cursor(
    cluster: databases.Server, tmp_path: Path
) -> None:
    files = sorted(databases.MIGRATIONS.glob("*.sql"))
    before = next(i for i, file in enumerate(files) if file.name.endswith("_shared_runs.sql"))
    for file in files[:before]:
        shutil.copy(file, tmp_path)
    database = databases.clone_database(cluster, databases.PRISTINE, "before_shared_runs")
    try:
        migrations.apply(database.dsn(), tmp_path)
        for organization in ("10000000-0000-0000-0000-000000000000", "20000000-0000-0000-0000-000000000000"):
            database.execute("insert into public.organizations (id, name) values (%s, 'O')", (organization,))
            database.execute(
                "insert into public.users (organization_id, full_name, role)"
                " select %s, 'P', 'servant' from generate_series(1, 5)",
                (organization,),
            )
        runs: dict[str, int] = {}
        for kind, chunk in {"untouched": 0, "within": 3, "between": 5, "later": 7}.items():
            holder = uuid4()
            runs[kind] = database.value("select public.start_run(%s, %s) -> 'run_id'", (kind, holder))
            if chunk:
                database.execute("select public.evaluate_chunk(%s, %s, %s)", (runs[kind], holder, chunk))
            database.execute("select public.pause_run(%s, %s)", (runs[kind], holder))
        shutil.copy(files[before], tmp_path)
        migrations.apply(database.dsn(), tmp_path)
        for kind, left in {"untouched": 10, "within": 7, "between": 5, "later": 3}.items():
            holder = uuid4()
            assert database.value("select public.start_run(%s, %s) -> 'run_id'", (kind, holder)) == runs[kind]
            told = database.value("select public.evaluate_chunk(%s, %s)", (runs[kind], holder))
            assert (told["done"], told["people"]) == (True, left)
            assert database.value("select people from private.runs where kind = %s", (kind,)) == 10
    finally:
        databases.drop_database(database)
