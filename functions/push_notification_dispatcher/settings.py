"""The settings of the dispatcher. See `shared.settings` for how they are read and which every function has.

The providers' own are `providers.settings`; docs/delivery.md lists all of them for users.
"""

from typing import Literal

from pydantic import Field

from shared.settings import FunctionSettings


class DispatcherSettings(FunctionSettings):
    """What is this function's own."""

    attend_push_provider: Literal["console"] | None = None
    """In development: every push goes here, whatever its device's provider. Without it each goes to its own."""

    attend_push_batch: int = Field(default=200, ge=1, le=5_000)
    """Pushes in one claim."""

    attend_push_slice: int = Field(default=50, ge=1, le=1_000)
    """Pushes sent and recorded together. What an instance that is killed had sent and not recorded is sent again."""

    attend_push_max_attempts: int = Field(default=8, ge=1, le=100)
    """After so many a push is dead."""

    attend_push_first_retry_seconds: int = Field(default=30, ge=1, le=86_400)
    attend_push_longest_retry_seconds: int = Field(default=3_600, ge=1, le=604_800)
