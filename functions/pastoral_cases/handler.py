"""HTTP to pastoral cases. What every function does with a request is `shared.function`; this is what is its own."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from functions.pastoral_cases.engine import SMALLEST_CLAIM, CareOutcome, PastoralCases
from functions.pastoral_cases.payload import EVENT, Event, parse_event
from functions.pastoral_cases.settings import CareSettings
from functions.pastoral_cases.store import CareStore
from shared import function
from shared.openapi import FunctionApi
from shared.runs import Pace
from shared.supabase_client import Supabase

NAME = "pastoral-cases"

_API = FunctionApi(NAME, EVENT, CareOutcome)

type Ports = function.Ports[Event]


def make_ports(settings: CareSettings, *, monotonic: Callable[[], float], stopping: Callable[[], bool]) -> Ports:
    """Wire the real ones. Opens no connection; the first call to the database does.

    Raises:
        SettingMissing, SettingInvalid: naming the variable.
    """
    supabase = Supabase(settings)
    pace = Pace(
        time_budget=settings.attend_time_budget_seconds,
        chunk_size=settings.attend_care_marks,
        lease_seconds=settings.attend_lease_seconds,
        monotonic=monotonic,
        stopping=stopping,
        smallest_chunk=SMALLEST_CLAIM,
    )
    cases = PastoralCases(CareStore(supabase), pace, organizations=settings.attend_care_organizations)
    return function.make_ports(settings, supabase, parse=parse_event, work=cases.handle_database_event)


async def handle(request: Request, ports: Callable[[], Ports]) -> Response:
    """Answer a request, whatever it is."""
    return await function.handle(request, _API, ports)
