"""README.md and docs/: links lead somewhere, and commands, options, verbs and settings are those that there are."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic_settings import BaseSettings
from typer.core import TyperGroup

from attend import cli
from functions.engagement_panel.settings import PanelSettings
from functions.pastoral_cases.settings import CareSettings
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from functions.push_notification_dispatcher.settings import DispatcherSettings
from functions.scenario_trigger_engine.settings import EngineSettings
from functions.statistics_recompute.settings import StatisticsSettings

ROOT = Path(__file__).parents[2]
PAGES = {page.name: page.read_text() for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
# What was decided once is not rewritten when a name changes.
TODAY = {name: text for name, text in PAGES.items() if name != "decisions.md"}
SETTINGS = (PanelSettings, CareSettings, ProviderSettings, DispatcherSettings, EngineSettings, StatisticsSettings)


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Of its headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    folder = ROOT if page == "README.md" else ROOT / "docs"
    for link in re.findall(r"\]\(((?!http)[^)\s]+)\)", prose(PAGES[page])):
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else folder / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("page", TODAY)
def test_every_file_that_is_named_is_there(page: str) -> None:
    named = re.findall(r"`((?:attend|docs|functions|shared|supabase|tests)/[\w./-]+)`", prose(TODAY[page]))
    # The example of scenarios.md makes a file.
    assert [path for path in named if not (ROOT / path).exists() and "tenure" not in path] == []


@cache
def commands() -> dict[str, set[str]]:
    """Every command by its full name, with its options."""
    app = typer.Typer()
    app.registered_commands = [*cli.app.registered_commands]
    for module in cli._VERB_MODULES:
        importlib.import_module(module).register(app)
    return dict(leaves(typer.main.get_command(app), ""))


# (Typer's own copy of click has no public name for a command of either kind.)
def leaves(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    if not isinstance(command, TyperGroup) or command.invoke_without_command:
        yield name, {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    if isinstance(command, TyperGroup):
        for below, each in command.commands.items():
            yield from leaves(each, f"{name} {below}".strip())


def test_every_command_is_in_a_document() -> None:
    text = "\n".join(TODAY.values())
    assert len(commands()) > 25
    # `panel open` is what `panel` alone does.
    said = {name for name in commands() if re.search(rf"attend {name}(?![\w-])", text)}
    assert commands().keys() - said == {"panel open"}


@pytest.mark.parametrize("page", TODAY)
def test_every_option_of_a_command_is_one(page: str) -> None:
    called = re.findall(r"(?:`|^\$ |^|&& )attend ([^`\n]*)", TODAY[page].replace("\\\n", " "), re.MULTILINE)
    for words in (line.partition(" # ")[0].partition(" && ")[0].split() for line in called):
        name = next((n for n in (" ".join(words[:2]), words[0]) if n in commands()), None) if words else None
        options = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help"}
        assert not options or (name and options <= commands()[name]), " ".join(words)


@pytest.mark.parametrize("page", TODAY)
def test_every_verb_of_make_is_one(page: str) -> None:
    verbs = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", TODAY[page], re.MULTILINE)) <= verbs


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_setting_is_in_a_document_with_its_default(settings: type[BaseSettings]) -> None:
    text = "\n".join(TODAY.values())
    for name, setting in settings.model_fields.items():
        assert f"`{name.upper()}`" in text, name
        shown = [row.strip() for row in re.findall(rf"^\| `{name.upper()}` \|([^|]*)\|", text, re.MULTILINE)]
        # Others have a default of their own, or stand in for each other, as the two kinds of keys.
        if setting.is_required() or isinstance(setting.default, int | float):
            expected = "required" if setting.is_required() else f"{setting.default}".removesuffix(".0")
            assert set(shown) == {expected}, name
