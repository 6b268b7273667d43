"""attend/cli.py: the verbs of other parts are found in the module that is said to have them."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from attend import cli
from attend.stack.processes import start_time
from attend.stack.state import ProcessState, StackState


@pytest.mark.parametrize(("module", "verbs"), cli._VERB_MODULES.items())
def test_a_module_adds_the_verbs_that_are_looked_for_in_it(module: str, verbs: tuple[str, ...]) -> None:
    app = typer.Typer()
    importlib.import_module(module).register(app)
    groups = [group.name or "" for group in app.registered_groups]
    commands = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]
    assert sorted(groups + commands) == sorted(verbs)


def test_a_full_disk_behind_standard_output_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "config.toml").touch()
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "attend.cli", "logs", "--project", str(tmp_path)]
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    # 1 would be a finding of health or the doctor.
    assert ran.returncode == 2
    assert ran.stderr.splitlines() == ["Error: What was to be written could not be: No space left on device."]


def test_status_keeps_the_longest_name_apart_from_its_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = ProcessState(os.getpid(), start_time(os.getpid()))
    StackState(ours, str(tmp_path), ready=True, processes={"push-notification-dispatcher": ours}).write(tmp_path)
    cli._print_status(tmp_path, cli.Output.pretty)
    assert f"push-notification-dispatcher  process {os.getpid()}" in capsys.readouterr().out
