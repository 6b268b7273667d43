"""Has the person switched this off? Asked of the database, which decides; nothing is cached.

Default on; off by scenario or altogether stops in-app too, off by channel stops that channel. Source: rules.md §3
"Preferences".
"""

from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from shared.supabase_client import Supabase

ALL = "all"


class Preference(BaseModel):
    """One stored preference; `all` as scenario or channel covers each of them."""

    scenario: str
    channel: str
    is_enabled: bool


_PREFERENCES = TypeAdapter(list[Preference])


class Preferences:
    """Reads `notification_preferences`: a handful of rows for each person."""

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase

    async def of(self, organization_id: UUID, user_id: UUID) -> list[Preference]:
        """Return what the person has stored; nothing stored means everything is on.

        Raises:
            DatabaseError: any of its kinds.
        """
        person = {"organization_id": organization_id, "user_id": user_id}
        columns = "scenario,channel,is_enabled"
        return await self._supabase.select("notification_preferences", columns, person, _PREFERENCES)

    async def is_opted_out(self, organization_id: UUID, user_id: UUID, scenario: str, channel: str = ALL) -> bool:
        """Return whether the person has switched off `scenario`, altogether or (if one is named) on `channel`.

        Advice, like `Cooldown.should_notify`: `enqueue_notification` asks again, in the transaction that writes.

        Raises:
            DatabaseError: any of its kinds.
        """
        return any(
            not preference.is_enabled
            and preference.scenario in {ALL, scenario}
            and preference.channel in {ALL, channel}
            for preference in await self.of(organization_id, user_id)
        )
