"""The provider for development: what would be shown on the device goes to the log, one line a push."""

from collections.abc import Mapping, Sequence
from uuid import uuid4

from functions.push_notification_dispatcher.providers.protocol import Message, Result, Verdict
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from shared.logs import get_logger

log = get_logger(__name__)


class Console:
    """Takes every message. The text is logged, because seeing it is what this provider is for; the token never is."""

    name = "console"

    def __init__(self, _settings: ProviderSettings) -> None:
        """Nothing is needed."""

    async def send(self, messages: Sequence[Message]) -> Sequence[Result]:
        """Log each message."""
        return [self._show(message) for message in messages]

    def _show(self, message: Message) -> Result:
        provider_id = f"console-{uuid4()}"
        log.info(
            "push_shown",
            device_id=str(message.device_id),
            shown=f"{message.title}: {message.body}",
            # The log takes out whatever is called a key.
            collapses=message.collapse_key,
            expires_at=message.expires_at.isoformat(),
            provider_id=provider_id,
        )
        return Result(Verdict.SENT, provider_id)

    async def receipts(self, provider_ids: Sequence[str]) -> Mapping[str, Result]:  # noqa: ARG002 - none has any
        """Answer that there are none."""
        return {}

    async def close(self) -> None:
        """Nothing is open."""
