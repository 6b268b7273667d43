"""attend/cli.py: the verbs of other parts are found in the module that is said to have them."""

import importlib

import pytest
import typer

from attend import cli


@pytest.mark.parametrize(("module", "verbs"), cli._VERB_MODULES.items())
def test_a_module_adds_the_verbs_that_are_looked_for_in_it(module: str, verbs: tuple[str, ...]) -> None:
    app = typer.Typer()
    importlib.import_module(module).register(app)
    groups = [group.name or "" for group in app.registered_groups]
    commands = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    assert sorted(groups + commands) == sorted(verbs)
