"""What has the person switched off? Read from the database; nothing is cached.

Default on; off by scenario or altogether stops in-app too, off by channel stops that channel. What follows from them is
the database's to say, and it says it once: `shared.cooldown.should_notify` asks. Source: rules.md §3 "Preferences".
"""

from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from shared.supabase_client import Supabase


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
