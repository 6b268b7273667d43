"""Handing messages to providers: each to its own, and whatever goes wrong is a result with a reason."""

from collections.abc import Callable, Mapping, Sequence

from functions.push_notification_dispatcher.providers.console import Console
from functions.push_notification_dispatcher.providers.protocol import Message, Provider, Result, Verdict
from shared.errors import AttendError
from shared.logs import get_logger

log = get_logger(__name__)

# A setting that is put right needs no restart of what waits, only of the function.
_UNAVAILABLE_RETRY_SECONDS = 60.0


class Providers:
    """The providers by name, each made when it is first needed and kept for the event loop's life."""

    def __init__(self, factories: Mapping[str, Callable[[], Provider]], *, always: str | None = None) -> None:
        """`always`: the one that gets everything, in development."""
        self._factories = factories
        self._always = always
        self._made: dict[str, Provider] = {}

    @property
    def services(self) -> list[str]:
        """The names of those that devices may have tokens of: all but what only shows."""
        return sorted(self._factories.keys() - {Console.name})

    async def send(self, name: str, messages: Sequence[Message]) -> list[Result]:
        """One result per message, in their order; never raises for a provider's or a setting's fault."""
        try:
            results = list(await self._get(name).send(messages))
        except AttendError as error:
            log.warning("provider_unavailable", provider=name, reason=error.code, details=error.details)
            reason = f"{error.code}: {error.message}"
            return [Result(Verdict.RETRY, reason=reason, retry_after=_UNAVAILABLE_RETRY_SECONDS)] * len(messages)
        except Exception as error:  # a provider promises not to raise, and one that does must not stop the others
            log.exception("provider_failed", provider=name)
            return [Result(Verdict.RETRY, reason=f"provider_failed: {type(error).__name__}")] * len(messages)
        if len(results) != len(messages):
            log.error("provider_lost_count", provider=name, messages=len(messages), results=len(results))
            return [Result(Verdict.RETRY, reason="provider_failed: results do not match messages")] * len(messages)
        return results

    async def receipts(self, name: str, provider_ids: Sequence[str]) -> Mapping[str, Result]:
        """What became of messages; those missing are not known yet, or cannot be asked for at the moment."""
        try:
            return await self._get(name).receipts(provider_ids)
        except AttendError as error:
            log.warning("provider_unavailable", provider=name, reason=error.code, details=error.details)
        except Exception:  # as above
            log.exception("provider_failed", provider=name)
        return {}

    def _get(self, name: str) -> Provider:
        name = self._always or name
        if name not in self._made:
            if name not in self._factories:
                raise UnknownProvider(name)
            self._made[name] = self._factories[name]()
        return self._made[name]


class UnknownProvider(AttendError):
    """A device names a provider this version does not have: a later one had, and declared it."""

    code = "unknown_provider"

    def __init__(self, name: str) -> None:
        super().__init__(f"This version of the dispatcher has no provider {name}.", details={"provider": name})
