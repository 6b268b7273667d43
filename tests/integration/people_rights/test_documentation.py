"""docs/privacy.md: its commands run, and its table of retentions is the database's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.integration.cli.conftest import Attend, api, attend
from tests.support.people import World
from tests.support.served import ROOT

__all__ = ["api", "attend"]

PAGE = (ROOT / "docs" / "privacy.md").read_text()


def test_its_commands_run(attend: Attend, world: World, tmp_path: Path) -> None:
    commands = [shlex.split(line) for line in re.findall(r"^\$ attend (.*)$", PAGE, re.MULTILINE)]
    assert len(commands) == 3
    said = {"7d0c2a8e-6f0b-4f7e-9a53-0f6f8b1f2d11": world.ids["member"], "kari.json": str(tmp_path / "kari.json")}
    for command in commands:
        ran = attend(*(said.get(part, part) for part in command))
        assert ran.status == 0 or "nothing is erased" in ran.err, (command, ran.err)


def test_its_retentions_are_the_databases(world: World) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d[^|]*) \| (\d[^|]*) \|", PAGE, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == [
        row["name"] for row in world.database.rows("select name from private.retention order by name")
    ]
    valid = "select private.is_retention_valid(%s, %s::interval), private.is_retention_valid(%s, %s::interval - '1 s')"
    for name, default, floor in rows:
        row = world.database.rows(valid.replace("),", ") as kept,", 1) + " as shorter", (name, floor, name, floor))[0]
        assert (row["kept"], row["shorter"]) == (True, False), (name, floor)
        assert world.database.value(
            "select keep_for = %s::interval from private.retention where name = %s", (default, name)
        )
