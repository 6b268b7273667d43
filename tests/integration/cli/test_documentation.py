"""docs/scenarios.md applied as it stands; the commands of rules.md and runbook.md, and every page's SQL, as printed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

import pytest

from tests.integration.cli.conftest import Attend, Office
from tests.support.database import Database
from tests.support.organisation import NOW, days
from tests.support.served import ROOT

# Commands that other files run.
ELSEWHERE = {"statistics", "down", "up", "reset", "health", "doctor"}
BLOCK = re.compile(r"^`(supabase/schemas/\S+\.sql)`:|^```(sql|diff)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def edits() -> Iterator[tuple[str, str]]:
    """Each file that the recipe names, with what it is to contain."""
    path = ""
    for named, kind, block in BLOCK.findall((ROOT / "docs" / "scenarios.md").read_text()):
        path = named or path
        if kind == "sql":
            yield path, block
        elif kind == "diff":
            lines = block.splitlines()
            old = "\n".join(line[1:] for line in lines if line[0] in " -")
            new = "\n".join(line[1:] for line in lines if line[0] in " +")
            file = (ROOT / path).read_text()
            assert file.count(old) == 1, f"{path} has no such place: {old}"
            yield path, file.replace(old, new).replace("create function", "create or replace function", 1)


# It leaves functions behind, which a clone of the database forgets.
@pytest.mark.embedded
def test_the_recipe_makes_a_scenario_that_is_asked_previewed_ticked_and_told(
    attend: Attend, office: Office, database: Database
) -> None:
    applied: list[str] = []
    for path, sql in edits():
        database.execute(sql)
        applied.append(path.rsplit("/", 1)[1])
    assert applied == [
        "tenure_matches.sql",
        "scenario_types.sql",
        "scenario_matches.sql",
        "due_of_rule.sql",
        "draft_rule.sql",
    ]
    office.database.execute("delete from public.scenario_rules")
    new = office.person("New", joined_days=99)
    hundred = office.person("Hundred", joined_days=101)
    office.person("Old", joined_days=200)
    save = shlex.split(re.findall(r"\$ attend (rules save .*)", (ROOT / "docs" / "scenarios.md").read_text())[0])
    silent = attend(*save)
    assert "+2 / -0 people" in silent.err
    assert attend(*save, "--added", "2", "--removed", "0", "--activation", "all").status == 0
    out = attend("dry-run", "--scenario", "tenure", "--json").out.splitlines()
    gates = {row["full_name"]: row["gate"] for row in map(json.loads, out[:-1]) if row["detail"]["days"] == 100}
    assert gates == {"New": "not_matched", "Hundred": "would_send", "Old": "crossing_too_old"}
    assert "A hundred days (tenure, version 1)\n  Would be told.\n" in attend("explain", "Hundred").out
    # By the tick alone, as time passes.
    office.settle()
    database.execute("update private.rule_clocks set evaluated_until = %s", (NOW - days(2),))
    for now in (NOW, NOW + days(1.5)):
        database.execute("select private.tick_scenarios(%s)", (now,))
        database.execute("select public.drain_scenario_marks(100, %s)", (now,))
    assert office.notified() == sorted([new, hundred])
    assert attend("rules", "save", "A hundred days", "--lead-days", "3").status == 2
    preference = "insert into public.notification_preferences values (%s, %s, 'tenure', 'all', false)"
    database.execute(preference, (office.id, new))


@pytest.mark.parametrize("page", ["rules.md", "runbook.md"])
def test_the_commands_of_a_page_exist_with_these_options(attend: Attend, office: Office, page: str) -> None:
    kari = office.person("Kari Nordmann", quiet_days=25)
    office.database.execute("insert into private.quarantine values (%s, %s, '22012', 'x')", (office.id, kari))
    for name, type_ in (("Three weeks quiet", "inactivity"), ("Papers", "certification_expiry")):
        office.rule(type_, name)
    text = (ROOT / "docs" / page).read_text()
    commands = [shlex.split(line) for line in re.findall(r"^\$ attend (.*)$", text, re.MULTILINE)]
    commands = [command for command in commands if command[0] not in ELSEWHERE]
    assert commands
    for command in commands:
        ran = attend(*(NOW.isoformat() if part.startswith("2026-11-01T") else part for part in command))
        # Refused for want of a yes or of numbers is as it should be; an option that is not there is not.
        assert ran.status == 0 or "Nobody is here" in ran.err or "Nothing is changed yet" in ran.err, (command, ran.err)


@pytest.mark.parametrize(
    ("page", "number"),
    [("start.md", 1), ("deploy.md", 3), ("delivery.md", 1), ("privacy.md", 1), ("runbook.md", 5), ("statistics.md", 1)],
)
def test_the_queries_of_a_page_run(office: Office, page: str, number: int) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert len(blocks) == number
    with office.database.connect(autocommit=False) as connection:
        for block in blocks:
            connection.execute(block.replace("'…'", f"'{office.id}'").encode())
        connection.rollback()
