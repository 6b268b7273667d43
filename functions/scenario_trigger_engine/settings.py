"""The engine's settings. See `shared.settings` for how they are read and which every function has."""

from pydantic import Field

from shared.settings import FunctionSettings


class EngineSettings(FunctionSettings):
    """What is the engine's own; docs/deploy.md lists all of them for users."""

    attend_chunk_size: int = Field(default=10_000, ge=1, le=50_000)
    """People in one transaction: locks are held, and other instances wait, for one chunk at most."""
