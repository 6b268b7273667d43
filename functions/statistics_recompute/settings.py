"""The settings of the recomputation. See `shared.settings` for how they are read and which every function has."""

from pydantic import Field

from shared.settings import FunctionSettings


class StatisticsSettings(FunctionSettings):
    """What is this function's own; docs/deploy.md lists all of them for users."""

    attend_drain_marks: int = Field(default=2_000, ge=1, le=100_000)
    """Marks (a person and a day each) in one transaction: bounds its memory, and how long others wait for it."""

    attend_rebuild_people: int = Field(default=200, ge=1, le=50_000)
    """People in one transaction of a rebuild or reconcile. Fewer than marks: each is recomputed with all their days."""
