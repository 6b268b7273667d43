"""The fault suite in its short form: one small town, each fault in each act. `make faults` is the long one."""

from __future__ import annotations

import random

import pytest

from tests.faults.__main__ import say
from tests.faults.clock import NoCompilerError
from tests.faults.suite import Suite
from tests.faults.truth import shown
from tests.support.missing import skip_or_fail

# A machine that does much else at once may need several times as long.
pytestmark = [pytest.mark.faults, pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(600)]
MENTORS = 4


def test_a_disturbed_town_ends_as_an_undisturbed_one() -> None:
    seed = random.randrange(100_000)
    try:
        suite = Suite(say)
    except NoCompilerError as error:
        skip_or_fail(str(error))
    with suite.running():
        calm, wild = suite.compare(seed, MENTORS, extra=0)
    print(calm.describe())
    print(wild.describe())
    again = f"make faults SEED={seed} ROUNDS=1 ARGS='--mentors {MENTORS} --extra 0'"
    assert not calm.wrong, (again, shown(calm.wrong))
    assert not wild.wrong, (again, shown(wild.wrong))
    # A town that nobody is told in, and faults that nobody notices, would prove nothing.
    assert wild.told == calm.told > 10 * MENTORS
    assert wild.retried
    assert {"kill -9 of Postgres", "cron off for a day", "clock steps", "bells dropped"} <= set(wild.injected)
