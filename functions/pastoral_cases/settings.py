"""The settings of pastoral cases. See `shared.settings` for how they are read and which every function has."""

from pydantic import Field

from shared.settings import FunctionSettings


class CareSettings(FunctionSettings):
    """What is this function's own; docs/deploy.md lists all of them for users."""

    attend_care_marks: int = Field(default=2_000, ge=1, le=100_000)
    """Marks (a person each) in one transaction: bounds how long others wait for it."""

    attend_care_organizations: int = Field(default=50, ge=1, le=10_000)
    """Organisations in one transaction of the nightly run. Each is done whole: most of its people cost nothing."""
