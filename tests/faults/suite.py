"""One town, undisturbed and disturbed: the writers, cron's minutes in half a second, faults, and the judgement."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import psycopg

from tests.faults.clock import Clock
from tests.faults.injections import HOUR, Injector, Record, keep_bells
from tests.faults.phones import Phones
from tests.faults.town import Town, Write
from tests.faults.truth import Judge, Snapshot
from tests.faults.world import LEASE_SECONDS, World
from tests.support.stack import embedded_stack

WRITERS = 4
SLICE = 25
_SECONDS_A_FAULT = 1.0
_BEGINS_AT = 6
"""O'clock (UTC): a day and what clocks do on top of it end before midnight, where streaks would end with it."""
_WAITING = """
select
  (select count(*) from private.scenario_marks) as scenario_marks,
  (select count(*) from private.statistics_marks) as statistics_marks,
  (select count(*) from private.care_marks) as care_marks,
  (select count(*) from private.outbox where state in ('pending', 'deferred', 'failed')) as pushes,
  (select count(*) from private.outbox where state = 'claimed') as claimed,
  (select count(*) from private.runs where state <> 'finished')
    + (select count(*) from private.case_runs where finished_at is null) as runs,
  (private.oldest_statistics_work(now()) is not null)::integer as ended_streaks
"""
# Once a day, at night, whatever is due then; the rest of cron's jobs have their own hour and their own tests.
_MINUTELY = (
    "select jobname from cron.job where jobname like 'attend-%' and jobname not in ('attend-housekeeping',"
    " 'attend-engagement-scores') order by jobname"
)


@dataclass
class Passage:
    """One town from its beginning to the end of its last act."""

    seed: int
    is_disturbed: bool
    seconds: float = 0.0
    writes: int = 0
    retried: int = 0
    told: int = 0
    pushes: int = 0
    repeats: int = 0
    settling: list[float] = field(default_factory=list)
    """Seconds from the end of the load, and of each act, until nothing waited any more."""
    injected: dict[str, int] = field(default_factory=dict)
    answers: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the report's file."""
        return asdict(self)

    def describe(self) -> str:
        """In a line."""
        faults = sum(self.injected.values())
        kind = f"{faults} faults, {self.retried} writes repeated" if self.is_disturbed else "undisturbed"
        settled = ", ".join(f"{seconds:.0f}" for seconds in self.settling)
        verdict = f"{len(self.wrong)} WRONG" if self.wrong else "as it should be"
        return (
            f"seed {self.seed}, {kind}: {self.writes} writes, {self.told} told, {self.pushes} pushes, "
            f"{self.repeats} sent again, settled after {settled} s; {verdict} ({self.seconds:.0f} s)"
        )


