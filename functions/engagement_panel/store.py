"""What this function asks of the project: nothing but whether the panel would be answered."""

import asyncio
from collections.abc import Callable

import httpx
from pydantic import BaseModel, ValidationError

# Whoever asks whether somebody is well does not wait.
_PATIENCE_SECONDS = 5.0
# Everybody may ask, so the project hears of it this often at most.
_REMEMBERED_SECONDS = 5.0
_VIEW = "panel_reader"
# As postgrest answers whoever has the publishable key alone: the schema is exposed, and its door is shut.
_SHUT = "42501"


class Reach:
    """Asks the API for the panel as nobody in particular, who is refused where all is well; one for an event loop."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        monotonic: Callable[[], float],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` replaces the network, for tests."""
        self._client = httpx.AsyncClient(
            base_url=f"{url}/rest/v1",
            headers={"apikey": key, "accept-profile": "mgmt"},
            timeout=_PATIENCE_SECONDS,
            transport=transport,
        )
        self._monotonic = monotonic
        self._asking = asyncio.Lock()
        self._asked_at: float | None = None
        self._problem: str | None = None

    async def problem(self) -> str | None:
        """Return what is in the way of the panel, as a code; None where nothing is. Some seconds old at most."""
        async with self._asking:
            if self._asked_at is None or self._monotonic() - self._asked_at >= _REMEMBERED_SECONDS:
                self._problem = await self._ask()
                self._asked_at = self._monotonic()
            return self._problem

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answer = await self._client.get(f"/{_VIEW}")
        except (httpx.HTTPError, TimeoutError):
            return "api_unreachable"
        code = _code(answer)
        match answer.status_code:
            case 401 | 403 if code == _SHUT:
                return None
            case 401 | 403:
                return "api_refuses_key"
            case 404 | 406:
                # Not migrated, or mgmt is not among the exposed schemas.
                return "panel_not_there"
            case status if status >= 500:
                return "database_unavailable"
            case _:
                return "unexpected_answer"


class _Refusal(BaseModel):
    code: str


def _code(answer: httpx.Response) -> str | None:
    try:
        return _Refusal.model_validate_json(answer.content).code
    except ValidationError:
        return None
