"""The chapters for people: a hundred columns, with colours on a terminal, plain when piped."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from attend.demo.desk import count
from attend.demo.model import DemoData
from attend.demo.report import (
    Cared,
    CareStep,
    Certificates,
    Chapter,
    Counts,
    Delivered,
    Example,
    Explained,
    Foreseen,
    Happened,
    Imported,
    Later,
    Limited,
    Milestones,
    Previewed,
    Started,
    Swept,
    SwitchedOn,
    Told,
)
from attend.demo.words import GATES
from attend.outbox.words import row

_WIDTH = 100


class Screen:
    """Writes each chapter as it comes, with how long it took beside its title."""

    def __init__(self, data: DemoData, console: Console | None = None) -> None:
        self.data = data
        self.console = console or Console(highlight=False)
        self.console.width = min(self.console.width, _WIDTH) if self.console.is_terminal else _WIDTH

    def show(self, chapter: Chapter) -> None:  # noqa: C901 - one line a chapter
        """One chapter. Prints."""
        match chapter:
            case Started():
                self._title("A stack of its own", chapter.seconds)
                self._say(f"Postgres, gateway, cron and the functions answer at {chapter.api_url}.")
            case Imported():
                self._imported(chapter)
            case Foreseen():
                self._foreseen(chapter)
            case Milestones():
                self._milestones(chapter)
            case Certificates():
                self._certificates(chapter)
            case Happened():
                self._happened(chapter)
            case Explained():
                self._explained(chapter)
            case Swept():
                self._swept(chapter)
            case Delivered():
                self._delivered(chapter)
            case Limited():
                self._limited(chapter)
            case Later():
                self._later(chapter)
            case Cared():
                self._cared(chapter)

    def end(self, seconds: float) -> None:
        """The last line."""
        self.console.print()
        self._say(
            f"All of it took {_seconds(seconds)}. Other people: --seed {self.data.seed + 1}. For machines: --json."
        )

    def _imported(self, chapter: Imported) -> None:
        ours, *others = chapter.organizations
        rows = chapter.rows
        self._title(ours, chapter.seconds)
        self._say(
            f"{chapter.mentors} mentors and two years of their activities; beside them {', '.join(others)}, whose"
            f" people must not be mixed in. Together {chapter.people} people, {rows['activities']:,} activities with"
            f" {rows['contacts']} contacts, {rows['certificates']} certificates: made up in"
            f" {_seconds(chapter.generate_seconds)}, written in {_seconds(chapter.write_seconds)}."
        )
        self._say(
            f"The import rang the bell: the function looked at all {chapter.people_evaluated_by_hook} within"
            f" {_seconds(chapter.hook_seconds)}. No rule is on, so nobody was told anything."
        )

    def _foreseen(self, chapter: Foreseen) -> None:
        self._title(f"Switching a rule on: “{chapter.rules[0]['name']}”", chapter.seconds)
        self._preview(chapter.preview, "have been quiet too long")
        wrong, now = chapter.refused.details["acknowledged"]["added"], chapter.refused.details["now"]["added"]
        self._say(
            f"Acknowledging {wrong} of them is refused: {chapter.refused.code.replace('_', ' ')}, now {now}. With {now}"
            " and “all” it is saved. Its bell is lost on purpose, as in a crash just after the commit; so a dry run can"
            f" say ({_seconds(chapter.dry_run_seconds)}) what cron's next tick, the bell and the function then bring:"
        )
        rule_id = str(chapter.rules[0]["id"])
        before = count(d.gate for d in chapter.decisions if str(d.rule_id) == rule_id)
        after = count(d.gate for d in chapter.afterwards if str(d.rule_id) == rule_id)
        foreseen = {(d.user_id, d.subject) for d in chapter.decisions if d.gate == "would_send"}
        fired = {(t.user_id, t.subject) for t in chapter.told}
        table = self._table("gate", "dry run", "then")
        table.add_column("")
        for gate, number in sorted(before.items(), key=lambda pair: pair[0] != "would_send"):
            then = after.get("sent" if gate == "would_send" else gate, 0)
            same = "told: the same people, name by name" if foreseen == fired else "told"
            table.add_row(gate, str(number), str(then), same if gate == "would_send" else GATES[gate])
        self._print(table)
        self._told("Told", self._ours(chapter.told))

    def _milestones(self, chapter: Milestones) -> None:
        self._title(f"Switching a rule on: “{chapter.rules[0]['name']}”", chapter.seconds)
        self._preview(chapter.preview, "have reached it")
        self._saved(chapter)
        late = chapter.held.get("crossing_too_old", 0)
        rest = {gate: number for gate, number in chapter.held.items() if gate != "crossing_too_old"}
        more = f" Also not told: {_gates(rest)}." if rest else ""
        self._say(f"{late} reached it more than a week ago: recorded, never congratulated late.{more}")

    def _certificates(self, chapter: Certificates) -> None:
        leads = " and ".join(str(days) for days in chapter.rules[0]["lead_days"])
        self._title(f"Switching a rule on: “{chapter.rules[0]['name']}”, {leads} days before", chapter.seconds)
        self._preview(chapter.preview, "have one that does")
        self._saved(chapter)

    def _saved(self, chapter: SwitchedOn) -> None:
        self._told(f"Saved with “{chapter.rules[0]['activation']}”; its bell arrives. Told", self._ours(chapter.told))

    def _happened(self, chapter: Happened) -> None:
        self._title("People do things; cron is off, the hook works", chapter.seconds)
        for event in chapter.events:
            text = Text()
            text.append(event.who, style="bold")
            text.append(f" {event.did}, {event.then} ({_seconds(event.seconds)}).")
            self._print(text)

    def _explained(self, chapter: Explained) -> None:
        self._title("Why, and why not?", chapter.seconds)
        for example in chapter.at_length:
            self._say(example.why)
        table = self._table("who", "gate", "because")
        for example in chapter.in_short:
            table.add_row(example.full_name, _outcome(example), example.why)
        self._print(table)

    def _swept(self, chapter: Swept) -> None:
        by = "cron, bell, function" if chapter.by == "cron" else "by the clock argument"
        self._title(f"The daily evaluation of everybody: {by}", chapter.seconds)
        told = f"{len(chapter.told)} who crossed a threshold just now" if chapter.told else "nobody"
        self._say(
            f"Run {chapter.run_id} looks at all {chapter.people} people, tells {told}, and finds"
            f" {chapter.missed_by_ticks or 'nobody'} whom the ticks had missed."
        )

    def _limited(self, chapter: Limited) -> None:
        self._title("The administrator sets limits", chapter.seconds)
        self._say(
            f"{chapter.by}: {chapter.daily_cap} notification a day, quiet from {chapter.quiet_from} to"
            f" {chapter.quiet_to}. (To {chapter.quiet_from} again was refused: {chapter.refused}.)"
        )

    def _later(self, chapter: Later) -> None:
        self._title(f"{chapter.local}, by the clock argument; nobody has done anything", chapter.seconds)
        first, reminded = self._ours(chapter.told_first), self._ours(chapter.reminded)
        self._told("Told for the first time", first)
        lines = [f"Reminded: {len(reminded)}."] if reminded else []
        if deferred := sum(one.push == "deferred" for one in (*first, *reminded)):
            lines.append(f"quiet_hours: {deferred} of them see it in the app now, and on the phone in the morning.")
        held = {gate: n for gate, n in chapter.held.items() if gate in ("capped", "enough_reminders", "opted_out")}
        lines += [f"Not told: {_gates(held)}."] if held else []
        by_priority = [c.full_name for c in chapter.capped if c.told_instead == "certification_expiry" != c.scenario]
        if by_priority:
            lines.append(f"The certificate went first, the rest is for another day: {_some(by_priority)}.")
        self._say(" ".join(lines))

    def _delivered(self, chapter: Delivered) -> None:
        self._title(f"{chapter.local}: what waits goes to the phones", chapter.seconds)
        if chapter.did:
            self._say(". ".join(chapter.did) + ".")
        became = ", ".join(f"{number} {what}" for what, number in chapter.became.items())
        self._say(
            f"{chapter.phones} people have a phone. Of {chapter.due} pushes that were due: {became}. Taken back before"
            f" that: {chapter.taken_back}. On a phone: “{chapter.on_a_phone}”"
        )
        if chapter.did:
            return
        self._say("Stale are those of mornings on which no dispatcher came. One of each kind of attend outbox list:")
        table = self._table("who", "scenario", "state", "about")
        for push in chapter.rows:
            table.add_row(*row(push, self.data.organization.time_zone)[2:])
        self._print(table)

    def _cared(self, chapter: Cared) -> None:
        self._title(f"A church: {chapter.organization}", chapter.seconds)
        missed, given, visited, back, corrected = chapter.steps
        self._say(
            f"{chapter.admin}, its administrator, enters {len(chapter.families)} families with {len(chapter.people)}"
            f" people; {' and '.join(chapter.servants.values())} are their servants. {missed.who} {missed.did},"
            f" {len(missed.records)} records. {_seconds(missed.seconds)} after the third, whoever has missed all three"
            " is on the list of their family's servant, and on no other's:"
        )
        table = self._table("who", "on the list of", "after three", "in the end", "because")
        ends = {case.id: case for case in corrected.cases}
        whose = {case.id: case for case in given.cases}
        for case in missed.cases:
            end = ends[case.id]
            because = end.withdrawn_reason or ("a servant closed it" if end.status == "closed" else "still away")
            servant = case.servant or f"nobody, then {whose[case.id].servant}"
            table.add_row(case.full_name, servant, f"{case.status} {case.priority}", end.status, because)
        self._print(table)
        for step, then in (
            (given, f"who is told ({_seconds(given.seconds)})"),
            (visited, "and the case is in progress"),
            (back, f"and whoever came is marked as returned ({_seconds(back.seconds)}); the servant closes the case"),
            (corrected, f"so the case was none: withdrawn, and its notification too ({_seconds(corrected.seconds)})"),
        ):
            self._step(step, then)
        refused = "; ".join(f"{r.what}: {r.status}" for r in chapter.refused)
        self._say(f"Refused: {refused}. The audit trail has {chapter.trail} changes, with who made each.")

    def _step(self, step: CareStep, then: str) -> None:
        text = Text()
        text.append(step.who, style="bold")
        text.append(f" {step.did}, {then}.")
        self._print(text)

    def _preview(self, preview: Previewed, how: str) -> None:
        names = {"skip": "skip", "all": "all", "spread": "spread over a week"}
        counts = [f"{names[n]} {preview.activations[n]}" for n in names if n in preview.activations]
        self._say(f"Preview: {preview.matching} people {how}. Told at once: {', '.join(counts)}.")

    def _told(self, what: str, told: Sequence[Told]) -> None:
        names = [one.full_name for one in told]
        self._say(f"{what}: {len(told)}" + (f" ({_some(names)})." if names else "."))

    def _ours(self, told: Sequence[Told]) -> list[Told]:
        return [one for one in told if one.organization_id == self.data.organization.id]

    def _table(self, *columns: str) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        for column in columns:
            right = column in ("dry run", "then")
            table.add_column(column, justify="right" if right else "left", no_wrap=True)
        return table

    def _title(self, text: str, seconds: float) -> None:
        took = _seconds(seconds)
        line = Text()
        line.append(f"{text} ", style="bold cyan")
        line.append("─" * max(3, self.console.width - len(text) - len(took) - 2), style="dim")
        line.append(f" {took}", style="dim")
        self.console.print()
        self.console.print(line, no_wrap=True)

    def _say(self, text: str) -> None:
        self._print(Text(text))

    def _print(self, what: Text | Table) -> None:
        with self.console.capture() as capture:
            self.console.print(what)
        # Tables pad their last column, and wrapped lines keep the space they were broken at.
        self.console.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))
        self.console.file.flush()


def _outcome(example: Example) -> str:
    if example.gate == "sent":
        return "told" if example.push else "told, in the app only"
    return example.gate


def _gates(counts: Counts) -> str:
    return ", ".join(f"{number} {gate}" for gate, number in counts.items())


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
