"""Reads `stories.toml` aloud to a database: a line is a time and a sentence, and each sentence is here."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.support import engine_oracle
from tests.support.database import Database
from tests.support.engine_world import World
from tests.support.scenarios import Gates, Scene, differences, effects, gates_of, named

STORIES: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("stories.toml").read_text())["story"]
_WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d[\d:.]*(?:[+-]\d\d:\d\d|Z)?"
_LINE = re.compile(rf"({_WHEN})\s+(=>)?\s*(.+)")


@dataclass
class Teller:
    """A story being told."""

    scene: Scene
    zone: ZoneInfo
    rules: dict[str, str]
    notice: Callable[[Scene, datetime], object]
    now: datetime = field(default=datetime.min.replace(tzinfo=UTC))
    number: int = 0

    def at(self, text: str) -> datetime:
        """A time as the story has it: a wall clock of the organisation's zone, unless it says how far from UTC."""
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).astimezone(UTC)

    def tell(self, story: str) -> None:
        lines = [_LINE.fullmatch(line.strip()) for line in story.strip().splitlines()]
        assert all(lines), f"no line of a story: {story.splitlines()[lines.index(None)]}"
        told = [(self.at(line[1]), bool(line[2]), line[3]) for line in lines if line]
        for (now, is_expected), group in groupby(told, key=lambda line: line[:2]):
            assert now >= self.now, f"a story goes forward: {now}"
            self.now = now
            sentences = [sentence for _, _, sentence in group]
            if is_expected:
                self.expect(sentences)
            else:
                for sentence in sentences:
                    self.happen(sentence)
                self.scene.stamp(now)

    def happen(self, sentence: str) -> None:
        for pattern, happening in HAPPENINGS.items():
            if found := re.fullmatch(pattern, sentence):
                happening(self, **{name: text for name, text in found.groupdict().items() if text is not None})
                return
        raise AssertionError(f"nobody knows what this means: {sentence}")

    def subject(self, about: str) -> str:
        """`quiet`, `sessions/50/2024`, `renewals/first-aid/30`: the subject of a decision."""
        name, *rest = about.split("/")
        if rest and self.rules[name] == "certification_expiry":
            rest[0] = str(named(rest[0]))
        return ":".join([str(named(name)), *rest])

    def expect(self, sentences: list[str]) -> None:
        """Everybody is asked about, then evaluated: it comes to what the sentences say, and nobody else is told."""
        scene, now = self.scene, self.now
        asked, world = scene.gates(now), scene.world()
        wrong = differences(gates_of(engine_oracle.decide(world, now)), asked)
        self.notice(scene, now)
        after = scene.world()
        wrong += differences(effects(world), effects(after))
        assert not wrong, "\n".join(wrong)
        expected = {key for sentence in sentences if (key := self.hold(sentence, asked, after))}
        assert {(t.user_id, t.subject) for t in after.told if t.triggered_at == now} == expected

    def hold(self, sentence: str, asked: Gates, after: World) -> tuple[UUID, str] | None:
        """Holds a sentence against what was answered and what came of it; who was told what by it, if anybody."""
        if sentence == "nobody is told anything":
            return None
        found = re.fullmatch(r"(\w+), (\S+): (.+)", sentence)
        assert found, f"nobody knows what this means: {sentence}"
        key = named(found[1]), self.subject(found[2])
        told = [t for t in after.told if (t.user_id, t.subject) == key]
        if found[3] == "taken back":
            assert (told[-1].is_retracted, told[-1].push) == (True, "retracted"), sentence
            return None
        if found[3].startswith("informed about "):
            return key[0], f"{key[1]}/{named(found[3].removeprefix('informed about '))}"
        gate, _, in_app = found[3].partition(", ")
        answer = asked.get(key, ("no answer",))[0]
        assert answer == gate.replace("sent", "would_send"), f"{sentence}: {answer}"
        if gate not in {"sent", "quiet_hours"}:
            return None
        push = None if in_app == "in the app only" else {"sent": "pending", "quiet_hours": "deferred"}[gate]
        assert told[-1].push == push, sentence
        return key


