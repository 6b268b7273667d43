"""`attend rules`: what it shows, what it asks, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.cli.conftest import Attend, Office

type Terminal = Callable[..., tuple[int, str]]


def test_without_rules_it_says_what_that_means(attend: Attend, office: Office) -> None:
    office.database.execute("delete from public.scenario_rules")
    ran = attend("rules", "list")
    assert (ran.status, ran.out) == (
        0,
        "Norra has no rules, so nobody is told anything: attend rules save --help\n",
    )


def test_rules_are_listed_with_what_they_say_and_their_state(attend: Attend, office: Office) -> None:
    office.rule("milestone", "Sessions", thresholds=[100, 50], is_enabled=False, informs_coordinators=True)
    office.rule("certification_expiry", "Papers", lead_days=[7, 30], is_mandatory=True)
    lines = attend("rules", "list", "-o", "Norra").out.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "Papers certification_expiry on version 1 7, 30 days before a certificate expires; whatever they prefer",
        "quiet inactivity on version 1 after 21 days without an activity; again after 14, 3 times in all",
        (
            "Sessions milestone off version 1 at 50, 100 sessions in a year; not later than 7 days after; "
            "tells their coordinators, too"
        ),
    ]
    listed = json.loads(attend("rules", "list", "--json").out)
    assert [rule["name"] for rule in listed] == ["Papers", "quiet", "Sessions"]
    assert listed[1]["threshold_days"] == 21


def test_a_rule_is_shown_with_its_versions(attend: Attend, office: Office) -> None:
    office.database.execute("update public.scenario_rules set threshold_days = 30")
    shown = attend("rules", "show", "quiet").out
    assert str(office.rule_id) in shown
    versions = shown.split("Versions (Europe/Oslo)\n")[1].splitlines()
    assert ["after 21 days" in versions[0], "after 30 days" in versions[1]] == [True, True]
    document = json.loads(attend("rules", "show", str(office.rule_id), "--json").out)
    assert [past["version"] for past in document["versions"]] == [1, 2]


def test_a_preview_says_how_many_more_and_fewer_and_changes_nothing(attend: Attend, office: Office) -> None:
    for quiet_days in (15, 25, 35):
        office.person("Somebody", quiet_days=quiet_days)
    # What a tick has noted of the rule is no part of the change.
    office.database.execute("update private.rule_clocks set evaluated_until = now()")
    ran = attend("rules", "preview", "quiet", "--threshold-days", "30")
    assert ran.out.splitlines() == [
        "quiet (inactivity, on): after 30 days without an activity; again after 14, 3 times in all",
        "  threshold_days: 21 becomes 30",
        "It would match 1 person now: +0 / -1.",
    ]
    new = ("--type", "inactivity", "--name", "Ten", "--enabled", "--threshold-days", "10")
    preview = json.loads(attend("rules", "preview", *new, "--json").out)
    assert (preview["added"], preview["removed"], preview["activations"]["all"]) == (3, 0, 3)
    told = [line.split()[:2] for line in attend("rules", "preview", *new).out.splitlines()[-3:]]
    assert told == [["skip", "0"], ["all", "3"], ["spread", told[2][1]]]
    assert office.rules() == {"quiet": (True, 1)}


def test_in_a_script_a_change_is_refused_until_its_numbers_are_acknowledged(attend: Attend, office: Office) -> None:
    for quiet_days in (15, 25):
        office.person("Somebody", quiet_days=quiet_days)
    change = ("rules", "save", "quiet", "--threshold-days", "10")
    silent = attend(*change)
    assert (silent.status, silent.out) == (2, "")
    assert "Nothing is changed yet: this is +1 / -0 people." in silent.err
    assert "Acknowledge it: --added 1 --removed 0 --activation skip|all|spread" in silent.err
    drifted = attend(*change, "--added", "2", "--removed", "0", "--activation", "all")
    assert drifted.status == 2
    assert "+2 / -0 was acknowledged, now it is +1 / -0. Nothing is changed." in drifted.err
    assert "--added 1 --removed 0" in drifted.err
    undecided = attend(*change, "--added", "1", "--removed", "0")
    assert (undecided.status, "--activation skip" in undecided.err) == (2, True)
    assert office.rules() == {"quiet": (True, 1)}
    saved = attend(*change, "--added", "1", "--removed", "0", "--activation", "skip")
    assert (saved.status, "Saved: quiet (inactivity), version 2, on." in saved.err) == (0, True)
    assert office.rules() == {"quiet": (True, 2)}


def test_a_tolerance_allows_for_a_few(attend: Attend, office: Office) -> None:
    office.person("Somebody", quiet_days=15)
    numbers = ("--added", "3", "--removed", "0", "--activation", "all")
    change = ("rules", "save", "quiet", "--threshold-days", "10", *numbers)
    assert attend(*change, "--tolerance", "1").status == 2
    assert attend(*change, "--tolerance", "2").status == 0


def test_a_new_rule_of_each_type_is_saved_and_tells_the_json(attend: Attend, office: Office) -> None:
    none = ("--enabled", "--added", "0", "--removed", "0", "--json")
    milestone = ("--type", "milestone", "--name", "Hours", "--metric", "hours", "--thresholds", "10,100")
    saved = json.loads(attend("rules", "save", *milestone, *none, "--activation", "spread", "--days", "5").out)
    assert (saved["thresholds"], saved["metric"], saved["activation"]) == ([10, 100], "hours", "spread")
    # Certificates that have not expired yet are what the rule is for: there is nothing to say.
    papers = ("--type", "certification_expiry", "--name", "Papers", "--lead-days", "30,7")
    saved = json.loads(attend("rules", "save", *papers, *none).out)
    assert (saved["lead_days"], saved["activation"]) == ([30, 7], "all")
    assert set(office.rules()) == {"quiet", "Hours", "Papers"}


def test_switching_off_takes_a_yes_and_switching_on_the_numbers(attend: Attend, office: Office) -> None:
    office.person("Somebody", quiet_days=25)
    silent = attend("rules", "disable", "quiet")
    assert (silent.status, "+0 / -1 people" in silent.err, "--yes" in silent.err) == (2, True, True)
    assert attend("rules", "disable", "quiet", "--yes").status == 0
    assert office.rules() == {"quiet": (False, 2)}
    assert attend("rules", "enable", "quiet").status == 2
    assert attend("rules", "enable", "quiet", "--added", "1", "--removed", "0", "--activation", "all").status == 0
    assert office.rules() == {"quiet": (True, 3)}


def test_deleting_takes_a_yes(attend: Attend, office: Office) -> None:
    assert (attend("rules", "delete", "quiet").status, office.rules()) == (2, {"quiet": (True, 1)})
    ran = attend("rules", "delete", "quiet", "--yes")
    assert ("Deleted: quiet (inactivity), version 1" in ran.err, office.rules()) == (True, {})


def test_on_a_terminal_it_asks_what_it_must_know(terminal: Terminal, office: Office) -> None:
    office.person("Somebody", quiet_days=25)
    office.database.execute("update public.scenario_rules set is_enabled = false")
    answers = [("skip, all, spread?", "maybe"), ("One of", "spread"), ("how many days", "10"), ("yes?", "y")]
    status, shown = terminal("rules", "enable", "quiet", answers=answers)
    assert (status, "+1 / -0 people: yes?" in shown) == (0, True), shown
    rule = office.database.rows("select is_enabled, activation, spread_days from public.scenario_rules")[0]
    assert rule == {"is_enabled": True, "activation": "spread", "spread_days": 10}


def test_on_a_terminal_no_means_no(terminal: Terminal, office: Office) -> None:
    office.person("Somebody", quiet_days=25)
    for command in (("save", "quiet", "--threshold-days", "30"), ("disable", "quiet"), ("delete", "quiet")):
        status, shown = terminal("rules", *command, answers=[("[y/N]", "n")])
        assert (status, "Aborted" in shown) == (1, True)
    assert office.rules() == {"quiet": (True, 1)}


def test_on_a_terminal_numbers_that_drift_while_it_asks_are_asked_again(terminal: Terminal, office: Office) -> None:
    office.person("Somebody", quiet_days=25)

    class Late(str):
        """An answer before which somebody else is registered."""

        def encode(self, *_: Any) -> bytes:  # type: ignore[override]
            office.person("Newcomer", quiet_days=25)
            return b"y"

    answers = [("-1 people: yes?", Late("y")), ("-2 people: yes?", "y")]
    status, shown = terminal("rules", "save", "quiet", "--threshold-days", "30", answers=answers)
    assert (status, "The numbers have drifted: +0 / -1 was acknowledged, now it is +0 / -2" in shown) == (0, True)
    assert office.rules() == {"quiet": (True, 2)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("quiet", "--threshold-days", "0"), ["threshold_days cannot be 0.", "Allowed: 1 to 3650."]),
        (("quiet", "--threshold-days", "-3"), ["threshold_days cannot be -3.", "Allowed: 1 to 3650."]),
        (("quiet", "--threshold-days", "99999999999"), ["out of range for type integer"]),
        (("quiet", "--threshold-days", "soon"), ["--threshold-days", "valid integer"]),
        (("quiet", "--max-reminders", "101"), ["Allowed: 1 to 100."]),
        (("quiet", "--priority", "1001"), ["Allowed: 0 to 1000."]),
        (("quiet", "--name", " "), ["Allowed: not blank."]),
        (
            ("quiet", "--lead-days", "3"),
            ["A rule of type inactivity has no lead_days.", "threshold_days, cooldown_days"],
        ),
        (("quiet", "--type", "milestone"), ["A rule keeps its type."]),
        (
            ("Papers", "--lead-days", "400"),
            ["lead_days cannot be 400.", "1 to 20 different whole numbers from 1 to 365"],
        ),
        (("Papers", "--lead-days", "7,7"), ["lead_days cannot be 7, 7."]),
        (("Papers", "--lead-days", "30,soon"), ["'30,soon' is no list of whole numbers.", "--lead-days 30,7"]),
        (("Papers", "--activation", "skip"), ["Certificates that have not expired yet"]),
        (("Sessions", "--metric", "hours"), ["A rule keeps what it counts."]),
        (
            ("--type", "milestone", "--name", "x", "--enabled", "--metric", "cups"),
            ["metric cannot be cups.", "sessions, hours or contacts"],
        ),
        (("Sessions", "--period", "week"), ["Allowed: year or all_time."]),
        (("quiet", "--activation", "maybe"), ["--activation skip"]),
        (("quiet", "--activation", "spread"), ["--activation spread --days 7; allowed: 1 to 365."]),
        (("quiet", "--activation", "spread", "--days", "366"), ["allowed: 1 to 365."]),
        (("quiet", "--activation", "all", "--days", "3"), ["and with nothing else."]),
        (("--type", "inactivity", "--name", "quiet", "--enabled"), ["another rule of this type with the name quiet"]),
        (("--type", "tea", "--name", "x", "--enabled"), ["There is no scenario tea.", "inactivity, milestone, cert"]),
        (("--type", "inactivity", "--name", "x"), ["A new rule needs --type, --name, and --enabled or --disabled."]),
        (("Tea",), ["Norra has no rule 'Tea'.", "There are: 'Papers', 'quiet', 'Sessions'."]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_nonsense_is_refused_with_what_is_allowed(
    attend: Attend, office: Office, arguments: tuple[str, ...], said: list[str]
) -> None:
    office.rule("milestone", "Sessions")
    office.rule("certification_expiry", "Papers")
    ran = attend("rules", "save", *arguments, "--added", "0", "--removed", "0")
    assert (ran.status, ran.out) == (2, "")
    assert [part for part in said if part not in " ".join(ran.err.split())] == []
    assert "Traceback" not in ran.err
    assert {version for _, version in office.rules().values()} == {1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--added", "1"), "--added and --removed go together."),
        (("--added", "-1", "--removed", "0"), "--added -1 is no number of people."),
        (("--added", "0", "--removed", "0", "--tolerance", "-1"), "--tolerance -1 is no number of people."),
    ],
)
def test_what_acknowledges_is_whole_and_no_nonsense(
    attend: Attend, office: Office, arguments: tuple[str, ...], said: str
) -> None:
    ran = attend("rules", "save", "quiet", *arguments)
    assert (ran.status, said in ran.err, office.rules()) == (2, True, {"quiet": (True, 1)})


def test_a_name_that_two_types_share_wants_an_id(attend: Attend, office: Office) -> None:
    other = office.rule("milestone", "quiet")
    ran = attend("rules", "show", "quiet")
    assert (ran.status, "Several rules of Norra are called 'quiet'." in ran.err) == (2, True)
    assert f"{other} (milestone)" in ran.err
    assert attend("rules", "show", str(other)).status == 0
