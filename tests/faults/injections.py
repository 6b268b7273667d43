"""Everything that can break, broken at random moments: each injection by name, with how often and when it was done."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

from attend.stack import installation
from attend.stack.errors import StackError
from tests.faults.clock import Clock
from tests.faults.phones import Phones
from tests.faults.world import World

HOUR = 3_600
MOST_OFF_SECONDS = 2 * HOUR
_KEEP_BELLS = """
create schema faults;
create table faults.bells (id bigint generated always as identity, url text, headers jsonb, body bytea);
create function faults.keep() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into faults.bells (url, headers, body) values (new.url, new.headers, new.body);
  return null;
end $$;
create trigger faults_keep after insert on net.http_request_queue for each row execute function faults.keep();
"""
_RESET = """
select pg_terminate_backend(a.pid) from pg_stat_activity a
where a.backend_type = 'client backend' and a.pid <> pg_backend_pid() and random() < 0.5
"""


@dataclass
class Record:
    """What was injected, how often, and when (monotonic, from and to): a repeated push must be explained by one."""

    counts: Counter[str] = field(default_factory=Counter)
    times: list[tuple[float, float]] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    """What bells that were rung once more were answered."""

    @contextlib.contextmanager
    def of(self, name: str, *, is_counted: bool = True) -> Iterator[None]:
        began = time.monotonic()
        self.counts[name] += is_counted
        # From now on, until it ends: what is judged meanwhile must not find it missing.
        self.times.append((began, float("inf")))
        place = len(self.times) - 1
        try:
            yield
        finally:
            self.times[place] = (began, time.monotonic())

    def explains(self, first: float, second: float) -> bool:
        """Whether something happened soon after what was answered first, or just before it, until it was sent again."""
        return any(begin <= second and end >= first - 1 for begin, end in self.times)


class Injector:
    """Does one thing at a time to a stack; what it does may well go on while it does the next."""

    def __init__(self, world: World, clock: Clock, phones: Phones, chance: random.Random) -> None:
        self.world, self.clock, self.phones, self.chance = world, clock, phones, chance
        self.record = Record()
        self.cron_off = threading.Event()
        self._lasting: list[threading.Thread] = []
        self._own = World(world.stack)
        functions = sorted(world.stack.state.processes.keys() - {"gateway", "background", "postgres"})
        self._kinds: dict[str, Callable[[], None]] = {
            "kill -9 of Postgres": lambda: self._kill("postgres"),
            "kill -9 of the hook worker": lambda: self._kill("background"),
            "kill -9 of the gateway": lambda: self._kill("gateway"),
            **{f"kill -9 of {name}": lambda name=name: self._kill(name) for name in functions},
            "bells dropped": self._drop_bells,
            "bells delayed": self._delay_bells,
            "bells repeated and reordered": self._repeat_bells,
            "connections reset": self._reset_connections,
            "push service down": self._take_phones_down,
            "clock steps": self._step_clock,
            "functions' clock wrong": self._skew_functions,
        }

    @property
    def kinds(self) -> list[str]:
        """Names of all there are, but the day without cron."""
        return list(self._kinds)

    def inject(self, name: str) -> None:
        """Does it now."""
        with self.record.of(name):
            self._kinds[name]()

    def day_without_cron(self, pause: float) -> None:
        """A day passes, in six steps, and nothing ticks."""
        with self.record.of("cron off for a day"):
            self.cron_off.set()
            self.world.stack.set_cron(False)
            for _ in range(6):
                self.clock.step(4 * HOUR)
                time.sleep(pause)
            self.world.stack.set_cron(True)
            self.cron_off.clear()

    def heal(self) -> None:
        """Nothing is broken any more, but for what has to be started again, and times that are ahead of the clock."""
        for lasting in self._lasting:
            lasting.join()
        self._lasting.clear()
        with self.record.of("clocks put right", is_counted=False):
            self.clock.put(self.base)

    def close(self) -> None:
        """Close its connection."""
        self._own.close()

    def _kill(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError, StackError):
            pid = self.world.stack.kill(name)
            # Not always waited for: the next may hit while it starts.
            if self.chance.random() < 0.5:
                self.world.stack.wait_restarted(name, pid)

    def _for_a_while(self, begin: Callable[[], None], end: Callable[[], None], name: str) -> None:
        """Until somebody ends it, in a thread of its own: others come on top."""
        seconds = self.chance.uniform(0.5, 3)
        began = threading.Event()

        def last() -> None:
            with self.record.of(name, is_counted=False):
                begin()
                began.set()
                time.sleep(seconds)
                end()

        thread = threading.Thread(target=last, daemon=True)
        self._lasting.append(thread)
        thread.start()
        began.wait(5)

    def _drop_bells(self) -> None:
        drop = self.world.stack.drop_bells
        self._for_a_while(lambda: drop(True), lambda: drop(False), "bells dropped")

    def _delay_bells(self) -> None:
        pid = self.world.stack.pid("background")

        def send(sig: signal.Signals) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)

        self._for_a_while(lambda: send(signal.SIGSTOP), lambda: send(signal.SIGCONT), "bells delayed")

    def _repeat_bells(self) -> None:
        """Signed calls of this run, again and in any order, some of them long too late."""
        query = "select url, headers, body from faults.bells order by id desc limit 40"
        bells = self._own.rows(query)
        for url, headers, body in self.chance.sample(bells, min(len(bells), 10)):
            with contextlib.suppress(httpx.HTTPError):
                answer = httpx.post(url, content=bytes(body), headers=headers, timeout=10)
                self.record.answers[answer.status_code] += 1

    def _reset_connections(self) -> None:
        self._own.rows(_RESET)

    def _take_phones_down(self) -> None:
        def put(is_down: bool) -> None:
            self.phones.is_down = is_down

        self._for_a_while(lambda: put(True), lambda: put(False), "push service down")

    def _step_clock(self) -> None:
        """To anywhere within two hours of where the time would be: seconds as well as hours, forward and back."""
        off = self.clock.offset - self.base
        wanted = self.chance.choice([-1, 1]) * self.chance.choice([2, 40, 400, 2_000, MOST_OFF_SECONDS])
        self.clock.step(wanted - off)

    base = 0
    """Where the clock would be, had nobody stepped it."""

    def _skew_functions(self) -> None:
        seconds = self.chance.choice([-900, -30, 30, 900])
        self._for_a_while(lambda: self.clock.skew(seconds), lambda: self.clock.skew(0), "functions' clock wrong")


def keep_bells(world: World) -> None:
    """Every call that is queued is kept, to be repeated."""
    assert world.rows("select current_user")[0][0] == installation.SUPERUSER
    world.rows(_KEEP_BELLS)
