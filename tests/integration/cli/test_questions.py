"""`attend dry-run` and `attend explain`: complete, readable, and refusing what cannot be asked."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from attend.scenarios import store
from tests.integration.cli.conftest import Attend, Office
from tests.support.organisation import NOW, days


def rows_of(out: str) -> tuple[list[dict[str, object]], dict[str, object]]:
    lines = [json.loads(line) for line in out.splitlines()]
    return lines[:-1], lines[-1]


def test_a_dry_run_counts_first_and_then_names_everybody(attend: Attend, office: Office) -> None:
    office.person("Kari Quiet", quiet_days=25)
    office.person("Ola Busy", quiet_days=2)
    office.person("Nils Away", quiet_days=60, away_from=NOW - days(3))
    ran = attend("dry-run", "-o", "Norra")
    header, counts, people = ran.out.split("\n\n")
    assert header.startswith("Dry run of Norra, ")
    assert header.endswith("Europe/Oslo: 3 people, 3 answers")
    assert [line.split(maxsplit=3) for line in counts.splitlines()] == [
        ["inactivity", "away", "1", "away"],
        ["inactivity", "not_matched", "1", "does not match"],
        ["inactivity", "would_send", "1", "would be told"],
    ]
    assert {line.split("  ")[0] for line in people.splitlines()} == {"Kari Quiet", "Ola Busy", "Nils Away"}
    assert next(line for line in people.splitlines() if line.startswith("Ola")).split()[2:4] == ["not_matched", "quiet"]
    assert office.notified() == []


def test_a_gate_filters_the_rows_and_not_the_counts(attend: Attend, office: Office) -> None:
    office.person("Kari Quiet", quiet_days=25)
    office.person("Ola Busy", quiet_days=2)
    out = attend("dry-run", "--gate", "would_send").out
    assert ("2 people, 2 answers" in out, "Kari" in out, "Ola" in out) == (True, True, False)


def test_the_rows_of_everybody_come_however_many_pages_they_take(
    attend: Attend, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PEOPLE_A_PAGE", 7)
    office.mentors(50)
    office.rule("milestone", "Sessions", thresholds=[10, 50])
    rows, summary = rows_of(attend("dry-run", "--json").out)
    assert len(rows) == 150
    assert len({row["user_id"] for row in rows}) == 50
    assert {row["rule_name"] for row in rows} == {"quiet", "Sessions"}
    assert summary["counts"] == {"inactivity": {"would_send": 50}, "milestone": {"not_matched": 100}}
    assert (summary["people"], summary["rows"]) == (50, 150)
    one, _ = rows_of(attend("dry-run", "--json", "--scenario", "milestone").out)
    assert {row["scenario"] for row in one} == {"milestone"}


def test_of_the_past_those_who_came_later_are_passed_over_and_not_the_end(
    attend: Attend, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PEOPLE_A_PAGE", 1)
    office.database.execute("update public.scenario_rule_versions set valid_from = %s", (NOW - days(300),))
    office.mentors(20)  # in the books since this moment
    then = {office.person("Kari", quiet_days=60) for _ in range(5)}
    rows, summary = rows_of(attend("dry-run", "--json", "--at", (NOW - days(30)).isoformat()).out)
    assert {UUID(str(row["user_id"])) for row in rows} == then
    assert summary["counts"] == {"inactivity": {"would_send": 5}}
    text = attend("dry-run", "--at", (NOW - days(364)).isoformat()).out
    assert text.endswith("Europe/Oslo: no rule looks at anybody.\n")


def test_an_explanation_has_values_thresholds_gates_and_when_again(attend: Attend, office: Office) -> None:
    user_id = office.person("Kari Nordmann", quiet_days=25, time_zone="America/Guayaquil")
    office.certificate(user_id, "First aid", days(40))
    office.rule("certification_expiry", "Papers", lead_days=[30, 7])
    office.rule("milestone", "Sessions", thresholds=[1, 50], max_age_days=366, period="all_time")
    lines = attend("explain", "Kari Nordmann").out.splitlines()
    assert lines[0] == "Kari Nordmann, peer mentor"
    assert lines[1].endswith("(America/Guayaquil)")
    crosses = clock(NOW + days(10), -5)
    assert section(lines, "Papers (certification_expiry, version 1)") == [
        "  First aid, 30 days before: does not match.",
        f"    First aid expires {clock(NOW + days(40), -5)}, in 39.9 days; the rule says 30 days before.",
        f"    Eligible on {crosses}, if nothing changes.",
        "  First aid, 7 days before: does not match.",
        f"    First aid expires {clock(NOW + days(40), -5)}, in 39.9 days; the rule says 7 days before.",
        f"    Eligible on {clock(NOW + days(33), -5)}, if nothing changes.",
    ]
    assert section(lines, "quiet (inactivity, version 1)") == [
        "  Would be told.",
        (
            f"    Last completed activity {clock(NOW - days(25), -5)}, 25 days ago; the rule says 21 days. "
            f"That was reached {clock(NOW - days(4), -5)}."
        ),
    ]
    assert section(lines, "Sessions (milestone, version 1)") == [
        "  1 sessions in all: would be told.",
        f"    1 so far. Reached {clock(NOW - days(25), -5)}.",
        "  50 sessions in all: does not match.",
        "    1 so far.",
    ]
    assert lines[-1] == "Told nothing so far."
    only = attend("explain", "Kari Nordmann", "--scenario", "inactivity").out
    assert ("Papers" in only, "quiet" in only) == (False, True)


def clock(at: datetime, offset: int) -> str:
    local = at + timedelta(hours=offset)
    return f"{local:%a} {local.day} {local:%b %Y %H:%M}"


def section(lines: list[str], title: str) -> list[str]:
    rest = lines[lines.index(title) + 1 :]
    return rest[: rest.index("")]


def test_what_was_told_and_held_before_is_told_too(attend: Attend, office: Office) -> None:
    office.person("Kari", quiet_days=25)
    silent = office.person("Silje", quiet_days=25)
    office.database.execute(
        "insert into public.notification_preferences (organization_id, user_id, scenario, channel, is_enabled)"
        " values (%s, %s, 'inactivity', 'all', false)",
        (office.id, silent),
    )
    assert attend("decide", "--yes").status == 0
    told = attend("explain", "Kari").out
    assert "  Told before.\n" in told
    assert "    Told recently. Eligible again on " in told
    assert "quiet, version 1: push waits\n" in told.split("Told so far\n")[1]
    held = attend("explain", "Silje").out
    assert "    Has switched off notifications of inactivity.\n" in held
    assert "quiet, version 1: switched off by the person\n" in held.split("Matched and not told\n")[1]
    document = json.loads(attend("explain", "Silje", "--json").out)
    assert (document["answers"][0]["gate"], document["held"][0]["gate"]) == ("opted_out", "opted_out")
    office.database.execute("delete from public.scenario_rules")
    assert "quiet (deleted), version 1: push waits" in attend("explain", "Kari").out


def test_a_full_day_and_quiet_hours_say_when_they_end(attend: Attend, office: Office) -> None:
    office.setting("notification_daily_cap", "1")
    # Quiet all day but for a minute that is twelve hours away.
    ends = datetime.now(ZoneInfo("Europe/Oslo")).replace(tzinfo=None) + timedelta(hours=12)
    begins = ends + timedelta(minutes=1)
    office.setting("quiet_hours", json.dumps({"from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}"}))
    user_id = office.person("Kari", quiet_days=25)
    office.certificate(user_id, "First aid", days(20))
    office.rule("certification_expiry", "Papers")
    out = attend("explain", "Kari").out
    assert "    Has as many notifications on that day as the organisation allows. Eligible again on " in out
    assert "    In the app at once; pushed " in out
    assert f"{ends:%H:%M}, when quiet hours end." in out


def test_who_is_no_mentor_away_or_gone_is_said(attend: Attend, office: Office) -> None:
    office.person("Cora", role="coordinator")
    office.person("Nils", quiet_days=50, away_from=NOW - days(2))
    office.person("Gunnar", is_active=False)
    assert "Only peer mentors are reminded, and this is a coordinator." in attend("explain", "Cora").out
    assert "Away until further notice." in attend("explain", "Nils").out
    assert "Whoever is no longer active is told nothing." in attend("explain", "Gunnar").out


@pytest.mark.parametrize("command", [("dry-run",), ("explain", "Kari")], ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--at", "2026-11-18T08:00"), ["another instant in every zone", "2026-11-01T08:00+01:00"]),
        (("--at", "yesterday"), ["'yesterday' is no time.", "2026-11-01T08:00+01:00"]),
        (("--at", "2999-01-01T00:00Z"), ["Nothing is known of 2999-01-01T00:00:00Z.", "Ask about a time from 20"]),
        (("--at", "2001-01-01T00:00Z"), ["Nothing is known of 2001-01-01T00:00:00Z.", "Ask about a time from 20"]),
        (("--scenario", "tea"), ["There is no scenario tea.", "inactivity, milestone, certification_expiry"]),
        (("--organization", "Nora"), ["There is no organisation 'Nora'.", "Name one with --organization: 'Norra'."]),
        (("--organization", str(uuid4())), ["There is no organisation", "'Norra'"]),
        (("--tea",), ["No such option"]),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(
    attend: Attend, office: Office, command: tuple[str, ...], arguments: tuple[str, ...], said: list[str]
) -> None:
    office.person("Kari", quiet_days=25)
    ran = attend(*command, *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert [part for part in said if part not in ran.err] == []
    assert "Traceback" not in ran.err


def test_the_range_that_a_refusal_names_can_be_asked(attend: Attend, office: Office) -> None:
    office.person("Kari", quiet_days=25)
    refused = attend("explain", "Kari", "--at", "2001-01-01T00:00Z").err
    earliest, latest = refused.split("a time from ")[1].rstrip(".\n").split(" to ")
    for at in (earliest, latest):
        assert attend("explain", "Kari", "--at", at).status == 0


def test_nobody_and_several_of_a_name_are_said(attend: Attend, office: Office) -> None:
    one, other = office.person("Kari"), office.person("Kari")
    ran = attend("explain", "Kari")
    assert (ran.status, "Several people are called 'Kari'." in ran.err) == (2, True)
    assert (str(one) in ran.err, str(other) in ran.err) == (True, True)
    assert attend("explain", str(one)).status == 0
    nobody = attend("explain", "Tea", "-o", "Norra")
    assert (nobody.status, "nobody in Norra with the full name 'Tea'" in nobody.err) == (2, True)
    assert "nobody with the id" in attend("explain", str(uuid4())).err


def test_of_several_organisations_one_must_be_named(attend: Attend, office: Office) -> None:
    other = Office(office.database)
    ran = attend("dry-run")
    assert (ran.status, "Which organisation?" in ran.err) == (2, True)
    ran = attend("dry-run", "-o", "Norra")
    assert (ran.status, "Several organisations are called 'Norra'." in ran.err) == (2, True)
    assert str(other.id) in ran.err
    assert attend("dry-run", "-o", str(other.id)).status == 0


def test_without_any_organisation_it_says_so(attend: Attend) -> None:
    ran = attend("rules", "list")
    assert (ran.status, "There is none yet in this project." in ran.err) == (2, True)


def test_an_unknown_gate_is_refused_with_those_there_are(attend: Attend) -> None:
    ran = attend("dry-run", "--gate", "tea")
    assert (ran.status, "There is no gate 'tea'." in ran.err, "would_send" in ran.err) == (2, True, True)
