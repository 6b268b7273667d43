"""`make audit`: whether anything locked here has a known weakness, or a licence that a deployable may not carry.

Advisories come from services that are not always there: then it says what was not examined and succeeds, for a build
must not fail because somebody else's machine is down (`--strict`: status 2). A finding is status 1. Licences are read
from the installed packages and need no network.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"^([a-z0-9-]+)==([^\s;\\]+)", re.MULTILINE)
# What may be handed on with a container that is not free software itself. Weak copyleft of whole files is (MPL).
FREE = re.compile(r"\b(MIT|BSD|Apache|ISC|PSF|Python Software|MPL|Mozilla|Unlicense|0BSD|CC0|Zlib)", re.IGNORECASE)
UNFREE = re.compile(r"\b(A?GPL|GNU (Affero )?General)", re.IGNORECASE)


def main() -> int:
    """Say what was found, and what could not be examined."""
    parser = argparse.ArgumentParser(prog="make audit", description="Known weaknesses and licences of what is locked.")
    parser.add_argument("--strict", action="store_true", help="status 2 where something could not be asked about")
    parser.add_argument("--github", action="store_true", help="warnings as GitHub shows them")
    said = parser.parse_args()
    found: list[str] = []
    unexamined: list[str] = []
    for audit in (python, node):
        audit(found, unexamined)
    licences(found)
    for line in found:
        print(f"FOUND      {line}")
    for line in unexamined:
        print(f"NOT AUDITED {line}")
        # GitHub shows it beside the run, which is green.
        print(f"::warning::not audited: {line}") if said.github else None
    if not found and not unexamined:
        print("Nothing is known against what is locked here.")
    return 1 if found else 2 if unexamined and said.strict else 0


def python(found: list[str], unexamined: list[str]) -> None:
    """Of the lock of development, which has the versions of every deployable (tests/unit/test_project.py)."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "requirements" / "dev.txt")]
    command += ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    try:
        of_python(json.loads(ran.stdout), found, unexamined)
    except (ValueError, KeyError):
        unexamined.append(f"Python packages: the advisory service does not answer ({last_words(ran.stderr)})")


def of_python(report: dict[str, Any], found: list[str], unexamined: list[str]) -> None:
    """Read what pip-audit reports."""
    packages: list[dict[str, Any]] = report["dependencies"]
    skipped = [package["name"] for package in packages if package.get("skip_reason")]
    if skipped:
        unexamined.append(f"{len(skipped)} of {len(packages)} Python packages: the service does not know them")
    for package in packages:
        for weakness in package.get("vulns", []):
            fixed = ", ".join(weakness["fix_versions"]) or "no version yet"
            name = f"{package['name']} {package['version']}"
            found.append(f"{weakness['id']} in {name} ({', '.join(carriers(package['name']))}); mended in: {fixed}")


def node(found: list[str], unexamined: list[str]) -> None:
    """Of the tools that checks run; nothing of Attend itself is JavaScript."""
    npm = Path(sys.executable).with_name("npm")
    command = [str(npm), "audit", "--package-lock-only", "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    try:
        of_node(json.loads(ran.stdout), found)
    except (ValueError, KeyError):
        unexamined.append(f"npm packages: the registry gives no advisories ({last_words(ran.stderr)})")


def of_node(report: dict[str, Any], found: list[str]) -> None:
    """Read what npm reports."""
    for name, weakness in report["vulnerabilities"].items():
        found.append(f"{weakness['severity']}: {name} {weakness['range']} (tools of package.json)")


def licences(found: list[str]) -> None:
    """Of everything that a deployable carries."""
    for name in sorted({name for lock in LOCKS if lock.stem != "dev" for name, _ in PIN.findall(lock.read_text())}):
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # not for this platform or version of Python
        classifiers = [c for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
        said = " ".join([about.get("License-Expression") or "", (about.get("License") or "")[:200], *classifiers])
        if UNFREE.search(said) or not FREE.search(said):
            found.append(f"licence of {name} ({', '.join(carriers(name))}): {said.strip()[:100] or 'none is named'}")


def carriers(name: str) -> list[str]:
    """Which locks have it; development's alone where no deployable does."""
    having = [lock.stem for lock in LOCKS if name in dict(PIN.findall(lock.read_text()))]
    return [lock for lock in having if lock != "dev"] or ["development alone"]


def last_words(text: str) -> str:
    """The last line of what a program said, without the addresses in it."""
    lines = [line for line in text.strip().splitlines() if line and "complete log" not in line]
    return re.sub(r"https?://\S+|host='[^']*'", "…", lines[-1])[-160:] if lines else "no answer"


if __name__ == "__main__":
    sys.exit(main())