@contextmanager
def telling(database: Database, story: dict[str, Any], notice: Callable[[Scene, datetime], object]) -> Iterator[Teller]:
    """An organisation with the rules of a story, in a transaction of its own."""
    cap, quiet = story.get("daily_cap"), story.get("quiet_hours")
    settings = {
        "notification_daily_cap": cap and str(cap),
        "quiet_hours": quiet and json.dumps(dict(zip(("from", "to"), quiet.split("-"), strict=True))),
    }
    with Scene.set(database, story["zone"], **settings) as scene:
        for name, rule in story["rules"].items():
            scene.insert("public.scenario_rules", id=named(name), name=name, **{"is_enabled": True, **rule})
        rules = {name: rule["type"] for name, rule in story["rules"].items()}
        yield Teller(scene, ZoneInfo(story["zone"]), rules, notice)


def _joins(t: Teller, who: str, role: str = "peer_mentor", zone: str | None = None) -> None:
    t.scene.person(who, t.now, role=role, time_zone=zone)


def _is_active(
    t: Teller, who: str, times: str = "1", minutes: str = "30", others: str = "", when: str | None = None
) -> None:
    at = t.at(when) if when else t.now
    contacts = [named(name) for name in re.split(", | and ", others) if name]
    for k in range(int(times)):
        # The last one is the one that the story gives the time of.
        moment = at - timedelta(minutes=int(times) - 1 - k)
        t.number += 1
        t.scene.activity(
            f"{who}'s {t.number}", named(who), moment, contacts, duration_minutes=int(minutes), recorded_at=t.now
        )


def _latest(t: Teller, who: str) -> UUID:
    return t.scene.rows(
        "select id from public.activities where user_id = %s and status = 'completed'"
        " order by occurred_at desc limit 1",
        named(who),
    )[0]["id"]


def _cancelled(t: Teller, who: str) -> None:
    t.scene.update("public.activities", _latest(t, who), status="cancelled")


def _deleted(t: Teller, who: str) -> None:
    t.scene.run("delete from public.activities where id = %s", _latest(t, who))


def _leaves(t: Teller, who: str, begins: str | None = None, ends: str | None = None) -> None:
    away = {"away_from": t.at(begins) if begins else t.now, "away_until": t.at(ends) if ends else None}
    t.scene.update("public.users", named(who), **away)


def _is_back(t: Teller, who: str) -> None:
    t.scene.update("public.users", named(who), away_from=None, away_until=None)


def _deactivated(t: Teller, who: str) -> None:
    t.scene.update("public.users", named(who), is_active=False)


def _reactivated(t: Teller, who: str) -> None:
    t.scene.update("public.users", named(who), is_active=True, reactivated_at=t.now)


def _switches(t: Teller, who: str, how: str, what: str, phone: str = "") -> None:
    scenario = "all" if what == "everything" else what
    t.scene.prefer(named(who), scenario, "push" if phone else "all", how == "on")


def _gets(t: Teller, who: str, what: str, when: str) -> None:
    t.scene.insert("public.certificates", id=named(what), user_id=named(who), name=what, expires_at=t.at(when))


def _revoked(t: Teller, what: str) -> None:
    t.scene.update("public.certificates", named(what), revoked_at=t.now)


def _valid(t: Teller, what: str) -> None:
    t.scene.update("public.certificates", named(what), revoked_at=None)


def _renewed(t: Teller, what: str, new: str, when: str) -> None:
    owner = t.scene.rows(
        "select u.full_name from public.users u join public.certificates c on c.user_id = u.id where c.id = %s",
        named(what),
    )
    _gets(t, owner[0]["full_name"], new, when)
    t.scene.update("public.certificates", named(what), replaced_by=named(new))


