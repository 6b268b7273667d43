"""`attend demo`: the story on a throw-away stack."""

import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console

from attend.demo.desk import Desk, StoryFailed
from attend.demo.generator import generate
from attend.demo.model import DemoData
from attend.demo.report import Chapter, DemoReport, Started
from attend.demo.show import Screen
from attend.demo.story import Story
from attend.stack import Stack, StackError
from shared import logs
from shared.errors import AttendError

_FUNCTIONS = ("scenario-trigger-engine", "pastoral-cases")


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command("demo")(demo)


def demo(
    seed: Annotated[int, typer.Option(help="Decides who the people are and what becomes of them.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document with the same facts.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running afterwards, until Ctrl-C.")] = False,
) -> None:
    """Tell the whole story: 200 mentors, rules switched on, hook and cron, three weeks by the clock; and a church."""
    # The engine works in this process too; what it has to say in the ordinary course belongs to a log.
    logs.configure("error")
    screen = Console(stderr=True, highlight=False)
    # Without the dispatcher: a push would be gone within the second, and part of the story is what can be taken back.
    # It works in this process, when the story has come to it.
    stack = Stack(cron=False, functions=("statistics-recompute", *_FUNCTIONS))
    try:
        report = _tell(stack, seed, as_json=as_json)
        if as_json:
            sys.stdout.write(report.model_dump_json(indent=2) + "\n")
            sys.stdout.flush()
        if keep:
            _stay(stack, screen)
    except (StoryFailed, StackError, AttendError, psycopg.Error) as error:
        screen.print("The demo failed, and what it showed so far is all that is true:", style="bold red")
        screen.print(f"{type(error).__name__}: {error}", markup=False)
        _quote_log(stack, screen)
        raise typer.Exit(1) from None
    finally:
        stack.stop()


def _tell(stack: Stack, seed: int, *, as_json: bool) -> DemoReport:
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        # The people are made up while the stack's processes start.
        making = pool.submit(_timed_generate, seed)
        stack.start()
        started = Started(seconds=time.monotonic() - began, api_url=stack.api_url)
        data, generate_seconds = making.result()
    screen = None if as_json else Screen(data)
    with Desk(stack, data) as desk:
        chapters: list[Chapter] = []
        for chapter in _chain(started, Story(desk, generate_seconds).chapters()):
            chapters.append(chapter)
            if screen:
                screen.show(chapter)
    seconds = time.monotonic() - began
    if screen:
        screen.end(seconds)
    return _assemble(data, chapters, seconds)


def _timed_generate(seed: int) -> tuple[DemoData, float]:
    began = time.monotonic()
    data = generate(seed, datetime.now(UTC))
    return data, time.monotonic() - began


def _chain(first: Chapter, rest: Iterator[Chapter]) -> Iterator[Chapter]:
    yield first
    yield from rest


def _assemble(data: DemoData, chapters: list[Chapter], seconds: float) -> DemoReport:
    several = ("later", "swept", "delivered")
    parts: dict[str, Any] = {c.chapter: c for c in chapters if c.chapter not in several}
    parts |= {name: [chapter for chapter in chapters if chapter.chapter == name] for name in several}
    return DemoReport(
        seed=data.seed,
        now=data.now,
        organization_id=data.organization.id,
        organization=data.organization.name,
        seconds=seconds,
        **parts,
    )


def _stay(stack: Stack, screen: Console) -> None:
    screen.print(
        f"\nThe stack stays: API {stack.api_url}, database {stack.db_url}. Ctrl-C stops it.",
        markup=False,
        soft_wrap=True,
    )
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigwait(ends)


def _quote_log(stack: Stack, screen: Console) -> None:
    for function in _FUNCTIONS:
        if stack.log_path(function).exists() and (said := stack.logs(function).splitlines()[-8:]):
            screen.print(f"The last the function {function} said:", style="bold")
            screen.print("\n".join(said), markup=False)
