"""What people do: weekly habits, groups that meet, seasons, and the untidiness of real registrations."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from attend.demo.cast import HISTORY, Member, new_id
from attend.demo.model import Activity, Contact, Person, start_of_year

_STILL_PENDING = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Place:
    """Where people live: their wall clock, and how much goes on there on a day."""

    instant: Callable[[date, int, int], datetime]
    season: Callable[[date], float]


@dataclass(frozen=True, slots=True)
class Group:
    """A group that meets on one evening, every one or two weeks."""

    weekday: int
    hour: int
    every_weeks: int
    minutes: int
    contact_ids: tuple[UUID, ...]

    def meets(self, day: date) -> bool:
        """Whether the calendar says so; holidays and summers are the season's business."""
        return day.weekday() == self.weekday and day.toordinal() // 7 % self.every_weeks == 0


@dataclass(frozen=True, slots=True)
class Habit:
    """How one mentor works."""

    a_week: float
    weekdays: tuple[int, ...]
    visits: float
    """Share of home visits; most of the others are phone calls."""
    contact_ids: tuple[UUID, ...]
    group: Group | None


@dataclass(slots=True)
class Diary:
    """Makes the activities of one organisation's people."""

    rng: random.Random
    now: datetime
    place: Place
    contacts: Sequence[Contact]
    groups: Sequence[Group]
    coordinators: Sequence[Person]
    milestone: int
    """Completed activities in the year that are a milestone."""

    def of(self, member: Member) -> list[Activity]:
        """Everything a member ever did or plans, in no promised order."""
        traits = member.traits
        if traits.never_active:
            return []
        until = self.now - (traits.quiet or timedelta(0))
        since = self.now - min(traits.joined, HISTORY)
        habit = self._habit()
        done = [a for a in self._routine(member.person, habit, since, until) if since <= a.occurred_at <= until]
        if traits.ends_exactly:
            done.append(self._one(member.person, habit, until, "phone-call"))
        if traits.reached is not None:
            done = self._up_to_the_milestone(member.person, habit, done, traits.reached)
        if traits.proxied:
            done += [self._proxied(member.person, habit, days) for days in (2, 9)]
        if traits.misregistered:
            done.append(self._wrongly_registered(member.person, habit))
        if traits.loose_ends:
            done.append(replace(self._one(member.person, habit, self._ago(1, 15), "home-visit"), status="cancelled"))
        if traits.loose_ends or (traits.quiet is None and self.rng.random() < 0.7):
            done += [self._planned(member.person, habit) for _ in range(self.rng.randint(1, 3))]
        return done

    def _habit(self) -> Habit:
        rng = self.rng
        return Habit(
            a_week=rng.choice((0.5, 0.8, 0.8, 1.0, 1.0, 1.2, 1.5, 2.0)),
            weekdays=tuple(rng.sample((0, 1, 1, 2, 2, 3, 3, 4, 5, 6), 3)),
            visits=rng.uniform(0.15, 0.6),
            contact_ids=tuple(c.id for c in rng.sample(self.contacts, rng.randint(3, 8))),
            group=rng.choice(self.groups) if rng.random() < 0.45 else None,
        )

    def _routine(self, person: Person, habit: Habit, since: datetime, until: datetime) -> Iterator[Activity]:
        rng = self.rng
        day, last = since.date(), until.date()
        while day <= last:
            season = self.place.season(day)
            if habit.group is not None and habit.group.meets(day) and season > 0.5 and rng.random() < 0.8:
                yield self._meeting(person, habit.group, day)
            share = habit.a_week / 3 if day.weekday() in habit.weekdays else habit.a_week / 40
            if rng.random() < share * season:
                kind = "home-visit" if rng.random() < habit.visits else rng.choice(("phone-call",) * 5 + ("other",))
                at = self.place.instant(day, rng.randint(9, 19), rng.randrange(0, 60, 5))
                yield self._untidy(self._one(person, habit, at, kind))
            day += timedelta(days=1)

    def _up_to_the_milestone(
        self, person: Person, habit: Habit, done: list[Activity], reached: timedelta
    ) -> list[Activity]:
        """The same activities but for this year's, so that the milestone was reached then, or is reached next."""
        year = start_of_year(self.now)
        # In the first days of a year there is not much of it to have reached anything in.
        at = self.now - min(reached, (self.now - year) / 2)
        is_earlier = {a.id: year <= a.occurred_at < at and a.status == "completed" for a in done}
        earlier = [a for a in done if is_earlier[a.id]]
        kept = self.rng.sample(earlier, min(len(earlier), self.milestone - 1))
        kept += [self._on_some_day(person, habit, year, at) for _ in range(self.milestone - 1 - len(kept))]
        later = [a for a in done if not is_earlier[a.id]]
        if not reached:
            return later + kept
        return [*later, *kept, self._one(person, habit, at, "home-visit")]

    def _on_some_day(self, person: Person, habit: Habit, since: datetime, until: datetime) -> Activity:
        some = since + (until - since) * self.rng.random()
        daytime = self.place.instant(some.date(), self.rng.randint(9, 19), self.rng.randrange(0, 60, 5))
        at = daytime if since <= daytime < until else some
        return self._one(person, habit, at, self.rng.choice(("phone-call", "phone-call", "home-visit")))

    def _meeting(self, person: Person, group: Group, day: date) -> Activity:
        there = self.rng.sample(group.contact_ids, self.rng.randint(2, len(group.contact_ids)))
        at = self.place.instant(day, group.hour, 0)
        return self._activity(person, at, "group-meeting", group.minutes, there)

    def _one(self, person: Person, habit: Habit, at: datetime, kind: str) -> Activity:
        rng = self.rng
        minutes = {"home-visit": (45, 150), "phone-call": (5, 50), "other": (15, 180)}[kind]
        number = rng.choice((1, 1, 1, 2)) if kind == "home-visit" else rng.choice((0, 1, 1, 1))
        met = rng.sample(habit.contact_ids, number)
        return self._activity(person, at, kind, rng.randrange(minutes[0], minutes[1] + 1, 5), met)

    def _activity(self, person: Person, at: datetime, kind: str, minutes: int, met: Sequence[UUID]) -> Activity:
        rng = self.rng
        recorded = min(self.now, at + timedelta(minutes=minutes + round(rng.expovariate(1 / 900))))
        settled = self.now - at > _STILL_PENDING
        approval = rng.choices(("approved", "pending", "rejected"), (95, 3, 2) if settled else (35, 64, 1))[0]
        proxy = rng.choice(self.coordinators).id if rng.random() < 0.03 else None
        return Activity(
            organization_id=person.organization_id,
            id=new_id(rng),
            user_id=person.id,
            activity_type_id=kind,
            occurred_at=at,
            recorded_at=max(recorded, at) if at <= self.now else self.now,
            duration_minutes=minutes,
            status="completed",
            approval=approval,
            proxy_registered_by=proxy,
            contact_ids=tuple(met),
        )

    def _untidy(self, activity: Activity) -> Activity:
        """Some visits are called off, and some plans are never ticked off."""
        chance = self.rng.random()
        if chance < 0.05:
            return replace(activity, status="cancelled" if chance < 0.04 else "planned", approval="pending")
        return activity

    def _planned(self, person: Person, habit: Habit) -> Activity:
        day = (self.now + timedelta(days=self.rng.randint(1, 20))).date()
        at = self.place.instant(day, self.rng.randint(9, 19), 0)
        activity = self._one(person, habit, at, self.rng.choice(("home-visit", "phone-call")))
        return replace(activity, status="planned", approval="pending", recorded_at=self._ago(0, 10))

    def _proxied(self, person: Person, habit: Habit, days: int) -> Activity:
        activity = self._one(person, habit, self._ago(days, days + 3), "phone-call")
        return replace(activity, proxy_registered_by=self.rng.choice(self.coordinators).id)

    def _wrongly_registered(self, person: Person, habit: Habit) -> Activity:
        activity = self._one(person, habit, self._ago(1, 6), "home-visit")
        return replace(activity, approval="pending", proxy_registered_by=self.rng.choice(self.coordinators).id)

    def _ago(self, least: int, most: int) -> datetime:
        return self.now - timedelta(minutes=self.rng.randint(least * 1440, most * 1440))
