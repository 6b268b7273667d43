"""The engagement panel worked out a second time, in Python and from nothing but the words: what each view must say.

Every function takes the students, their check-ins and the clock, and returns the rows in the view's order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

DAY = timedelta(hours=24)
type Row = dict[str, Any]


@dataclass
class Learning:
    """How far a student is."""

    completed: int
    total: int
    score: Decimal | None
    started_at: datetime
    last_at: datetime | None


@dataclass
class Pupil:
    """A student with all check-ins: (time, minutes), in any order."""

    id: int
    full_name: str = "Somebody"
    level: str | None = None
    is_active: bool = True
    visits: list[tuple[datetime, int | None]] = field(default_factory=list)
    learning: Learning | None = None

    @property
    def times(self) -> list[datetime]:
        return sorted(at for at, _ in self.visits)


@dataclass
class Panel:
    """A school at one moment."""

    pupils: list[Pupil]
    now: datetime
    zone: str = "America/Guayaquil"
    target: int = 30
    stuck_days: int = 14
    weekly_lessons: int = 1
    pass_score: int = 60

    def rows(self, view: str) -> list[Row]:
        """What the view of this name must return."""
        return getattr(self, view)()

    def engagement_inactive_roster_v(self) -> list[Row]:
        rows = [
            {
                "student_id": pupil.id,
                "full_name": pupil.full_name,
                "level": pupil.level,
                "last_checkin_time": pupil.times[-1] if pupil.visits else None,
                "days_since_last_checkin": self._days_since(pupil),
                "inactivity_bucket": self._bucket(pupil),
            }
            for pupil in self.pupils
        ]
        return sorted(rows, key=lambda row: (_descending(row["days_since_last_checkin"]), row["student_id"]))

    def engagement_student_activity_v(self) -> list[Row]:
        rows: list[Row] = []
        for pupil in self._active():
            gaps = [_in_days(later - earlier) for earlier, later in pairwise(pupil.times)]
            rows.append(
                {
                    "student_id": pupil.id,
                    "full_name": pupil.full_name,
                    "level": pupil.level,
                    "sessions_30d": self._sessions(pupil),
                    "avg_days_between_visits": sum(gaps, Decimal()) / len(gaps) if gaps else None,
                    "days_since_last_checkin": self._days_since(pupil),
                    "consistency_score": self._score(pupil),
                }
            )
        return sorted(
            rows,
            key=lambda row: (
                _descending(row["days_since_last_checkin"]),
                _descending(row["consistency_score"]),
                row["student_id"],
            ),
        )

    def engagement_recent_reactivated_14d_v(self) -> list[Row]:
        found: list[tuple[datetime, Row]] = []
        for pupil in self.pupils:
            returns = [
                (before, at)
                for before, at in pairwise(pupil.times)
                if at - before >= 14 * DAY and at >= self.now - 14 * DAY
            ]
            if returns:
                before, at = returns[-1]
                row = {
                    "student_id": pupil.id,
                    "full_name": pupil.full_name,
                    "days_inactive_before_return": (at - before) // DAY,
                    "return_date": self._local(at).date(),
                }
                found.append((at, row))
        return [row for _, row in sorted(found, key=lambda f: (-f[0].timestamp(), f[1]["student_id"]))]

    def engagement_session_frequency_30d_v(self) -> list[Row]:
        bins = [*((str(n), n, n) for n in range(6)), ("6-7", 6, 7), ("8-10", 8, 10), ("11+", 11, 10**9)]
        sessions = [self._sessions(pupil) for pupil in self._active()]
        return [
            {"bin_label": label, "student_count": sum(fewest <= n <= most for n in sessions)}
            for label, fewest, most in bins
        ]

    def engagement_daypart_retention_v(self) -> list[Row]:
        rows: list[Row] = []
        for daypart, hours in (
            ("morning_08_12", range(8, 12)),
            ("afternoon_12_17", range(12, 17)),
            ("evening_17_20", range(17, 20)),
        ):
            visits = Counter(
                pupil.id
                for pupil in self.pupils
                for at in pupil.times
                if at >= self.now - 30 * DAY and self._local(at).hour in hours
            )
            again = sum(number >= 2 for number in visits.values())
            rows.append({"daypart": daypart, "return_rate": Decimal(again) / len(visits) if visits else None})
        return rows

    def engagement_dual_risk_students_v(self) -> list[Row]:
        issues = {
            "inactive_14d": "14+ días",
            "dormant_30d": "30+ días",
            "long_term_inactive_180d": "180+ días",
        }
        learners = {row["student_id"]: row for row in self.learning_at_risk_learners_v()}
        return [
            {
                "student_id": row["student_id"],
                "full_name": row["full_name"],
                "level": row["level"],
                "engagement_issue": issues[row["inactivity_bucket"]],
                "learning_issue": "Stalled" if learner["stuck_flag"] else "Slow" if learner["slow_flag"] else "At risk",
                "days_since_last_checkin": row["days_since_last_checkin"],
            }
            for row in self.engagement_inactive_roster_v()
            if row["inactivity_bucket"] in issues and (learner := learners.get(row["student_id"]))
        ]

    def engagement_dau_90d_v(self) -> list[Row]:
        came: dict[date, set[int]] = defaultdict(set)
        minutes: Counter[date] = Counter()
        for pupil in self.pupils:
            for at, spent in pupil.visits:
                came[self._local(at).date()].add(pupil.id)
                minutes[self._local(at).date()] += spent or 0
        today = self._local(self.now).date()
        days = [today - timedelta(days=ago) for ago in range(89, -1, -1)]
        return [{"d": day, "active_students": len(came[day]), "total_minutes": minutes[day]} for day in days]

    def panel_figures(self) -> list[Row]:
        active = self._active()
        levels: defaultdict[str | None, list[Pupil]] = defaultdict(list)
        for pupil in active:
            levels[pupil.level].append(pupil)
        order = sorted(levels, key=lambda level: (-len(levels[level]), level is None, level or ""))
        return [
            {"level": None, "is_every_level": True, **self._figures(active)},
            *({"level": level, "is_every_level": False, **self._figures(levels[level])} for level in order),
        ]

    def _figures(self, pupils: list[Pupil]) -> dict[str, int]:
        today = self._local(self.now).date()
        seen = [min(pupil.times[-1], self.now) for pupil in pupils if pupil.visits]
        away = [self.now - at for at in seen]
        scores = [self._score(pupil) or 0 for pupil in pupils if self._sessions(pupil) >= 5]
        return {
            "students": len(pupils),
            "came_today": sum(self._local(at).date() == today for at in seen),
            "came_7d": sum(elapsed < 7 * DAY for elapsed in away),
            "away_7d": sum(7 * DAY <= elapsed < 14 * DAY for elapsed in away),
            "away_14d": sum(14 * DAY <= elapsed < 30 * DAY for elapsed in away),
            "away_30d": sum(elapsed >= 30 * DAY for elapsed in away),
            "never_came": len(pupils) - len(seen),
            "highly_engaged": sum(score >= 60 for score in scores),
            "ambassadors": sum(score >= 85 for score in scores),
            "sessions_30d": sum(self._sessions(pupil) for pupil in pupils),
        }

    def panel_returns(self) -> list[Row]:
        levels = {pupil.id: pupil.level for pupil in self.pupils}
        rows = self.engagement_recent_reactivated_14d_v()
        order = ("student_id", "full_name", "level", "days_inactive_before_return", "return_date")
        return [{name: (row | {"level": levels[row["student_id"]]})[name] for name in order} for row in rows]

    def learning_at_risk_learners_v(self) -> list[Row]:
        found: list[tuple[datetime, Row]] = []
        for pupil in self._active():
            learning = pupil.learning
            if learning is None or learning.completed >= learning.total:
                continue
            progress_at = learning.last_at or learning.started_at
            weeks = (self.now - learning.started_at) // (7 * DAY)
            stuck = progress_at <= self.now - self.stuck_days * DAY
            slow = learning.completed < min(learning.total, self.weekly_lessons * weeks)
            if stuck or slow or (learning.score is not None and learning.score < self.pass_score):
                row = {
                    "student_id": pupil.id,
                    "full_name": pupil.full_name,
                    "level": pupil.level,
                    "stuck_flag": stuck,
                    "slow_flag": slow,
                    "average_score": learning.score,
                    "lessons_completed": learning.completed,
                    "lessons_total": learning.total,
                    "days_since_last_progress": _in_days(self.now - progress_at),
                }
                found.append((progress_at, row))
        return [row for _, row in sorted(found, key=lambda f: (f[0], f[1]["student_id"]))]

    def learning_stuck_students_v(self) -> list[Row]:
        left_out = {"stuck_flag", "slow_flag", "average_score"}
        return [
            {name: value for name, value in row.items() if name not in left_out}
            for row in self.learning_at_risk_learners_v()
            if row["stuck_flag"]
        ]

    def _active(self) -> list[Pupil]:
        return [pupil for pupil in self.pupils if pupil.is_active]

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(ZoneInfo(self.zone))

    def _sessions(self, pupil: Pupil) -> int:
        return sum(at >= self.now - 30 * DAY for at in pupil.times)

    def _days_since(self, pupil: Pupil) -> Decimal | None:
        return max(_in_days(self.now - pupil.times[-1]), Decimal()) if pupil.visits else None

    def _score(self, pupil: Pupil) -> Decimal | None:
        days = self._days_since(pupil)
        if days is None:
            return None
        share = Decimal(min(self._sessions(pupil), self.target)) / self.target
        return 100 * share * (1 / (1 + days / 7))

    def _bucket(self, pupil: Pupil) -> str:
        days = self._days_since(pupil)
        if days is None:
            return "active_recent"
        limits = ((180, "long_term_inactive_180d"), (30, "dormant_30d"), (14, "inactive_14d"), (7, "inactive_7d"))
        return next((bucket for limit, bucket in limits if days >= limit), "active_recent")


def _in_days(elapsed: timedelta) -> Decimal:
    return Decimal(elapsed // timedelta(microseconds=1)) / 86_400_000_000


def _descending(value: Decimal | None) -> tuple[bool, Decimal]:
    return (value is None, -(value or Decimal()))
