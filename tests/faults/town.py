"""A town: two programmes of mentors, a church and a school, and what their people write down in two acts.

Everything follows from the seed. Whatever order an act's writes come in, and wherever between them an evaluation falls,
who is told is the same: nobody crosses a line and goes back over it in one act. So an undisturbed run is one of many
with the same end, and what differs from it is a fault.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

DAY = timedelta(days=1)
# Whatever clocks do in an act (two hours each way), it is over by then, and nothing is in the future.
RECENTLY = timedelta(hours=3)
KINDS_OF_MENTORS = 12
KINDS_OF_MEMBERS = 7
SERVICES = 10
# Days before the beginning on which each kind of mentor was last active, and before.
_HISTORIES: dict[int, tuple[float, ...]] = {
    0: (45, 40),  # quiet, and due from the start
    1: (45, 40),  # … but not a member any more
    2: (45, 40),  # … but away
    3: (45, 40),  # … but wants to hear nothing of it
    4: (12, 6, 5),
    5: (12, 6, 5),
    6: (45, 40, 5),  # the last of which was a mistake: it is taken away
    7: (30, 20.5),  # quiet for three weeks twelve hours from now
    8: (30, 20, 10, 3),  # one short of five
    9: (60, 50, 40, 30, 25, 20, 15, 8, 4, 2),
    10: (10, 4),  # with a certificate that runs out
    11: (45, 40),  # told, and then wants to hear no more
}
_ACTIVITY = """
insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at, duration_minutes)
values (%s, %s, %s, %s, %s, %s) on conflict do nothing
"""
_IMPORT = """
insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at, duration_minutes)
select * from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::integer[])
on conflict do nothing
"""
_MEETING = """
insert into public.activity_contacts (organization_id, activity_id, contact_id) values (%s, %s, %s)
on conflict do nothing
"""
_TYPE = """
insert into public.activity_types (organization_id, id, label, category)
values (%s, %s, %s, %s::public.activity_category) on conflict do nothing
"""
_PERSON = """
insert into public.users (organization_id, id, full_name, role, joined_at, is_active, away_from, away_until)
values (%s, %s, %s, %s::public.user_role, %s, %s, %s, %s)
"""
_PHONE = """
insert into public.devices (organization_id, user_id, provider, platform, token) values (%s, %s, 'fcm', 'android', %s)
"""
_NO_CHECK_INS_BEFORE = """
delete from public.student_attendance where organization_id = %s and student_id = %s and checkin_time < %s
"""
_RECORDS = """
insert into public.attendance_records (organization_id, id, person_id, service_id, service_date, status)
select %s, r.id, r.person_id, s.id, s.service_date, r.status::public.attendance_status
from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[]) r (id, person_id, service_id, status)
join public.services s on s.id = r.service_id
on conflict do nothing
"""
_CORRECTION = """
update public.attendance_records set status = %s::public.attendance_status where person_id = %s and service_id = %s
"""
_CHECK_IN = """
insert into public.student_attendance (organization_id, student_id, checkin_time, minutes)
select %(organization)s, %(student)s, %(at)s, 45
where not exists (
  select from public.student_attendance a
  where a.organization_id = %(organization)s and a.student_id = %(student)s and a.checkin_time = %(at)s)
