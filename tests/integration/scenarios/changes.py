"""What can happen in a random life: each change takes three small numbers, and makes something of them in any life."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.support.scenarios import named

if TYPE_CHECKING:
    from tests.integration.scenarios.lives import Life

ZONES = ("UTC", "Europe/Oslo", "America/New_York", "Pacific/Auckland")
SCENARIOS = ("all", "inactivity", "milestone", "certification_expiry")


def parameters(b: int, c: int) -> dict[str, Any]:
    return {
        "threshold_days": 1 + b % 3,
        "cooldown_days": 1 + c % 2,
        "max_reminders": 1 + (b + c) % 3,
        "metric": ("sessions", "hours", "contacts")[b % 3],
        "period": ("year", "all_time")[c % 2],
        "thresholds": ([1], [1, 2], [1, 2, 3])[c % 3],
        "max_age_days": 1 + b % 3,
        "lead_days": ([2], [1, 2], [1, 2, 3])[b % 3],
        "priority": (0, 100, 500)[c % 3],
        "is_mandatory": b == 11,
        "informs_coordinators": c > 8,
    }


def _pick[T](some: list[T], number: int) -> T | None:
    return some[number % len(some)] if some else None


def _log(life: Life, a: int, b: int, c: int) -> None:
    if user_id := _pick(life.people, a):
        contacts = [named(f"contact {n}") for n in range(3) if c >> n & 1]
        minutes = (0, 30, 60, 120)[c % 4]
        at = life.ago(b)
        name = life.name("activity")
        # Written down now, whenever it took place.
        life.activities.append(
            life.scene.activity(name, user_id, at, contacts, duration_minutes=minutes, recorded_at=life.now)
        )


def _edit(life: Life, a: int, b: int, c: int) -> None:
    activity, user_id = _pick(life.activities, a), _pick(life.people, c)
    if activity:
        change = ({"occurred_at": life.ago(b)}, {"status": "cancelled"}, {"status": "completed"}, {"user_id": user_id})
        life.scene.update("public.activities", activity, **change[b % 4])


def _delete(life: Life, a: int, b: int, c: int) -> None:
    del b, c
    if activity := _pick(life.activities, a):
        life.scene.run("delete from public.activities where id = %s", activity)
        life.activities.remove(activity)


def _prefer(life: Life, a: int, b: int, c: int) -> None:
    if user_id := _pick(life.people, a):
        life.scene.prefer(user_id, SCENARIOS[b % 4], ("all", "push")[c % 2], c % 3 == 0)


def _no_preference(life: Life, a: int, b: int, c: int) -> None:
    del b, c
    life.scene.run("delete from public.notification_preferences where user_id = %s", _pick(life.people, a))


def _away(life: Life, a: int, b: int, c: int) -> None:
    if user_id := _pick(life.people, a):
        begins = (life.ago(b), life.ahead(b), None)[b % 3]
        ends = max(life.ago(c), life.ahead(c), key=lambda at: at if c % 2 else life.ago(at > life.now))
        ends = ends if begins and c < 10 and ends > begins else None
        life.scene.update("public.users", user_id, away_from=begins, away_until=ends)


def _activate(life: Life, a: int, b: int, c: int) -> None:
    if user_id := _pick(life.people, a):
        if b % 3 == 0:
            life.scene.update("public.users", user_id, is_active=False)
        else:
            life.scene.update("public.users", user_id, is_active=True, reactivated_at=life.ago(c))


def _move(life: Life, a: int, b: int, c: int) -> None:
    if user_id := _pick(life.people, a):
        role = ("coordinator", "peer_mentor", "peer_mentor")[b % 3]
        life.scene.update("public.users", user_id, role=role, time_zone=(None, *ZONES)[c % 5])


def _certify(life: Life, a: int, b: int, c: int) -> None:
    if user_id := _pick(life.people, a):
        name = life.name("certificate")
        expires_at = life.ahead(b) if c else life.ago(b)
        columns = {"user_id": user_id, "name": name, "expires_at": expires_at, "created_at": life.now}
        life.scene.insert("public.certificates", id=named(name), **columns)
        life.certificates.append(named(name))


def _recertify(life: Life, a: int, b: int, c: int) -> None:
    certificate, other = _pick(life.certificates, a), _pick(life.certificates, a + 1 + c)
    if certificate is None:
        return
    changes: tuple[dict[str, Any], ...] = (
        {"revoked_at": life.now if c % 3 else None},
        {"expires_at": life.ahead(c)},
        {"replaced_by": other if other != certificate else None},
    )
    if b % 4 == 3:
        life.scene.run("delete from public.certificates where id = %s", certificate)
        life.certificates.remove(certificate)
    else:
        life.scene.update("public.certificates", certificate, **changes[b % 4])


def _rule(life: Life, a: int, b: int, c: int) -> None:
    if len(life.rules) < 5:
        life.rule(a, b, c)


def _edit_rule(life: Life, a: int, b: int, c: int) -> None:
    chosen = _pick(life.rules, a)
    if chosen is None:
        return
    rule, kind = chosen
    if c == 11:
        life.scene.run("delete from public.scenario_rules where id = %s", rule)
        life.rules.remove(chosen)
    elif b % 3 == 0:
        life.scene.update("public.scenario_rules", rule, is_enabled=c % 2 == 0)
    elif b % 3 == 1 and kind != "certification_expiry":
        activation = ("all", "skip", "spread")[c % 3]
        spread_days = 1 if activation == "spread" else None
        columns = {"activation": activation, "spread_days": spread_days, "effective_from": life.now}
        life.scene.update("public.scenario_rules", rule, is_enabled=True, **columns)
    else:
        life.scene.update("public.scenario_rules", rule, **parameters(b, c))


def _coordinate(life: Life, a: int, b: int, c: int) -> None:
    del c
    user_id, coordinator = _pick(life.people, a), _pick(life.people, b)
    if user_id != coordinator:
        life.scene.run(
            "insert into public.user_coordinators values (%s, %s, %s) on conflict do nothing",
            *(life.scene.id, user_id, coordinator),
        )


def _read(life: Life, a: int, b: int, c: int) -> None:
    del b, c
    life.scene.run("update public.notifications set read_at = %s where user_id = %s", life.now, _pick(life.people, a))


def _deliver(life: Life, a: int, b: int, c: int) -> None:
    del a, b, c
    life.scene.deliver(life.now)


def _join(life: Life, a: int, b: int, c: int) -> None:
    if len(life.people) < 5:
        life.person(a, b, c)


def _recompute(life: Life, a: int, b: int, c: int) -> None:
    del a, b, c
    life.scene.call("public.drain_statistics_marks", 1000, life.now)


CHANGES: dict[str, Callable[[Life, int, int, int], None]] = {
    "log": _log,
    "edit": _edit,
    "delete": _delete,
    "prefer": _prefer,
    "no preference": _no_preference,
    "away": _away,
    "activate": _activate,
    "move": _move,
    "certify": _certify,
    "recertify": _recertify,
    "rule": _rule,
    "edit rule": _edit_rule,
    "coordinate": _coordinate,
    "read": _read,
    "deliver": _deliver,
    "join": _join,
    "recompute": _recompute,
}
