"""The stories of `stories.toml`, each told twice: the engine looks at everybody, or only at whom its ticks name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.scenarios.telling import STORIES, telling
from tests.support.database import Database
from tests.support.scenarios import Scene


@pytest.mark.parametrize("story", STORIES, ids=[story["title"] for story in STORIES])
def test_a_story_ends_as_it_must(database: Database, story: dict[str, Any]) -> None:
    for notice in (Scene.decide, Scene.tick_and_drain):
        with telling(database, story, notice) as teller:
            teller.tell(story["story"])


def test_every_story_has_its_own_title_and_says_why() -> None:
    assert len({story["title"] for story in STORIES}) == len(STORIES) >= 40
    assert all(story["why"].strip() for story in STORIES)