"""


@dataclass(frozen=True)
class Write:
    """A transaction, which may be repeated; those of one thing (`whose`) keep their order. `is_undone`: rolled back."""

    whose: str
    statements: tuple[tuple[str, Any], ...]
    is_undone: bool = False


@dataclass
class Mentor:
    """Somebody of a programme, of one of the kinds above."""

    organization: UUID
    id: UUID
    kind: int
    activities: list[UUID]


@dataclass
class Town:
    """`mentors` of each kind in each programme, as many members of each kind, and students."""

    seed: int
    begins: datetime
    mentors: int = 10
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.programmes = (self._id(), self._id())
        self.church, self.school = self._id(), self._id()
        self.load: list[Write] = [*self._organizations(), *self._loaded_mentors(), *self._congregation()]
        self.load += list(self._loaded_students())
        self.acts = ([*self._first_act()], [*self._second_act()])
        for act in self.acts:
            self._shuffle(act)

    def _id(self) -> UUID:
        return UUID(int=self.chance.getrandbits(128), version=4)

    def _shuffle(self, act: list[Write]) -> None:
        """Anybody's writes among anybody else's, in their own order."""
        queues: dict[str, list[Write]] = {}
        for write in act:
            queues.setdefault(write.whose, []).append(write)
        order = [write.whose for write in act]
        self.chance.shuffle(order)
        act[:] = [queues[whose].pop(0) for whose in order]

    def _organizations(self) -> Iterator[Write]:
        zones = ("UTC", "Europe/Oslo", "Africa/Cairo", "America/Guayaquil")
        names = ("Norra", "Vestre", "St Mark", "Escuela")
        for organization, name, zone in zip((*self.programmes, self.church, self.school), names, zones, strict=True):
            settings: dict[str, object] = {"push_deadline_hours": 168}
            if name == "Vestre":
                settings["quiet_hours"] = {"from": "22:00", "to": "08:00"}
            yield Write(
                name,
                (
                    (
                        "insert into public.organizations (id, name, time_zone) values (%s, %s, %s)",
                        (organization, name, zone),
                    ),
                    *(
                        ("insert into public.org_settings_kv values (%s, %s, %s)", (organization, key, Jsonb(value)))
                        for key, value in settings.items()
                    ),
                ),
            )

    def _person(self, organization: UUID, person: UUID, role: str, kind: int = 4) -> Write:
        away = (self.begins - DAY, self.begins + 30 * DAY) if kind == 2 else (None, None)
        return Write(
            str(person),
            (
                (
                    _PERSON,
                    (organization, person, f"Person {person}", role, self.begins - 700 * DAY, kind != 1, *away),
                ),
                (
                    _PHONE,
                    (organization, person, f"phone-of-{person}"),
                ),
            ),
        )

    def _loaded_mentors(self) -> Iterator[Write]:
        self.people: list[Mentor] = []
        self.contacts = {organization: [self._id() for _ in range(20)] for organization in self.programmes}
        self.rules: list[Write] = []
        for organization in self.programmes:
            yield Write(
                "types",
                tuple(
                    (
                        _TYPE,
                        (organization, slug, slug, slug.replace("-", "_")),
                    )
                    for slug in ("home-visit", "phone-call")
                ),
            )
            yield Write(
                "contacts",
                tuple(
                    ("insert into public.contacts (organization_id, id) values (%s, %s)", (organization, contact))
                    for contact in self.contacts[organization]
                ),
            )
            for number in range(self.mentors * KINDS_OF_MENTORS):
                kind = number % KINDS_OF_MENTORS
                mentor = Mentor(organization, self._id(), kind, [self._id() for _ in _HISTORIES[kind]])
                self.people.append(mentor)
                yield self._person(organization, mentor.id, "peer_mentor", kind)
                yield Write(
                    str(mentor.id),
                    tuple(
                        (_ACTIVITY, self._activity(mentor, activity, days))
                        for activity, days in zip(mentor.activities, _HISTORIES[kind], strict=True)
                    ),
                )
                if kind == 3:
                    yield self._opt_out(mentor)

    def _activity(self, mentor: Mentor, activity: UUID, days: float) -> tuple[object, ...]:
        at = self.begins - days * DAY
        return (mentor.organization, activity, mentor.id, "home-visit", at, self.chance.randrange(10, 90))

    def _opt_out(self, mentor: Mentor) -> Write:
        statement = (
            "insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled)"
            " values (%s, %s, 'inactivity', false) on conflict do nothing"
        )
        return Write(str(mentor.id), ((statement, (mentor.organization, mentor.id)),))

    def _congregation(self) -> Iterator[Write]:
        self.servants = [self._id() for _ in range(4)]
        self.services = [self._id() for _ in range(SERVICES)]
        self.members = [self._id() for _ in range(self.mentors * KINDS_OF_MEMBERS)]
        families = [self._id() for _ in self.servants]
        for servant in self.servants:
            yield self._person(self.church, servant, "servant")
        for family, servant in zip(families, self.servants, strict=True):
            statement = (
                "insert into public.families (organization_id, id, name, assigned_servant_id) values (%s, %s, %s, %s)"
            )
            yield Write("families", ((statement, (self.church, family, f"Family {family}", servant)),))
        for number, service in enumerate(self.services):
            day = (self.begins - (7 * (SERVICES - number)) * DAY).date()
            statement = "insert into public.services (organization_id, id, service_date, kind) values (%s, %s, %s, %s)"
            yield Write("services", ((statement, (self.church, service, day, "liturgy")),))
        for number, member in enumerate(self.members):
            statement = "insert into public.people (organization_id, id, family_id, full_name) values (%s, %s, %s, %s)"
            family = families[number % len(families)]
            yield Write(str(member), ((statement, (self.church, member, family, f"Member {number}")),))

    def _loaded_students(self) -> Iterator[Write]:
        self.students = list(range(1, 5 * self.mentors + 1))
        statement = "insert into public.students (organization_id, student_id, full_name) values (%s, %s, %s)"
        for student in self.students:
            yield Write(f"student {student}", ((statement, (self.school, student, f"Student {student}")),))
            for days in sorted(self.chance.sample(range(1, 60), self.chance.randrange(4))):
                yield self._check_in(student, self.begins - days * DAY)

    def _check_in(self, student: int, at: datetime) -> Write:
        values = {"organization": self.school, "student": student, "at": at}
        return Write(f"student {student}", ((_CHECK_IN, values),))

    def _first_act(self) -> Iterator[Write]:
        for organization in self.programmes:
            yield from self._switch_on(organization)
        for mentor in self.people:
            yield from self._first_of_mentor(mentor)
        yield self._import()
        for number, member in enumerate(self.members):
            yield from self._first_of_member(member, number % KINDS_OF_MEMBERS)
        for student in self.students:
            for _ in range(self.chance.randrange(3)):
                yield self._check_in(student, self.begins - self.chance.randrange(4, 1200) * timedelta(hours=1))

    def _switch_on(self, organization: UUID) -> Iterator[Write]:
        rules = {
            "inactivity": {},
            "milestone": {"period": "all_time", "thresholds": [5]},
            "certification_expiry": {"lead_days": [30]},
        }
        for type_, parameters in rules.items():
            columns = "".join(f", {name}" for name in parameters)
            places = ", %s" * len(parameters)
            statement = (
                f"insert into public.scenario_rules (organization_id, id, type, name, is_enabled{columns})"
                f" values (%s, %s, %s, %s, true{places}) on conflict do nothing"
            )
            values = (organization, self._id(), type_, type_, *parameters.values())
            yield Write(f"{type_} of {organization}", ((statement, values),))

    def _first_of_mentor(self, mentor: Mentor) -> Iterator[Write]:
        whose, key = str(mentor.id), (mentor.organization, mentor.activities[-1])
        match mentor.kind:
            case 0:
                if self.chance.random() < 0.5:
                    yield Write(whose, ((_ACTIVITY, self._activity(mentor, self._id(), 60)),))
                # Whoever saw this would not remind them any more.
                yield Write(whose, ((_ACTIVITY, self._now(mentor)),), is_undone=True)
            case 4:
                yield self._change(mentor, "duration_minutes = 75")
            case 5:
                yield self._change(mentor, "activity_type_id = 'phone-call'")
            case 6:
                delete = "delete from public.activities where organization_id = %s and id = %s"
                yield Write(whose, ((delete, key),), is_undone=True)
                yield Write(whose, ((delete, key),))
            case 8:
                yield Write(whose, ((_ACTIVITY, self._now(mentor)),))
            case 9:
                yield from self._busy(mentor)
            case 10:
                statement = (
                    "insert into public.certificates (organization_id, id, user_id, name, expires_at)"
                    " values (%s, %s, %s, 'First aid', %s) on conflict do nothing"
                )
                values = (mentor.organization, self._id(), mentor.id, self.begins + 20 * DAY)
                yield Write(whose, ((statement, values),))
            case _:
                pass

    def _now(self, mentor: Mentor) -> tuple[object, ...]:
        return self._activity(mentor, self._id(), RECENTLY / DAY)

    def _change(self, mentor: Mentor, what: str, which: int = -1) -> Write:
        statement = f"update public.activities set {what} where organization_id = %s and id = %s"
        return Write(str(mentor.id), ((statement, (mentor.organization, mentor.activities[which])),))

    def _busy(self, mentor: Mentor) -> Iterator[Write]:
        for days in (1.5, 0.7, RECENTLY / DAY):
            activity = self._id()
            met = self.chance.sample(self.contacts[mentor.organization], 2)
            meetings = tuple((_MEETING, (mentor.organization, activity, contact)) for contact in met)
            yield Write(str(mentor.id), ((_ACTIVITY, self._activity(mentor, activity, days)), *meetings))
        delete = "delete from public.activities where organization_id = %s and id = %s"
        yield Write(str(mentor.id), ((delete, (mentor.organization, mentor.activities[-3])),))
        others = [p for p in self.people if p.kind == 9 and p.organization == mentor.organization and p is not mentor]
        yield self._change(mentor, f"user_id = '{self.chance.choice(others).id}'", -2)

    def _import(self) -> Write:
        """Two hundred activities in one statement."""
        busy = [mentor for mentor in self.people if mentor.kind == 9]
        rows = [self._activity(self.chance.choice(busy), self._id(), self.chance.uniform(1, 300)) for _ in range(200)]
        return Write("import", ((_IMPORT, tuple(map(list, zip(*rows, strict=True)))),))

    def _first_of_member(self, member: UUID, kind: int) -> Iterator[Write]:
        """Cases are opened here for the kinds 1, 2, 4 and 6."""
        absences = {1: (2, 3, 4), 3: (3, 4), 4: (2, 3, 4, 5), 5: (2, 3), 6: (2, 3, 4)}
        if kind == 2:
            yield self._records(member, dict.fromkeys(range(6), "absent"))
            return
        yield self._records(member, {0: "present", 1: "late"})
        for service in self.chance.sample(absences.get(kind, ()), len(absences.get(kind, ()))):
            yield self._records(member, {service: "absent"})
        if kind == 5:
            yield self._correct(member, 1, "present")
        # Whoever saw this would open a case.
        if kind == 0:
            yield self._records(member, dict.fromkeys((2, 3, 4), "absent"), is_undone=True)

    def _records(self, member: UUID, statuses: dict[int, str], *, is_undone: bool = False) -> Write:
        ids, members = [self._id() for _ in statuses], [member] * len(statuses)
        services = [self.services[number] for number in statuses]
        return Write(
            str(member), ((_RECORDS, (self.church, ids, members, services, list(statuses.values()))),), is_undone
        )

    def _correct(self, member: UUID, service: int, status: str) -> Write:
        return Write(str(member), ((_CORRECTION, (status, member, self.services[service])),))

    def _second_act(self) -> Iterator[Write]:
        for number, mentor in enumerate(self.people):
            yield from self._second_of_mentor(mentor, number)
        for number, member in enumerate(self.members):
            yield from self._second_of_member(member, number % KINDS_OF_MEMBERS)
        for student in self.students[::2]:
            yield self._check_in(student, self.begins - 10 * timedelta(minutes=student) - RECENTLY)
        for student in self.students[::3]:
            bound = self.begins - self.chance.randrange(30) * DAY
            yield Write(f"student {student}", ((_NO_CHECK_INS_BEFORE, (self.school, student, bound)),))

    def _second_of_mentor(self, mentor: Mentor, number: int) -> Iterator[Write]:
        match mentor.kind:
            case 0 if number % 3 == 0:
                yield Write(str(mentor.id), ((_ACTIVITY, self._now(mentor)),))
            case 4:
                yield self._change(mentor, "status = 'planned'")
            case 9:
                yield from (
                    Write(str(mentor.id), ((_ACTIVITY, self._activity(mentor, self._id(), days)),)) for days in (0.9, 3)
                )
            case 10 if number % 2 == 0:
                statement = "update public.certificates set revoked_at = %s where organization_id = %s and user_id = %s"
                yield Write(str(mentor.id), ((statement, (self.begins, mentor.organization, mentor.id)),))
            case 11:
                yield self._opt_out(mentor)
            case _:
                pass

    def _second_of_member(self, member: UUID, kind: int) -> Iterator[Write]:
        match kind:
            case 1:  # comes back
                yield self._records(member, {6: "present"})
            case 2:
                yield self._records(member, {6: "excused"})
                yield self._correct(member, 2, "excused")
            case 3:
                yield self._correct(member, 4, "excused")
            case 4:  # the sixth absence
                yield self._records(member, {7: "absent"})
                yield self._records(member, {6: "absent"})
            case 5:  # the third
                yield self._records(member, {4: "absent"})
            case 6:  # was not absent after all
                yield self._correct(member, 3, "excused")
            case _:
                yield self._records(member, {6: "present", 7: "late"})
