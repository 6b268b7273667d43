"""The function as functions-framework serves it, with the network to the database scripted."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import functions_framework.aio
import httpx
import pytest

from functions.scenario_trigger_engine import handler
from shared import supabase_client
from tests.support.api import SECRET_KEY, ScriptedApi
from tests.support.function import SHARED_SECRET, WEBHOOK_SECRET, Function

MAIN = Path(handler.__file__).with_name("main.py")
VARIABLES = {
    "SUPABASE_URL": "http://api.test",
    "SUPABASE_SECRET_KEY": SECRET_KEY,
    "ATTEND_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "ATTEND_HOOK_SHARED_SECRET": SHARED_SECRET,
}


@pytest.fixture
def api() -> ScriptedApi:
    api = ScriptedApi().on("find_webhook_delivery", None)
    return api.on("record_webhook_delivery", lambda params: params["p_answer"])


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, api: ScriptedApi) -> Callable[..., Function]:
    """Load main.py as functions-framework does, with the given variables and no others of ours."""
    for name in [*VARIABLES, "SUPABASE_SERVICE_ROLE_KEY"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(supabase_client, "_FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(handler, "Supabase", lambda settings: api.supabase(**settings.model_dump()))

    def load(**variables: str) -> Function:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        app = functions_framework.aio.create_asgi_app("main", str(MAIN), "http")
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return Function(httpx.AsyncClient(transport=transport, base_url="http://function.test"))

    return load


@pytest.fixture
async def function(serve: Callable[..., Function]) -> AsyncIterator[Function]:
    function = serve(**VARIABLES)
    yield function
    await function.http.aclose()