class Suite:
    """A stack whose clock can be stepped, and what is run on it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.clock = Clock()
        self.phones = Phones()
        # The same for all, whatever midnights pass.
        self.begins = datetime.now(UTC).replace(hour=_BEGINS_AT, minute=0, second=0, microsecond=0)
        settings = {
            "ATTEND_CHUNK_SIZE": "25",
            "ATTEND_LEASE_SECONDS": str(LEASE_SECONDS),
            "ATTEND_PUSH_PROVIDER": "",
            "ATTEND_PUSH_FCM_URL": self.phones.url,
            "ATTEND_PUSH_FCM_SERVICE_ACCOUNT": self.phones.account(),
            "ATTEND_PUSH_SLICE": str(SLICE),
            "ATTEND_PUSH_MAX_ATTEMPTS": "100",
        }
        self.stack = embedded_stack(cron=True, environment=settings | self.clock.environment)

    @contextmanager
    def running(self) -> Iterator[Suite]:
        """The stack, while the block lasts."""
        try:
            with self.stack:
                self.world = World(self.stack)
                keep_bells(self.world)
                yield self
                self.world.close()
        finally:
            self.phones.close()
            self.clock.close()

    def compare(self, seed: int, mentors: int, extra: int) -> list[Passage]:
        """A seed's town undisturbed, and disturbed: each kind of fault in each act, and `extra` more of any."""
        calm, expected = self.passage(seed, mentors, extra, is_disturbed=False)
        wild, found = self.passage(seed, mentors, extra, is_disturbed=True)
        wild.wrong += found.differences(expected)
        return [calm, wild]

    def passage(self, seed: int, mentors: int, extra: int, *, is_disturbed: bool) -> tuple[Passage, Snapshot]:
        """Both acts; what was found is in the passage's `wrong`."""
        began = time.monotonic()
        passage = Passage(seed, is_disturbed)
        chance = random.Random(seed)
        town = Town(seed, self._begin(), mentors)
        injector = Injector(self.world, self.clock, self.phones, chance)
        injector.base = self.clock.offset
        judge = Judge(self.world, town)
        ticker = _Ticker(self.world, injector.cron_off)
        try:
            _write_all(self.world, town.load, Passage(seed, is_disturbed))
            ticker.start()
            snapshot = self._end_act(0, passage, injector, judge)
            for number, act in enumerate(town.acts, 1):
                self._perform(act, number, passage, injector, extra)
                snapshot = self._end_act(number, passage, injector, judge)
        finally:
            injector.heal()
            ticker.stop()
            injector.close()
        passage.wrong += ticker.wrong + self._pushes(passage, injector.record)
        passage.told = len(snapshot.told)
        passage.injected = dict(+injector.record.counts)
        passage.answers = dict(injector.record.answers)
        passage.seconds = time.monotonic() - began
        return passage, snapshot

    def _begin(self) -> datetime:
        """Empties everything, and puts the clock to the morning on which every town begins."""
        self.world.clear()
        self.world.rows("truncate faults.bells")
        self.phones.forget()
        self.clock.put(round((self.begins - datetime.now(UTC)).total_seconds()))
        # Whatever still ran by the old clock has written by now, and is cleared as well.
        time.sleep(1)
        self.world.clear()
        return self.begins

    def _end_act(self, number: int, passage: Passage, injector: Injector, judge: Judge) -> Snapshot:
        self._settle(passage, injector)
        snapshot, wrong = judge.look()
        passage.wrong += [f"act {number}: {words}" for words in wrong]
        return snapshot

    def _perform(self, act: list[Write], number: int, passage: Passage, injector: Injector, extra: int) -> None:
        names = [*injector.kinds, *injector.chance.choices(injector.kinds, k=extra)] if passage.is_disturbed else []
        injector.chance.shuffle(names)
        # So slowly that they write until the last fault.
        pace = max(0.01, len(names) * _SECONDS_A_FAULT * WRITERS / len(act))
        writing = threading.Thread(target=_write_all, args=(self.world, act, passage, pace))
        writing.start()
        has_day = number == 1
        if passage.is_disturbed:
            for place, name in enumerate(names):
                if has_day and place == len(names) // 2:
                    self.say("  a day without cron")
                    injector.day_without_cron(0.3)
                    injector.base += 24 * HOUR
                self.say(f"  {name}")
                injector.inject(name)
                time.sleep(injector.chance.uniform(0.05, 0.8))
        writing.join()
        if has_day and not passage.is_disturbed:
            self._settle(passage, injector)
            with injector.record.of("a day passes", is_counted=False):
                self.clock.step(24 * HOUR)
            injector.base += 24 * HOUR

    def _settle(self, passage: Passage, injector: Injector, seconds: float = 120) -> None:
        """Until nothing waits: what is tried again later, and what quiet hours hold, is waited for by the clock."""
        injector.heal()
        began = time.monotonic()
        waiting: dict[str, int] = {}
        calm = turns = 0
        while calm < 3:
            if time.monotonic() - began > seconds:
                passage.wrong.append(f"still waiting after {seconds:.0f} s: {waiting}")
                return
            time.sleep(0.5)
            waiting = self._waiting()
            calm = 0 if any(waiting.values()) else calm + 1
            turns += 1
            # A quarter of an hour: longer than any lease or pause between attempts here. Not while pushes are under
            # way, which would only be sent again; their leases end by themselves.
            if turns % 4 == 0 and not calm and not (waiting["claimed"] and turns % 20):
                with injector.record.of("time passes", is_counted=False):
                    self.clock.step(HOUR // 4)
                injector.base += HOUR // 4
        passage.settling.append(round(time.monotonic() - began, 1))

    def _waiting(self) -> dict[str, int]:
        names = ("scenario marks", "statistics marks", "care marks", "pushes", "claimed", "runs", "ended streaks")
        return dict(zip(names, self.world.rows(_WAITING)[0], strict=True))

    def _pushes(self, passage: Passage, record: Record) -> list[str]:
        """None lost; what was sent twice bore one key, and something had been broken in between."""
        sent = {str(row[0]): row[1] for row in self.world.rows("select id, user_id from private.outbox")}
        passage.pushes = len(sent)
        taken = {key: list(times) for key, times in self.phones.taken.items()}
        wrong = [f"never sent: push {key}" for key in sent.keys() - taken.keys()]
        wrong += [f"sent, and not in the outbox: {key}" for key in taken.keys() - sent.keys()]
        keys = Counter(f"phone-of-{user_id}" for user_id in sent.values())
        wrong += [
            f"{len(known)} keys for the {keys[phone]} pushes of {phone}"
            for phone, known in self.phones.keys_of.items()
            if len(known) != keys[phone]
        ]
        for key, times in taken.items():
            passage.repeats += len(times) - 1
            unexplained = [pair for pair in pairwise(times) if not record.explains(*pair)]
            wrong += [f"sent again though nothing was broken: push {key}"] * len(unexplained)
        return wrong


class _Ticker(threading.Thread):
    """Cron's own commands, every half second instead of every minute, beside cron itself."""

    def __init__(self, world: World, is_off: threading.Event) -> None:
        super().__init__(daemon=True)
        self._own = World(world.stack)
        self._is_off = is_off
        self._over = threading.Event()
        self.wrong: list[str] = []

    def run(self) -> None:
        jobs = [name.removeprefix("attend-") for (name,) in self._own.rows(_MINUTELY)]
        while not self._over.wait(0.5):
            for job in jobs:
                if self._is_off.is_set() or self._over.is_set():
                    break
                try:
                    self._own.minute(job)
                except (psycopg.Error, AssertionError) as error:
                    self.wrong.append(f"cron's job {job} failed: {error}")

    def stop(self) -> None:
        self._over.set()
        self.join(30)
        self._own.close()


def _write_all(world: World, writes: list[Write], passage: Passage, pace: float = 0.0) -> None:
    """By several at once; each thing's writes by one of them, in their order."""
    shares: list[list[Write]] = [[] for _ in range(WRITERS)]
    places: dict[str, int] = {}
    for write in writes:
        # What others refer to comes first; people are dealt out in turns.
        place = places.setdefault(write.whose, len(places) % WRITERS) if pace else 0
        shares[place].append(write)
    threads = [threading.Thread(target=_write, args=(world, share, passage, pace)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _write(world: World, writes: list[Write], passage: Passage, pace: float) -> None:
    connection: psycopg.Connection[Any] | None = None
    for write in writes:
        time.sleep(pace)
        passage.writes += 1
        for _ in range(1_000):
            try:
                if connection is None or connection.closed:
                    connection = world.connect(autocommit=False)
                for statement, values in write.statements:
                    connection.execute(statement.encode(), values)
                connection.rollback() if write.is_undone else connection.commit()
                break
            except psycopg.OperationalError:
                # Whether it was committed nobody knows: it is written again, which changes nothing then.
                passage.retried += 1
                _forget(connection)
                connection = None
                time.sleep(0.05)
        else:
            passage.wrong.append(f"could not be written: {write}")
    _forget(connection)


def _forget(connection: psycopg.Connection[Any] | None) -> None:
    if connection is not None:
        connection.close()
