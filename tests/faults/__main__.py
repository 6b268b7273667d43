"""`make faults`: one town after the other, undisturbed and disturbed; what was injected, and what was found."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.faults.clock import NoCompilerError
from tests.faults.suite import Passage, Suite
from tests.faults.truth import shown


def main() -> int:
    """Returns 1 where anything was wrong, 2 where clocks cannot be stepped on this machine."""
    options = _arguments()
    passages: list[Passage] = []
    try:
        with Suite(say if options.verbose else _keep_quiet).running() as suite:
            for number in range(options.rounds):
                for passage in suite.compare(options.seed + number, options.mentors, options.extra):
                    passages.append(passage)
                    say(f"round {number + 1}/{options.rounds}: {passage.describe()}")
                    if options.json:
                        written = [passage.as_json() for passage in passages]
                        options.json.write_text(json.dumps(written, indent=1, ensure_ascii=False, default=str))
    except NoCompilerError as error:
        print(error, file=sys.stderr)
        return 2
    return report(passages)


def say(text: str) -> None:
    """One line of progress, at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def report(passages: list[Passage]) -> int:
    """Prints what was injected, how often, and what was found; the exit status."""
    injected: Counter[str] = Counter()
    answers: Counter[int] = Counter()
    for passage in passages:
        injected.update(passage.injected)
        answers.update(passage.answers)
    print(f"\n{sum(injected.values())} faults")
    for name, number in injected.most_common():
        print(f"  {number:>5}  {name}")
    told = ", ".join(f"{status} {number} times" for status, number in sorted(answers.items()))
    print(f"bells rung once more were answered: {told or 'none was'}")
    wild = [passage for passage in passages if passage.is_disturbed]
    again, retried = sum(passage.repeats for passage in wild), sum(passage.retried for passage in wild)
    pushes = sum(passage.pushes for passage in wild)
    print(f"{pushes} pushes, {again} sent again under the same key; {retried} writes had to be repeated")
    wrong = [(passage, words) for passage in passages for words in shown(passage.wrong)]
    for passage, words in wrong:
        print(f"  seed {passage.seed}{'' if passage.is_disturbed else ', undisturbed'}: {words}")
    print("FOUND: see above" if wrong else "Nobody was told too much, too little or twice; every figure is right.")
    return int(bool(wrong))


def _keep_quiet(_text: str) -> None:
    pass


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=7, help="of the first round; each further one has the next")
    parser.add_argument("--rounds", type=int, default=10, help="how many towns (a minute and a half each)")
    parser.add_argument("--mentors", type=int, default=10, help="of each of twelve kinds, in each of two programmes")
    parser.add_argument("--extra", type=int, default=15, help="faults in each of the two acts, beyond one of each kind")
    parser.add_argument("--verbose", action="store_true", help="name each fault as it is injected")
    parser.add_argument("--json", type=Path, help="also write what was seen to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
