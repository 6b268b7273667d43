"""HTTP to the dispatcher. What every function does with a request is `shared.function`; this is what is its own."""

from collections.abc import Callable, Mapping
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from functions.push_notification_dispatcher.engine import DispatchOutcome, DispatchPace, PushDispatcher
from functions.push_notification_dispatcher.payload import EVENT, Event, parse_event
from functions.push_notification_dispatcher.providers import PROVIDERS
from functions.push_notification_dispatcher.providers.protocol import Provider
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from functions.push_notification_dispatcher.sending import Providers
from functions.push_notification_dispatcher.settings import DispatcherSettings
from functions.push_notification_dispatcher.store import OutboxStore, RetryPolicy
from shared import function, logs
from shared.openapi import FunctionApi
from shared.supabase_client import Supabase

NAME = "push-notification-dispatcher"

_API = FunctionApi(NAME, EVENT, DispatchOutcome)

type Ports = function.Ports[Event]
type Factories = Mapping[str, Callable[[ProviderSettings], Provider]]


def make_ports(
    settings: DispatcherSettings,
    *,
    monotonic: Callable[[], float],
    stopping: Callable[[], bool],
    providers: Factories = PROVIDERS,
) -> Ports:
    """Wire the real ones. Opens no connection; the first call to the database does.

    Raises:
        SettingMissing, SettingInvalid: naming the variable. What one provider lacks is said when it is needed.
    """
    provider_settings = ProviderSettings.load()
    logs.redaction.know(provider_settings.secret_values())
    supabase = Supabase(settings)
    policy = RetryPolicy(
        max_attempts=settings.attend_push_max_attempts,
        first_retry_seconds=settings.attend_push_first_retry_seconds,
        longest_retry_seconds=settings.attend_push_longest_retry_seconds,
    )
    pace = DispatchPace(
        time_budget=settings.attend_time_budget_seconds,
        batch=settings.attend_push_batch,
        slice=settings.attend_push_slice,
        lease_seconds=settings.attend_lease_seconds,
        monotonic=monotonic,
        stopping=stopping,
        # As many as keep the connections busy, and one that is just being recorded.
        slices=-(-provider_settings.attend_push_connections // settings.attend_push_slice) + 1,
    )
    made = Providers(
        {name: partial(factory, provider_settings) for name, factory in providers.items()},
        always=settings.attend_push_provider,
    )
    dispatcher = PushDispatcher(OutboxStore(supabase, policy), made, pace)
    return function.make_ports(settings, supabase, parse=parse_event, work=dispatcher.handle_database_event)


async def handle(request: Request, ports: Callable[[], Ports]) -> Response:
    """Answer a request, whatever it is."""
    return await function.handle(request, _API, ports)
