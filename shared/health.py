"""How Attend itself is, as its database says it (the view `health`), and how one function is, for `GET /health/deep`.

Source: rules.md §6, product.md "truth about itself". What is found, and what to do about it, is said by the database
alone (`private.finding_kinds`), so that whoever asks hears the same.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter

from shared.errors import DatabaseError, DatabaseUnavailable, UnexpectedAnswer
from shared.supabase_client import Supabase

# Whoever asks whether somebody is well does not wait for the client's patient repeating.
_PATIENCE_SECONDS = 5.0
# Everybody may ask the short form, so the database hears of it this often at most.
_REMEMBERED_SECONDS = 5.0

type Severity = Literal["ok", "note", "warning", "error"]


class HealthRow(BaseModel):
    """One thing that was looked at. `finding` is the code of what is wrong with it, None where nothing is."""

    part: str
    name: str
    function_name: str | None
    finding: str | None
    severity: Severity
    since: AwareDatetime | None
    says: str | None
    remedy: str | None
    runbook: str | None
    figures: dict[str, Any]
    checked_at: AwareDatetime


_ROWS: TypeAdapter[list[HealthRow]] = TypeAdapter(list[HealthRow])
_COLUMNS = ",".join(HealthRow.model_fields)


async def read_health(supabase: Supabase, function_name: str | None = None) -> list[HealthRow]:
    """Read how everything is, or what concerns one function.

    Raises:
        DatabaseError: any of its kinds.
        UnexpectedAnswer: there is nothing to be read. Who hears nothing has not heard that all is well.
    """
    of_function = {} if function_name is None else {"function_name": function_name}
    rows = await supabase.select("health", _COLUMNS, of_function, _ROWS)
    if not rows:
        raise UnexpectedAnswer(operation="health")
    return rows


class DatabaseHealth(BaseModel):
    """Whether the database answered this function, how soon, and by what clock. `problem`: the error's code."""

    reachable: bool
    problem: str | None = None
    answer_ms: float
    clock: AwareDatetime | None = None


class HealthReport(BaseModel):
    """How one function is. `clock` is its own machine's: a signature is good for five minutes of difference."""

    status: Literal["ok", "not_ok"]
    function: str
    clock: AwareDatetime
    database: DatabaseHealth
    rows: list[HealthRow] = Field(default_factory=list[HealthRow])

    @property
    def is_ok(self) -> bool:
        """The database answers, and says nothing bad of this function."""
        return self.status == "ok"


class FunctionHealth:
    """Asks the database how a function is. Belongs to one event loop."""

    def __init__(self, supabase: Supabase, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._supabase = supabase
        self._monotonic = monotonic
        self._asking = asyncio.Lock()
        self._asked_at = -_REMEMBERED_SECONDS
        self._was_ok = False

    async def is_ok(self, name: str) -> bool:
        """Return whether it is well, as of some seconds ago at most. Many who ask at once ask the database once."""
        async with self._asking:
            if self._monotonic() - self._asked_at >= _REMEMBERED_SECONDS:
                self._was_ok = (await self.report(name)).is_ok
                self._asked_at = self._monotonic()
            return self._was_ok

    async def report(self, name: str) -> HealthReport:
        """Return how it is, by the database's own words. A database that does not answer is a finding, not an error."""
        began = self._monotonic()
        rows: list[HealthRow] = []
        problem: str | None = None
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                rows = await read_health(self._supabase, name)
        except TimeoutError:
            problem = DatabaseUnavailable.code
        except DatabaseError as error:
            problem = error.code
        return HealthReport(
            status="not_ok" if problem or any(row.severity == "error" for row in rows) else "ok",
            function=name,
            clock=datetime.now(UTC),
            database=DatabaseHealth(
                reachable=problem is None,
                problem=problem,
                answer_ms=round((self._monotonic() - began) * 1000, 1),
                clock=rows[0].checked_at if rows else None,
            ),
            rows=rows,
        )
