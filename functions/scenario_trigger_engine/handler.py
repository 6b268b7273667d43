"""HTTP to engine. What every function does with a request is `shared.function`; here is what is the engine's own."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from functions.scenario_trigger_engine.engine import EventOutcome, ScenarioTriggerEngine
from functions.scenario_trigger_engine.payload import EVENT, Event, parse_event
from functions.scenario_trigger_engine.settings import EngineSettings
from functions.scenario_trigger_engine.store import ScenarioStore
from shared import function
from shared.openapi import FunctionApi
from shared.runs import Pace
from shared.supabase_client import Supabase

NAME = "scenario-trigger-engine"

_API = FunctionApi(NAME, EVENT, EventOutcome)

type Ports = function.Ports[Event]


def make_ports(settings: EngineSettings, *, monotonic: Callable[[], float], stopping: Callable[[], bool]) -> Ports:
    """Wire the real ones. Opens no connection; the first call to the database does.

    Raises:
        SettingMissing, SettingInvalid: naming the variable.
    """
    supabase = Supabase(settings)
    pace = Pace(
        time_budget=settings.attend_time_budget_seconds,
        chunk_size=settings.attend_chunk_size,
        lease_seconds=settings.attend_lease_seconds,
        monotonic=monotonic,
        stopping=stopping,
    )
    engine = ScenarioTriggerEngine(ScenarioStore(supabase), pace)
    return function.make_ports(settings, supabase, parse=parse_event, work=engine.handle_database_event)


async def handle(request: Request, ports: Callable[[], Ports]) -> Response:
    """Answer a request, whatever it is."""
    return await function.handle(request, _API, ports)