def _extended(t: Teller, what: str, when: str) -> None:
    t.scene.update("public.certificates", named(what), expires_at=t.at(when))


def _coordinates(t: Teller, who: str, other: str) -> None:
    t.scene.insert("public.user_coordinators", user_id=named(other), coordinator_id=named(who))


def _reads(t: Teller, who: str) -> None:
    t.scene.run("update public.notifications set read_at = %s where user_id = %s", t.now, named(who))


def _delivered(t: Teller) -> None:
    t.scene.deliver(t.now)


def _rule(t: Teller, rule: str, column: str, value: str) -> None:
    t.scene.update("public.scenario_rules", named(rule), **{column: json.loads(value)})


def _rule_off(t: Teller, rule: str) -> None:
    t.scene.update("public.scenario_rules", named(rule), is_enabled=False)


def _rule_on(t: Teller, rule: str, activation: str, days: str | None = None) -> None:
    columns = {"is_enabled": True, "activation": activation, "spread_days": days, "effective_from": t.now}
    t.scene.update("public.scenario_rules", named(rule), **columns)


def _rule_removed(t: Teller, rule: str) -> None:
    t.scene.run("delete from public.scenario_rules where id = %s", named(rule))


def _moves(t: Teller, who: str, zone: str) -> None:
    t.scene.update("public.users", named(who), time_zone=zone)


def _becomes(t: Teller, who: str, role: str) -> None:
    t.scene.update("public.users", named(who), role=role)


_WHO, _WHAT = r"(?P<who>\w+)", r"(?P<what>[\w-]+)"
HAPPENINGS: dict[str, Callable[..., None]] = {
    rf"{_WHO} joins(?: as (?P<role>\w+))?(?:, living in (?P<zone>\S+))?": _joins,
    rf"{_WHO} becomes (?P<role>\w+)": _becomes,
    rf"{_WHO} moves to (?P<zone>\S+)": _moves,
    rf"{_WHO} is active(?: (?P<times>\d+) times)?(?: with (?P<others>[\w ,]+))?": _is_active,
    rf"{_WHO} is active for (?P<minutes>\d+) minutes?": _is_active,
    rf"{_WHO} writes down having been active(?: (?P<times>\d+) times)? at (?P<when>{_WHEN})": _is_active,
    rf"{_WHO}'s latest activity is cancelled": _cancelled,
    rf"{_WHO}'s latest activity is deleted": _deleted,
    rf"{_WHO} leaves(?: until (?P<ends>{_WHEN}))?": _leaves,
    rf"{_WHO} plans to be away from (?P<begins>{_WHEN}) until (?P<ends>{_WHEN})": _leaves,
    rf"{_WHO} is back": _is_back,
    rf"{_WHO} is deactivated": _deactivated,
    rf"{_WHO} is reactivated": _reactivated,
    rf"{_WHO} switches (?P<how>on|off) (?P<what>\w+)(?P<phone> on the phone)?": _switches,
    rf"{_WHO} gets {_WHAT}, valid until (?P<when>{_WHEN})": _gets,
    rf"{_WHO} coordinates (?P<other>\w+)": _coordinates,
    rf"{_WHO} reads the list": _reads,
    rf"{_WHAT} is revoked": _revoked,
    rf"{_WHAT} is valid after all": _valid,
    rf"{_WHAT} is renewed as (?P<new>[\w-]+), valid until (?P<when>{_WHEN})": _renewed,
    rf"{_WHAT} is corrected to be valid until (?P<when>{_WHEN})": _extended,
    r"phones get what is due": _delivered,
    r"rule (?P<rule>\w+) is switched off": _rule_off,
    r"rule (?P<rule>\w+) is switched on: (?P<activation>skip|all|spread)(?: over (?P<days>\d+) days)?": _rule_on,
    r"rule (?P<rule>\w+) gets (?P<column>\w+) (?P<value>.+)": _rule,
    r"rule (?P<rule>\w+) is removed": _rule_removed,
}
