"""HTTP to recomputation. What every function does with a request is `shared.function`; this is what is its own."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from functions.statistics_recompute.engine import SMALLEST_CHUNK, EventOutcome, StatisticsRecompute
from functions.statistics_recompute.payload import EVENT, Event, parse_event
from functions.statistics_recompute.settings import StatisticsSettings
from functions.statistics_recompute.store import StatisticsStore
from shared import function
from shared.openapi import FunctionApi
from shared.runs import Pace
from shared.supabase_client import Supabase

NAME = "statistics-recompute"

_API = FunctionApi(NAME, EVENT, EventOutcome)

type Ports = function.Ports[Event]


def make_ports(settings: StatisticsSettings, *, monotonic: Callable[[], float], stopping: Callable[[], bool]) -> Ports:
    """Wire the real ones. Opens no connection; the first call to the database does.

    Raises:
        SettingMissing, SettingInvalid: naming the variable.
    """
    supabase = Supabase(settings)
    pace = Pace(
        time_budget=settings.attend_time_budget_seconds,
        chunk_size=settings.attend_drain_marks,
        lease_seconds=settings.attend_lease_seconds,
        monotonic=monotonic,
        stopping=stopping,
        smallest_chunk=SMALLEST_CHUNK,
    )
    recompute = StatisticsRecompute(StatisticsStore(supabase), pace, rebuild_people=settings.attend_rebuild_people)
    return function.make_ports(settings, supabase, parse=parse_event, work=recompute.handle_database_event)


async def handle(request: Request, ports: Callable[[], Ports]) -> Response:
    """Answer a request, whatever it is."""
    return await function.handle(request, _API, ports)
