"""The chapters for people: tables and colours on a terminal, plain lines when piped."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from attend.demo.model import DemoData
from attend.demo.report import (
    Chapter,
    Corrected,
    Evaluated,
    Foreseen,
    Imported,
    Later,
    Logged,
    Repeated,
    RuleGates,
    Started,
    Told,
)
from attend.demo.words import GATES

_PLAIN_WIDTH = 118
_NAMES = 6


class Screen:
    """Writes each chapter as it comes, and the times at the end."""

    def __init__(self, data: DemoData, console: Console | None = None) -> None:
        self.data = data
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=_PLAIN_WIDTH, no_color=True)
        self._times: list[tuple[str, float]] = []

    def show(self, chapter: Chapter) -> None:
        """One chapter. Prints and remembers how long it took."""
        match chapter:
            case Started():
                self._started(chapter)
            case Imported():
                self._imported(chapter)
            case Foreseen():
                self._foreseen(chapter)
            case Evaluated():
                self._evaluated(chapter)
            case Logged():
                self._logged(chapter)
            case Corrected():
                self._corrected(chapter)
            case Repeated():
                self._repeated(chapter)
            case Later():
                self._later(chapter)

    def end(self, seconds: float) -> None:
        """The table of times."""
        table = self._table("How long it took", "", "seconds")
        for what, took in self._times:
            table.add_row(what, _seconds(took))
        table.add_row("all of it, to the end of the story", _seconds(seconds))
        self._print(table)

    def _started(self, chapter: Started) -> None:
        self._title("A stack of its own")
        self._say(f"Postgres, gateway, cron and the function answer at {chapter.api_url}.")
        self._time("starting the stack", chapter.seconds)

    def _imported(self, chapter: Imported) -> None:
        ours, *others = chapter.organizations
        self._title(ours)
        rows = chapter.rows
        self._say(
            f"{chapter.mentors} mentors and two years of their activities; beside them {', '.join(others)}, whose"
            f" people must not be mixed in. Together {chapter.people} people, {rows['activities']} activities,"
            f" {rows['activity_contacts']} meetings with {rows['contacts']} contacts."
        )
        self._say(
            f"The import rang the bell: the function looked at {chapter.people_evaluated_by_hook} people within"
            f" {_seconds(chapter.hook_seconds)} s. No rule is on, so nobody was told anything."
        )
        self._time("making up the people (from the seed)", chapter.generate_seconds)
        self._time("writing them", chapter.write_seconds)
        self._time("hook: everybody evaluated after the import", chapter.hook_seconds)

    def _foreseen(self, chapter: Foreseen) -> None:
        self._title("The rules are on. What would happen?")
        self._rules(chapter.rules, "A dry run of everybody, without effects")
        self._time(f"dry run of {len(chapter.decisions)} decisions through the API", chapter.seconds)

    def _evaluated(self, chapter: Evaluated) -> None:
        self._title("The scheduled evaluation: cron, bell, function, SQL")
        self._say(
            f"Run {chapter.run_id} of the ledger: {chapter.people} people in {chapter.chunks} chunk(s),"
            f" {len(chapter.told)} notifications, {len(self._ours(chapter.told))} of them here."
        )
        self._rules(chapter.rules, "Who was told, and where the others stopped")
        table = self._table("Why, and why not", "who", "outcome", "why")
        for example in chapter.examples:
            push = next((t.push for t in chapter.told if t.user_id == example.user_id), True)
            outcome = GATES[example.gate] if push else "told, in-app only"
            table.add_row(example.full_name, "not told" if example.gate == "not_matched" else outcome, example.why)
        self._print(table)
        self._time("scheduled evaluation, from setting the schedule", chapter.seconds)
        if chapter.bell_to_run_seconds is not None:
            self._time("  of it, from cron's bell to the function's start", chapter.bell_to_run_seconds)
        self._time("  of it, the run itself", chapter.run_seconds)

    def _logged(self, chapter: Logged) -> None:
        self._title("Somebody logs an activity")
        self._say(
            f"{chapter.full_name}, told a moment ago, signs in and logs a phone call. The hook looks at once:"
            f" {chapter.gate_before} has become {chapter.gate_after}, and nobody is told anything."
        )
        self._time("hook: activity logged, looked at, left alone", chapter.seconds)

    def _corrected(self, chapter: Corrected) -> None:
        self._title("Somebody corrects a mistake")
        self._say(
            f"{chapter.by} moves a visit, registered on {chapter.from_full_name}, to {chapter.to_full_name}, whose it"
            f" is. That leaves {chapter.from_full_name} with {chapter.told.days_quiet:.1f} quiet days, and told"
            f" {_seconds(chapter.seconds)} s after the change."
        )
        self._time("hook: from the change to the notification", chapter.seconds)

    def _repeated(self, chapter: Repeated) -> None:
        self._title("The next scheduled evaluation")
        cooling = chapter.counts.get("cooling_down", 0)
        newly = f"{chapter.told} who crossed the threshold meanwhile" if chapter.told else "nobody"
        self._say(f"Run {chapter.run_id} tells {newly}: {cooling} were told already and are cooling down.")
        self._time("second scheduled evaluation", chapter.seconds)

    def _later(self, chapter: Later) -> None:
        self._title(f"{chapter.days} days later, by the clock argument, and nobody has done anything")
        first, reminded = self._ours(chapter.told_first), self._ours(chapter.reminded)
        self._say(f"Told for the first time: {len(first)}{_names(first)}")
        self._say(f"Reminded: {len(reminded)}{_names(reminded)}")
        gates = next(rule.gates for rule in chapter.rules if rule.is_enabled)
        rest = {gate: number for gate, number in gates.items() if gate != "sent"}
        self._say("Not told: " + ", ".join(f"{number} {GATES[gate]}" for gate, number in rest.items()))
        self._time(f"evaluation of everybody, {chapter.days} days later", chapter.seconds)

    def _ours(self, told: Sequence[Told]) -> list[Told]:
        return [one for one in told if one.organization_id == self.data.organization.id]

    def _rules(self, rules: Sequence[RuleGates], title: str) -> None:
        table = self._table(title, "rule", "people", "gate", "")
        for rule in rules:
            name = f"{rule.name} ({rule.threshold_days} days)"
            for gate, number in rule.gates.items():
                table.add_row(name, str(number), gate, GATES[gate])
                name = ""
        self._print(table)

    def _table(self, title: str, *columns: str) -> Table:
        on_terminal = self.console.is_terminal
        table = Table(
            title=title,
            title_justify="left",
            title_style="italic" if on_terminal else "",
            box=box.ROUNDED if on_terminal else None,
            pad_edge=on_terminal,
            show_header=any(columns),
        )
        for column in columns:
            table.add_column(column, justify="right" if column in ("people", "seconds") else "left")
        return table

    def _print(self, table: Table) -> None:
        if self.console.is_terminal:
            self.console.print(table)
            return
        with self.console.capture() as capture:
            self.console.print(table)
        # Tables pad their last column.
        self._say("\n".join(line.rstrip() for line in capture.get().splitlines()))

    def _title(self, text: str) -> None:
        self.console.print()
        self.console.print(text, style="bold cyan")

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=not self.console.is_terminal)

    def _time(self, what: str, seconds: float) -> None:
        self._times.append((what, seconds))


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}"


def _names(told: Sequence[Told]) -> str:
    names = [one.full_name for one in told[:_NAMES]]
    more = f" and {len(told) - _NAMES} more" if len(told) > _NAMES else ""
    return f" ({', '.join(names)}{more})" if names else ""
