"""The story the demo tells, and the checks that it is true: what did not happen raises StoryFailed.

Cron is off except where a chapter says otherwise: whatever happens in between is the hook's doing, not a tick's.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from attend.demo import loading
from attend.demo.care import Care
from attend.demo.delivery import Delivery
from attend.demo.desk import TICK_JOB, Desk
from attend.demo.events import Events
from attend.demo.evidence import Evidence, insist
from attend.demo.examples import at_length, in_short
from attend.demo.model import DemoData
from attend.demo.report import (
    Certificates,
    Chapter,
    Explained,
    Foreseen,
    Happened,
    Imported,
    Later,
    Limited,
    Milestones,
    Swept,
    Told,
)

DAILY_CAP = 1
QUIET = ("21:00", "08:00")
_HOOK_WORK = """
select coalesce(sum((d.answer ->> 'people')::int), 0) from private.webhook_deliveries d
where d.answer ->> 'outcome' = 'drained'
"""
_NEXT = """
select min(c.at) from generate_series(0, 2) d,
  lateral (select ((%s::timestamptz at time zone %s)::date + d + %s::time) at time zone %s as at) c
where c.at >= %s
"""


class Story:
    """One telling. `chapters` does the work as it goes."""

    def __init__(self, desk: Desk, generate_seconds: float) -> None:
        self.desk = desk
        self.data: DemoData = desk.data
        self.generate_seconds = generate_seconds
        self.seen = Evidence(desk)

    def chapters(self) -> Iterator[Chapter]:
        """Each chapter as it has happened.

        Raises:
            StoryFailed: something that was to be shown did not happen.
        """
        yield self.imported()
        yield self.foreseen()
        yield self.milestones()
        yield self.certificates()
        yield self.happened()
        yield self.explained()
        delivery = Delivery(self.seen)
        yield delivery.today()
        yield self.swept_by_cron()
        yield self.limited()
        weeks = self.weeks()
        for at in weeks:
            yield self.later(at)
        yield self.swept_by_the_clock(weeks[-1])
        yield delivery.at(self._next(weeks[-1], QUIET[1]))
        yield Care(self.desk).tell()

    def imported(self) -> Imported:
        """Writes everything but the rules, and waits for the hooks: an import by itself tells nobody anything."""
        began = time.monotonic()
        rows = loading.load(self.desk.connection, self.data)
        written = time.monotonic()
        self.desk.until_all_is_looked_at()
        hooked = time.monotonic()
        # The function writes its answer down after the marks are gone.
        looked_at = self.desk.until("the function's answer to the bell", lambda: self.desk.value(_HOOK_WORK))
        told = len(self.seen.newly_told())
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
            seconds=time.monotonic() - began,
        )

    def foreseen(self) -> Foreseen:
        """Switches the inactivity rules on, asks what would happen, and lets cron's tick make it happen."""
        draft = self.data.draft("inactivity")
        preview, numbers = self.seen.preview(draft)
        wrong = {**numbers, "p_added": numbers["p_added"] + 1}
        params: dict[str, Any] = {"p_organization_id": draft.organization_id, "p_rule": draft.words()}
        refused = self.desk.refusal("save_rule", **params, p_activation="all", **wrong)
        others = [d for d in self.data.drafts if d.organization_id != draft.organization_id]
        with self.desk.without_bells():
            rules = [self.seen.save(draft, numbers), *(self.seen.save(d, self.seen.preview(d)[1]) for d in others)]
        at = self.desk.clock()
        began = time.monotonic()
        decisions = self.seen.decisions(at)
        asked = time.monotonic()
        insist(not self.desk.notifications(), "a dry run told somebody something, or the hook needed no bell")
        with self.desk.cron(TICK_JOB):
            self.desk.until_all_is_looked_at()
        answered = time.monotonic()
        told = self.seen.newly_told()
        keys = {(t.user_id, t.subject) for t in told}
        gates = {(d.user_id, d.subject): d.gate for d in decisions}
        insist({key for key, gate in gates.items() if gate == "would_send"} <= keys, "somebody foreseen was not told")
        unforeseen = {gates[key] for key in keys} - {"would_send"}
        insist(unforeseen <= {"not_matched"}, f"somebody was told whom the dry run had at {unforeseen}")
        afterwards = [
            d.model_copy(update={"gate": "sent"}) if (d.user_id, d.subject) in keys else d
            for d in self.seen.decisions(self.desk.clock())
        ]
        return Foreseen(
            rules=rules,
            preview=preview,
            told=told,
            held=self.seen.held(rules[0]["id"]),
            refused=refused,
            at=at,
            decisions=decisions,
            afterwards=afterwards,
            dry_run_seconds=asked - began,
            seconds=answered - asked,
        )

    def milestones(self) -> Milestones:
        """Switches the milestone rule on."""
        return Milestones(**self._switched_on("milestone"))

    def certificates(self) -> Certificates:
        """Switches the certificate rule on."""
        return Certificates(**self._switched_on("certification_expiry"))

    def _switched_on(self, scenario: str) -> dict[str, Any]:
        """Previews and saves a rule and lets its bell do the rest."""
        draft = self.data.draft(scenario)
        preview, numbers = self.seen.preview(draft)
        began = time.monotonic()
        rule = self.seen.save(draft, numbers)
        self.desk.until_all_is_looked_at()
        seconds = time.monotonic() - began
        told = self.seen.newly_told()
        here = [t for t in told if str(t.rule_id) == rule["id"]]
        announced = preview.activations[draft.activation]
        insist(len(here) == announced, f"{announced} people were announced, and {len(here)} were told")
        return {
            "rules": [rule],
            "preview": preview,
            "told": told,
            "held": self.seen.held(rule["id"]),
            "seconds": seconds,
        }

    def happened(self) -> Happened:
        """People do things, each with their own sign-in, and the hook works."""
        began = time.monotonic()
        return Happened(events=list(Events(self.seen).all()), seconds=time.monotonic() - began)

    def explained(self) -> Explained:
        """Asks about some people why they were told or not."""
        at = self.desk.clock()
        began = time.monotonic()
        long, short = list(at_length(self.desk, self.seen.rules, at)), list(in_short(self.desk, at))
        return Explained(at=at, at_length=long, in_short=short, seconds=time.monotonic() - began)

    def swept_by_cron(self) -> Swept:
        """The daily evaluation: cron, bell, function, SQL."""
        began = time.monotonic()
        run = self.desk.scheduled_run()
        return self._swept("cron", run, began)

    def swept_by_the_clock(self, at: datetime) -> Swept:
        """The daily evaluation again, after all the ticks whose clock was ahead."""
        began = time.monotonic()
        outcome = self.desk.evaluate_at(at)
        insist(outcome.outcome == "finished" and outcome.run is not None, f"the evaluation is {outcome.outcome}")
        run = outcome.run.model_dump() if outcome.run else {}
        swept = self._swept("clock argument", {**run, "id": run["run_id"]}, began)
        insist(not swept.told, f"the ticks left {len(swept.told)} people for the daily evaluation to tell")
        return swept

    def _swept(self, by: str, run: dict[str, Any], began: float) -> Swept:
        seconds = time.monotonic() - began
        insist(run["people"] == len(self.data.people), f"{run['people']} of {len(self.data.people)} were evaluated")
        missed = self.desk.value("select count(*) from private.sweep_findings f where f.run_id = %s", run["id"])
        insist(missed == 0, f"the ticks had missed {missed} people")
        fields = ("as_of", "people", "chunks", "counts")
        told = self.seen.newly_told()
        values = {field: run[field] for field in fields}
        return Swept(
            by=by,  # type: ignore[arg-type]  # one of two
            run_id=run["id"],
            told=told,
            missed_by_ticks=missed,
            seconds=seconds,
            **values,
        )

    def limited(self) -> Limited:
        """An administrator sets how much and when people may be told, with her own sign-in."""
        began = time.monotonic()
        admin = self.data.cast("admin")[0]
        token = self.desk.sign_in(admin)
        ours = str(self.data.organization.id)
        path = "org_settings_kv"
        never = {"organization_id": ours, "key": "quiet_hours", "value": {"from": QUIET[0], "to": QUIET[0]}}
        refused = self.desk.request(token, "POST", path, never).status_code
        insist(refused == 400, f"quiet hours of no length were answered {refused}")
        settings = {"notification_daily_cap": DAILY_CAP, "quiet_hours": {"from": QUIET[0], "to": QUIET[1]}}
        for key, value in settings.items():
            self.desk.write(token, "POST", path, {"organization_id": ours, "key": key, "value": value})
        return Limited(
            by=admin.full_name,
            daily_cap=DAILY_CAP,
            quiet_from=QUIET[0],
            quiet_to=QUIET[1],
            refused=refused,
            seconds=time.monotonic() - began,
        )

    def weeks(self) -> list[datetime]:
        """Two mornings and an evening, a week and more apart, by the wall clock of the organisation."""
        # A leap of a week leaves nothing to notice that figures have changed meanwhile; hours do not pass in a moment.
        self.desk.until_statistics_are_computed()
        first = self._next(self.desk.clock() + timedelta(days=7), "10:00")
        return [first, first + timedelta(days=7), self._next(first + timedelta(days=14), "22:30")]

    def _next(self, after: datetime, local: str) -> datetime:
        zone = self.data.organization.time_zone
        return self.desk.value(_NEXT, after, zone, local, zone, after)

    def later(self, at: datetime) -> Later:
        """A tick whose clock says `at`, and what the function does then."""
        known = list(self.seen.told.values())
        began = time.monotonic()
        people = self.desk.tick_at(at)
        seconds = time.monotonic() - began
        told = self.seen.newly_told()
        rules = {rule["id"]: rule for rule in self.seen.rules}
        reminded: list[Told] = []
        for one in told:
            rule = rules[str(one.rule_id)]
            earlier = [k.triggered_at for k in known if (k.user_id, k.subject) == (one.user_id, one.subject)]
            reminded += [one] if earlier else []
            is_early = any(at - t < timedelta(days=rule["cooldown_days"]) for t in earlier)
            insist(not is_early, f"{one.full_name} was reminded before the cooldown had passed")
            insist(len(earlier) < rule["max_reminders"], f"{one.full_name} was reminded too often")
        return Later(
            at=at,
            local=self.desk.local(at),
            people=people,
            told_first=[t for t in told if t not in reminded],
            reminded=reminded,
            held=self.seen.held(),
            capped=self.seen.capped(told),
            seconds=seconds,
        )
