"""`python -m tests.mutation`: every mutant, the test that kills it, and whoever survives."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

from tests.mutation.mutants import Mutant, enumerate_mutants
from tests.mutation.runner import Laboratory, is_grant, is_lock, is_seen_in_the_catalogue, killed_by_pytest

EXCUSED = Path(__file__).with_name("excused.toml")


def main() -> int:
    """Returns 1 where a mutant survives that nobody has excused, or where an excuse is no longer needed."""
    options = _arguments()
    excused: dict[str, str] = tomllib.loads(EXCUSED.read_text())["excused"]
    known = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    laboratory = Laboratory()
    try:
        if problem := laboratory.killed_by_pgtap(None) or laboratory.killed_by_catalogue(None):
            print(f"The tests fail without any mutant: {problem}", file=sys.stderr)
            return 2
        with laboratory.database() as database:
            mutants = [m for m in enumerate_mutants(database) if re.search(options.only, _name(m))]
        if options.list:
            print("\n".join(map(_name, mutants)))
            return 0
        for number, mutant in enumerate(mutants, 1):
            if _name(mutant) not in known:
                known[_name(mutant)] = _judge(laboratory, mutant, pytest=not options.pgtap_only)
                if options.json:
                    options.json.write_text(json.dumps(known, indent=1, ensure_ascii=False))
            say(f"{number}/{len(mutants)}  {_name(mutant)}: {known[_name(mutant)] or 'SURVIVES'}")
    finally:
        laboratory.close()
    return _report({_name(m): known[_name(m)] for m in mutants}, excused, whole=not options.pgtap_only)


def say(text: str) -> None:
    """One line of progress, at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _judge(laboratory: Laboratory, mutant: Mutant, *, pytest: bool) -> str | None:
    """Asks first what is likeliest to notice: one transaction after the other does not miss a lock, and of a grant the
    catalogue says all.
    """
    stages: list[Callable[[Mutant], str | None]] = [laboratory.killed_by_pgtap]
    if pytest:
        stages.append(laboratory.killed_by_catalogue if is_seen_in_the_catalogue(mutant) else killed_by_pytest)
    if is_grant(mutant) or is_lock(mutant):
        stages.reverse()
    try:
        return next((killer for stage in stages if (killer := stage(mutant))), None)
    except subprocess.TimeoutExpired:
        return "pytest did not end"


def _report(verdicts: dict[str, str | None], excused: dict[str, str], *, whole: bool) -> int:
    survivors = [name for name, killer in verdicts.items() if killer is None]
    unexcused = [name for name in survivors if name not in excused]
    needless = [name for name in excused if verdicts.get(name)]
    print(f"\n{len(verdicts)} mutants, {len(verdicts) - len(survivors)} killed, {len(survivors)} survive")
    for name in survivors:
        print(f"  {name}: {excused.get(name, 'NO TEST NOTICES')}")
    for name in needless:
        print(f"  {name}: is killed, needs no excuse in {EXCUSED.name}")
    return int(whole and bool(unexcused or needless))


def _name(mutant: Mutant) -> str:
    return f"{mutant.kind} | {mutant.name}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutate", description=sys.modules[__name__].__doc__)
    parser.add_argument("--only", default="", help="a regular expression over 'kind | name', as --list prints them")
    parser.add_argument("--list", action="store_true", help="only say which mutants there are")
    parser.add_argument("--pgtap-only", action="store_true", help="without the slower tests; survivors are no failure")
    parser.add_argument("--json", type=Path, help="keep the verdicts here, and go on from what is there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
