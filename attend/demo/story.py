"""The story the demo tells, and the checks that it is true: what did not happen raises StoryFailed.

Cron is off except in `evaluated` and `repeated`: whatever happens in between is the hook's doing, not a sweep's.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from attend.demo import loading
from attend.demo.desk import Desk, count
from attend.demo.evidence import Evidence, Key, insist
from attend.demo.model import DemoData, Person, Rule
from attend.demo.report import (
    Chapter,
    Corrected,
    Evaluated,
    Example,
    Foreseen,
    Gates,
    Imported,
    Later,
    Logged,
    Repeated,
)
from attend.demo.words import why

WEEKS = (7, 14, 21)
_EXAMPLES = (
    "quiet",
    "at-threshold",
    "short-of-threshold",
    "never-active",
    "just-joined",
    "only-plans",
    "by-proxy",
    "away",
    "away-ahead",
    "back",
    "reactivated",
    "inactive",
    "opted-out-of-all",
    "opted-out-of-scenario",
    "opted-out-of-push",
    "coordinator",
)
_HOOK_WORK = """
select coalesce(sum((d.answer ->> 'people')::int), 0) from private.webhook_deliveries d
where d.answer ->> 'outcome' = 'drained'
"""


class Story:
    """One telling. `chapters` does the work as it goes."""

    def __init__(self, desk: Desk, generate_seconds: float) -> None:
        self.desk = desk
        self.data: DemoData = desk.data
        self.generate_seconds = generate_seconds
        self.seen = Evidence(desk)
        self.rule: Rule = next(rule for rule in self.seen.our_rules if rule.is_enabled)
        self._gates: dict[Key, str] = {}
        self._as_of = self.data.now
        self._run_id = 0

    def chapters(self) -> Iterator[Chapter]:
        """Each chapter as it has happened.

        Raises:
            StoryFailed: something that was to be shown did not happen.
        """
        yield self.imported()
        yield self.foreseen()
        yield (evaluated := self.evaluated())
        yield self.logged(evaluated)
        yield self.corrected()
        yield self.repeated()
        for days in WEEKS:
            yield self.later(days)

    def imported(self) -> Imported:
        """Writes everything but the rules, and waits for the hook: an import by itself tells nobody anything."""
        began = time.monotonic()
        rows = loading.load(self.desk.connection, self.data, rules=False)
        written = time.monotonic()
        self.desk.until_marks_are_drained()
        hooked = time.monotonic()
        # The function writes its answer down after the marks are gone.
        looked_at = self.desk.until("the function's answer to the bell", lambda: self.desk.value(_HOOK_WORK))
        told = len(self.desk.notifications(self.data.now))
        insist(told == 0, f"{told} people were told something while no rule was on")
        ours = [p for p in self.data.people if p.organization_id == self.data.organization.id]
        return Imported(
            organizations=[organization.name for organization in self.data.organizations],
            people=len(self.data.people),
            mentors=sum(person.role == "peer_mentor" for person in ours),
            rows=rows,
            people_evaluated_by_hook=looked_at,
            told=told,
            generate_seconds=self.generate_seconds,
            write_seconds=written - began,
            hook_seconds=hooked - written,
        )

    def foreseen(self) -> Foreseen:
        """Switches the rules on and asks what an evaluation would do."""
        loading.load_rules(self.desk.connection, self.data)
        at = self.desk.clock()
        began = time.monotonic()
        decisions = self.seen.decisions(at)
        seconds = time.monotonic() - began
        self._gates = {(d.user_id, d.rule_id): d.gate for d in decisions}
        insist(not self.desk.notifications(self.data.now), "a dry run told somebody something")
        return Foreseen(at=at, seconds=seconds, rules=self.seen.by_rule(decisions), decisions=decisions)

    def evaluated(self) -> Evaluated:
        """Lets cron ring, the function answer, SQL decide; then compares what each of them says."""
        began = time.monotonic()
        run = self.desk.scheduled_run()
        seconds = time.monotonic() - began
        rung_at = self.desk.value("select s.last_rung_at from private.schedules s where s.name = %s", run["kind"])
        self._as_of, self._run_id = run["as_of"], run["id"]
        told = self.seen.newly_told(self._as_of)
        decisions = [
            d.model_copy(update={"gate": "sent"}) if (d.user_id, d.rule_id) in self.seen.told else d
            for d in self.seen.decisions(self._as_of)
        ]
        counts: Gates = run["counts"]["inactivity"]
        insist(counts == count(d.gate for d in decisions), f"the ledger counts {counts}, the explanations otherwise")
        insist(run["people"] == len(self.data.people), f"{run['people']} of {len(self.data.people)} were evaluated")
        foreseen = {key for key, gate in self._gates.items() if gate == "would_send"}
        insist(foreseen <= self.seen.told.keys(), "somebody the dry run named was not told")
        self._gates = {(d.user_id, d.rule_id): d.gate for d in decisions}
        return Evaluated(
            run_id=self._run_id,
            as_of=self._as_of,
            people=run["people"],
            chunks=run["chunks"],
            counts=counts,
            rules=self.seen.by_rule(decisions),
            decisions=decisions,
            told=told,
            examples=[self._example(person) for person in self._people_to_explain()],
            seconds=seconds,
            bell_to_run_seconds=_between(rung_at, run["started_at"]),
            run_seconds=(run["finished_at"] - run["started_at"]).total_seconds(),
        )

    def logged(self, evaluated: Evaluated) -> Logged:
        """Somebody who was told logs an activity herself: she is active again, and is left alone."""
        ours = [t for t in evaluated.told if t.organization_id == self.data.organization.id]
        mentor = self.desk.people[ours[len(ours) // 2].user_id]
        token = self.desk.sign_in(mentor)
        occurred_at = self.desk.clock() - timedelta(minutes=40)
        before = self.desk.explain(mentor, self.rule.id, self.desk.clock())["gate"]
        began = time.monotonic()
        (activity,) = self.desk.write(
            token,
            "POST",
            "activities",
            {
                "organization_id": str(mentor.organization_id),
                "user_id": str(mentor.id),
                "activity_type_id": "phone-call",
                "occurred_at": occurred_at.isoformat(),
                "duration_minutes": 25,
            },
        )
        self.desk.until_marks_are_drained()
        seconds = time.monotonic() - began
        gate = self.desk.explain(mentor, self.rule.id, self.desk.clock())["gate"]
        insist(gate == "not_matched", f"{mentor.full_name} has just logged an activity, and the gate is {gate}")
        told = self.seen.newly_told(self._as_of)
        insist(not told, f"{len(told)} people were told because {mentor.full_name} logged an activity")
        return Logged(
            user_id=mentor.id,
            full_name=mentor.full_name,
            activity_id=activity["id"],
            occurred_at=occurred_at,
            gate_before=before,
            gate_after=gate,
            told=len(told),
            seconds=seconds,
        )

    def corrected(self) -> Corrected:
        """A coordinator moves a visit from the mentor it was registered on to the one who made it."""
        mentor = self.data.cast("misregistered")[0]
        owner = next(p for p in self.data.cast("steady") if self._gates[p.id, self.rule.id] == "not_matched")
        coordinator = self.data.cast("coordinator")[0]
        wrong = max(
            (a for a in self.data.activities if a.user_id == mentor.id and a.status == "completed"),
            key=lambda activity: activity.occurred_at,
        )
        token = self.desk.sign_in(coordinator)
        before = self.desk.explain(mentor, self.rule.id, self.desk.clock())["gate"]
        began = time.monotonic()
        self.desk.write(token, "PATCH", f"activities?id=eq.{wrong.id}", {"user_id": str(owner.id)})
        written = time.monotonic()
        query = "select exists (select from public.notifications n where n.user_id = %s)"
        self.desk.until(f"telling {mentor.full_name}, who has turned quiet,", lambda: self.desk.value(query, mentor.id))
        seconds = time.monotonic() - began
        self.desk.until_marks_are_drained()
        told = self.seen.newly_told(self._as_of)
        insist(
            [t.user_id for t in told] == [mentor.id], f"not one but {len(told)} people were told after the correction"
        )
        self._gates[mentor.id, self.rule.id] = "sent"
        return Corrected(
            activity_id=wrong.id,
            by=coordinator.full_name,
            from_user_id=mentor.id,
            from_full_name=mentor.full_name,
            to_user_id=owner.id,
            to_full_name=owner.full_name,
            gate_before=before,
            told=told[0],
            write_seconds=written - began,
            seconds=seconds,
        )

    def repeated(self) -> Repeated:
        """A second scheduled evaluation, the same way."""
        began = time.monotonic()
        run = self.desk.scheduled_run(after_run=self._run_id)
        seconds = time.monotonic() - began
        counts: Gates = run["counts"]["inactivity"]
        told = self.seen.newly_told(self._as_of)
        crossed_meanwhile = all(self._gates[t.user_id, t.rule_id] == "not_matched" for t in told)
        insist(crossed_meanwhile, "the second evaluation told somebody twice")
        insist(counts.get("cooling_down", 0) > 0, "nobody was cooling down after the first evaluation")
        return Repeated(run_id=run["id"], as_of=run["as_of"], counts=counts, told=len(told), seconds=seconds)

    def later(self, days: int) -> Later:
        """An evaluation with a clock that many days after the first; what it does is what its dry run says."""
        at = self._as_of + timedelta(days=days)
        decisions = self.seen.decisions(at)
        known = dict(self.seen.told)
        began = time.monotonic()
        outcome = self.desk.evaluate_at(at)
        seconds = time.monotonic() - began
        told = self.seen.newly_told(at)
        insist(outcome.outcome == "finished" and outcome.run is not None, f"the evaluation is {outcome.outcome}")
        expected = {(d.user_id, d.rule_id) for d in decisions if d.gate == "would_send"}
        insist(expected == {(t.user_id, t.rule_id) for t in told}, "the dry run and the evaluation differ")
        cooldowns = {rule.id: timedelta(days=rule.cooldown_days) for rule in self.data.rules}
        for one in told:
            before = known.get((one.user_id, one.rule_id))
            early = before is not None and one.triggered_at - before < cooldowns[one.rule_id]
            insist(not early, f"{one.full_name} was reminded before the cooldown had passed")
        return Later(
            days=days,
            at=at,
            counts=outcome.run.counts["inactivity"] if outcome.run else {},
            rules=self.seen.by_rule(decisions, would_send="sent"),
            told_first=[t for t in told if (t.user_id, t.rule_id) not in known],
            reminded=[t for t in told if (t.user_id, t.rule_id) in known],
            seconds=seconds,
        )

    def _people_to_explain(self) -> Iterator[Person]:
        for part in _EXAMPLES:
            people = self.data.cast(part)
            if part == "short-of-threshold":
                # Those a moment short of it have crossed while the stack worked.
                people = [p for p in people if self._gates[p.id, self.rule.id] == "not_matched"]
            yield people[0]

    def _example(self, person: Person) -> Example:
        row: dict[str, Any] = self.desk.explain(person, self.rule.id, self._as_of)
        row["gate"] = self._gates[person.id, self.rule.id]
        return Example(
            user_id=person.id,
            full_name=person.full_name,
            gate=row["gate"],
            why=why(person, row, self._as_of),
            detail=row["detail"],
        )


def _between(first: datetime | None, second: datetime) -> float | None:
    return None if first is None or first > second else (second - first).total_seconds()
