"""The clock of the database is put back: bells ring all the same, and nothing waits until it is as late as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attend.stack.processes import wait_until
from tests.faults.clock import Clock, NoCompilerError
from tests.faults.world import World
from tests.support.missing import skip_or_fail
from tests.support.stack import embedded_stack

pytestmark = [pytest.mark.faults, pytest.mark.embedded]
HOUR = 3_600


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    try:
        clock = Clock()
    except NoCompilerError as error:
        skip_or_fail(str(error))
    yield clock
    clock.close()


@pytest.fixture(scope="module")
def world(clock: Clock) -> Iterator[World]:
    with embedded_stack(cron=False, environment=clock.environment) as stack:
        world = World(stack)
        yield world
        world.close()


def test_every_process_of_the_stack_goes_by_the_clock_that_is_stepped(world: World, clock: Clock) -> None:
    before = world.value("select extract(epoch from clock_timestamp())::float8")
    clock.step(HOUR)
    assert HOUR <= world.value("select extract(epoch from clock_timestamp())::float8") - before < HOUR + 60
    # Functions refuse what is more than five minutes off: signed by one clock, verified by the other.
    people = sorted(user_id for user_id, _ in world.populate(100))
    world.touch(people[0])
    assert wait_until(lambda: world.marks() == 0, 5)
    clock.skew(-HOUR)
    answers = "select count(*) from net._http_response where status_code = 401"
    world.touch(people[1])
    assert wait_until(lambda: world.value(answers) > 0, 5)
    assert world.marks() == 1
    clock.skew(0)
    world.tick("scenario-sweep")
    assert wait_until(lambda: world.marks() == 0, 5)


@pytest.mark.parametrize("hours", [-1, -30, 30])
def test_a_change_rings_its_own_bell_after_the_clock_was_stepped(world: World, clock: Clock, hours: int) -> None:
    people = sorted(user_id for user_id, _ in world.populate(100))
    world.touch(people[0])
    assert wait_until(lambda: world.marks() == 0, 5)
    clock.step(hours * HOUR)
    for person in people[1:4]:
        world.touch(person)
    # The first rings, the others stay silent and are found by the bell that follows: both times are of before the step.
    assert wait_until(lambda: world.marks() == 0, 5), "nobody rings until it is as late as it was"
    clock.step(-hours * HOUR)
