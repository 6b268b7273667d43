"""`.ci/audit.py`: what it makes of what the services say, and of their silence."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / ".ci" / "audit.py"


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_weakness_is_told_with_who_carries_it_and_what_mends_it(audit: ModuleType) -> None:
    found: list[str] = []
    unexamined: list[str] = []
    vulnerable = {"id": "PYSEC-2026-1", "fix_versions": ["2.0", "1.9.1"], "aliases": [], "description": "…"}
    report = {
        "dependencies": [
            {"name": "starlette", "version": "1.10.0", "vulns": [vulnerable]},
            {"name": "schemathesis", "version": "4.0.0", "vulns": [vulnerable | {"fix_versions": []}]},
            {"name": "httpx", "version": "0.28", "vulns": []},
            {"name": "psycopg", "skip_reason": "not found"},
        ],
        "fixes": [],
    }
    audit.of_python(report, found, unexamined)
    carriers = ", ".join(
        sorted(file.stem for file in (FILE.parents[1] / "requirements").glob("*.txt") if file.stem != "dev")
    )
    assert found[0] == f"PYSEC-2026-1 in starlette 1.10.0 ({carriers}); mended in: 2.0, 1.9.1"
    assert found[1] == "PYSEC-2026-1 in schemathesis 4.0.0 (development alone); mended in: no version yet"
    assert len(found) == 2
    assert unexamined == ["1 of 4 Python packages: the service does not know them"]


def test_an_option_that_is_misspelt_is_no_audit_that_succeeds() -> None:
    ran = subprocess.run([sys.executable, FILE, "--stict"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, "--stict" in ran.stderr) == (2, "", True)


def test_a_weakness_of_a_tool_is_told(audit: ModuleType) -> None:
    found: list[str] = []
    audit.of_node({"vulnerabilities": {"tar": {"severity": "high", "range": "<7.5.1"}}, "metadata": {}}, found)
    assert found == ["high: tar <7.5.1 (tools of package.json)"]


def test_every_licence_of_a_deployable_may_be_handed_on(audit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    audit.licences(found)
    assert found == []
    monkeypatch.setattr(audit, "UNFREE", audit.FREE)
    audit.licences(found)
    assert len(found) > 20


@pytest.mark.parametrize(("options", "status"), [((), 0), (("--strict",), 2)])
def test_without_a_network_it_says_what_was_not_audited(options: tuple[str, ...], status: int) -> None:
    nowhere = "http://127.0.0.1:9"
    environment = os.environ | {"HTTPS_PROXY": nowhere, "https_proxy": nowhere, "npm_config_fetch_retries": "0"}
    ran = subprocess.run(
        [sys.executable, str(FILE), *options], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert "NOT AUDITED Python packages" in ran.stdout
    assert "NOT AUDITED npm packages" in ran.stdout
    assert nowhere not in ran.stdout
