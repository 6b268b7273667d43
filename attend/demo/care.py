"""The church's part of the story: three missed services, a case, a visit, a return, a correction.

Everything is written with the sign-in of an administrator or of a servant, and read back as they would read it. The
function `pastoral-cases` is rung by its own bell.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

from attend.demo import loading
from attend.demo.desk import Desk
from attend.demo.evidence import insist
from attend.demo.model import Church, Member, Person
from attend.demo.report import Cared, CareStep, Case, CaseNews, Refusal

_MARKED = "select exists (select from private.care_marks)"
_ANSWERED = """
select exists (select from private.webhook_deliveries d where d.answer #> '{counts,cases}' is not null)
"""
_RECORD = ("organization_id", "person_id", "service_id", "service_date", "status")


class Care:
    """One telling, on a stack whose cron is off."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.church: Church = desk.data.church
        self.services: dict[date, str] = {}
        self.tokens: dict[UUID, str] = {}
        self.names = {m.id: m.full_name for m in self.church.members} | {p.id: p.full_name for p in self._staff}
        self.known: dict[UUID, set[UUID]] = {person.id: set() for person in self._staff}

    @property
    def _staff(self) -> tuple[Person, ...]:
        return (self.church.admin, *self.church.servants)

    def tell(self) -> Cared:
        """The whole of it. Raises StoryFailed when something did not happen."""
        began = time.monotonic()
        with self.desk.connection.transaction():
            loading.load_church(self.desk.connection, self.church)
        self.tokens = {person.id: self.desk.sign_in(person) for person in self._staff}
        church, admin = self.church, self.church.admin
        ours = {"organization_id": str(church.organization.id)}
        families = [
            {**ours, "id": str(f.id), "name": f.name, "assigned_servant_id": _text(f.assigned_servant_id)}
            for f in church.families
        ]
        self._write(admin, "POST", "families", families)
        people = [
            {**ours, "id": str(m.id), "family_id": str(m.family_id), "full_name": m.full_name} for m in church.members
        ]
        self._write(admin, "POST", "people", people)
        steps = list(self._steps())
        return Cared(
            organization_id=church.organization.id,
            organization=church.organization.name,
            time_zone=church.organization.time_zone,
            admin=admin.full_name,
            servants={servant.id: servant.full_name for servant in church.servants},
            families=families,
            people=self._read(admin, "people?select=id,family_id,full_name,consecutive_absences,at_risk_flag&order=id"),
            steps=steps,
            refused=list(self._refused()),
            trail=self._trail(),
            seconds=time.monotonic() - began,
        )

    def _steps(self) -> Iterator[CareStep]:
        yield self.misses_three_services()
        yield self.is_given_a_servant()
        yield self.is_visited()
        yield self.comes_back()
        yield self.was_there_after_all()

    def misses_three_services(self) -> CareStep:
        """A servant takes attendance of three Sundays; after the second nobody is asked after."""
        shepherd, other = self.church.servants
        records: list[dict[str, Any]] = []
        began = time.monotonic()
        for day in self.church.sundays[:3]:
            listed = self._read(self.church.admin, "pastoral_cases?select=id")
            insist(not listed, f"{len(listed)} people are asked after, and nobody has missed three services")
            began = time.monotonic()
            records += self._take_attendance(shepherd, day)
        self._until_tended()
        self.desk.until("the answer of pastoral-cases to its bell", lambda: self.desk.value(_ANSWERED))
        step = self._step(shepherd, "takes attendance of three Sundays", began, records)
        missed = {m.id for m in self.church.members if self._missed_all(m, self.church.sundays[:3])}
        insist({case.person_id for case in step.cases} == missed, "not everybody is asked after, or somebody who came")
        insist(bool(step.listed[shepherd.id]) and bool(step.listed[other.id]), "a shepherd's list is empty")
        elsewhere = self.desk.data.cast("manager")[0]
        theirs = self.desk.read(self.desk.sign_in(elsewhere), "pastoral_cases?select=id")
        insist(not theirs, f"{elsewhere.full_name} of another organisation sees {len(theirs)} cases")
        return step

    def is_given_a_servant(self) -> CareStep:
        """An administrator finds a case that is nobody's on her list, and gives it to somebody."""
        admin, servant = self.church.admin, self.church.servants[1]
        (case,) = self._read(admin, "unassigned_pastoral_cases?select=case_id,full_name,reason")
        began = time.monotonic()
        self._call(admin, "reassign_case", p_case_id=case["case_id"], p_servant_id=str(servant.id))
        self._until_tended()
        did = f"gives {case['full_name']}, on the list of the unassigned ({case['reason']}), to {servant.full_name}"
        step = self._step(admin, did, began)
        insist([news.event for news in step.told] == ["assigned"], f"{servant.full_name} was not told")
        return step

    def is_visited(self) -> CareStep:
        """The shepherd goes and asks."""
        shepherd, case = self._case_of(self.church.cast("returns"))
        began = time.monotonic()
        visit = self._call(shepherd, "log_contact", p_case_id=str(case), p_kind="home_visit", p_outcome="reached")
        insist(visit["contacted_by"] == str(shepherd.id), "the visit is not signed by who made it")
        return self._step(shepherd, f"logs a home visit to {self.church.cast('returns').full_name}", began)

    def comes_back(self) -> CareStep:
        """The fourth Sunday; then the case is closed by its servant, as nothing else closes one."""
        member = self.church.cast("returns")
        shepherd, case = self._case_of(member)
        began = time.monotonic()
        records = self._take_attendance(shepherd, self.church.sundays[3])
        self._until_tended()
        insist(self._status(case) == "returned", f"{member.full_name} came, and the case is {self._status(case)}")
        took = time.monotonic() - began
        self._call(shepherd, "work_case", p_case_id=str(case), p_status="closed")
        step = self._step(shepherd, "takes attendance of the fourth Sunday", began, records)
        return step.model_copy(update={"seconds": took})

    def was_there_after_all(self) -> CareStep:
        """The record of the third Sunday was a mistake: so was the case, and nobody returned."""
        member, day = self.church.cast("misrecorded"), self.church.sundays[2]
        shepherd, case = self._case_of(member)
        began = time.monotonic()
        where = f"person_id=eq.{member.id}&service_id=eq.{self.services[day]}"
        records = self._write(shepherd, "PATCH", f"attendance_records?{where}", {"status": "present"})
        self._until_tended()
        insist(self._status(case) == "withdrawn", f"the case of {member.full_name} is {self._status(case)}")
        did = f"corrects {day:%d %b}: {member.full_name} was present"
        return self._step(shepherd, did, began, [{column: row[column] for column in _RECORD} for row in records])

    def _refused(self) -> Iterator[Refusal]:
        """What cannot be entered, each with the words the API finds for it."""
        servant, day = self.church.servants[0], self.church.sundays[0]
        somebody, stranger = self.church.members[0], self.desk.data.people[0]
        ours = {"organization_id": str(self.church.organization.id)}
        ahead = {**ours, "service_date": (day + timedelta(weeks=52)).isoformat(), "kind": "liturgy"}
        again = self._record(somebody, day)
        for what, path, body in (
            ("a service of next year", "services", ahead),
            ("a second record of a service", "attendance_records", again),
            (
                "a record of another organisation's person",
                "attendance_records",
                {**again, "person_id": str(stranger.id)},
            ),
        ):
            answer = self.desk.request(self.tokens[servant.id], "POST", path, body)
            insist(answer.status_code in (400, 409), f"{what} was answered {answer.status_code}")
            yield Refusal(what=what, status=answer.status_code, **_problem(answer.json()))
        never = {**ours, "key": "absence_alert_threshold", "value": 0}
        answer = self.desk.request(self.tokens[self.church.admin.id], "POST", "org_settings_kv", never)
        insist(answer.status_code == 400, f"a threshold of zero was answered {answer.status_code}")
        yield Refusal(what="a threshold of zero", status=answer.status_code, **_problem(answer.json()))

    def _missed_all(self, member: Member, days: Sequence[date]) -> bool:
        return all(self.church.attendance[member.id, day] == "absent" for day in days)

    def _take_attendance(self, servant: Person, day: date) -> list[dict[str, Any]]:
        service = {"id": str(uuid4()), "service_date": day.isoformat(), "kind": "liturgy"}
        ours = {"organization_id": str(self.church.organization.id)}
        self._write(servant, "POST", "services", {**ours, **service})
        self.services[day] = service["id"]
        rows = self._write(
            servant, "POST", "attendance_records", [self._record(member, day) for member in self.church.members]
        )
        return [{column: row[column] for column in _RECORD} for row in rows]

    def _record(self, member: Member, day: date) -> dict[str, Any]:
        return {
            "organization_id": str(self.church.organization.id),
            "person_id": str(member.id),
            "service_id": self.services[day],
            "service_date": day.isoformat(),
            "status": self.church.attendance[member.id, day],
        }

    def _step(self, who: Person, did: str, began: float, records: list[dict[str, Any]] | None = None) -> CareStep:
        """What is to be seen now, by everybody as themselves."""
        seconds = time.monotonic() - began
        told: list[CaseNews] = []
        taken_back: list[UUID] = []
        for servant in self.church.servants:
            rows = self._read(servant, "notifications?scenario=eq.pastoral_case&select=id,context&order=created_at,id")
            seen = {UUID(row["id"]): row["context"] for row in rows}
            told += [self._news(servant, id_, seen[id_]) for id_ in seen if id_ not in self.known[servant.id]]
            taken_back += self.known[servant.id] - seen.keys()
            self.known[servant.id] = set(seen)
        return CareStep(
            who=who.full_name,
            did=did,
            records=records or [],
            cases=self._cases(self.church.admin),
            listed={servant.id: self._worked(servant) for servant in self.church.servants},
            told=told,
            taken_back=taken_back,
            seconds=seconds,
        )

    def _news(self, servant: Person, id_: UUID, context: dict[str, Any]) -> CaseNews:
        return CaseNews(
            id=id_,
            servant=servant.full_name,
            person_id=context["person_id"],
            full_name=self.names[UUID(context["person_id"])],
            event=context["event"],
        )

    def _cases(self, reader: Person, which: str = "") -> list[Case]:
        columns = "id,person_id,assigned_servant_id,status,priority,absences,absent_since,withdrawn_reason"
        rows = self._read(reader, f"pastoral_cases?select={columns}{which}&order=opened_at,person_id")
        return [
            Case(
                full_name=self.names[UUID(row["person_id"])],
                servant=self.names.get(UUID(row["assigned_servant_id"])) if row["assigned_servant_id"] else None,
                **row,
            )
            for row in rows
        ]

    def _worked(self, servant: Person) -> list[UUID]:
        """The people on a servant's own list."""
        return [case.person_id for case in self._cases(servant, "&status=in.(open,in_progress,returned)")]

    def _case_of(self, member: Member) -> tuple[Person, UUID]:
        """Who is to ask after somebody, as their own list has it, and the case."""
        for servant in self.church.servants:
            for case in self._cases(servant, f"&person_id=eq.{member.id}"):
                return servant, case.id
        insist(False, f"nobody is to ask after {member.full_name}")
        raise AssertionError

    def _status(self, case_id: UUID) -> str:
        (row,) = self._read(self.church.admin, f"pastoral_cases?select=status&id=eq.{case_id}")
        return row["status"]

    def _trail(self) -> int:
        """How many changes the audit trail has; of what a person did, it has their name."""
        rows = self._read(self.church.admin, "pastoral_case_events?select=actor_id,changes")
        by_hand = {row["actor_id"] for row in rows} - {None}
        insist(by_hand == {str(self.church.admin.id), str(self.church.servants[0].id)}, "the trail misses somebody")
        return len(rows)

    def _until_tended(self) -> None:
        self.desk.until("the pastoral-cases' work (no mark left)", lambda: not self.desk.value(_MARKED))

    def _read(self, person: Person, path: str) -> list[dict[str, Any]]:
        return self.desk.read(self.tokens[person.id], path)

    def _write(self, person: Person, method: str, path: str, body: object) -> list[dict[str, Any]]:
        return self.desk.write(self.tokens[person.id], method, path, body)

    def _call(self, person: Person, name: str, **arguments: str) -> Any:
        return self.desk.write(self.tokens[person.id], "POST", f"rpc/{name}", arguments)


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)


def _problem(body: dict[str, Any]) -> dict[str, str]:
    return {"code": body["code"], "message": body["message"]}
