"""`attend decide` and `attend quarantine`: effects, and only when they are wanted."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from attend.scenarios import deciding
from attend.scenarios.deciding import NOT_FINISHED
from tests.integration.cli.conftest import Attend, Office


def test_without_a_yes_nobody_is_told(attend: Attend, office: Office) -> None:
    office.person("Kari", quiet_days=25)
    ran = attend("decide")
    assert (ran.status, ran.out, office.notified()) == (2, "", [])
    assert "Evaluate 1 person of Norra now" in ran.err
    assert "Say --yes. `attend dry-run` shows what would happen." in ran.err


def test_on_a_terminal_it_asks(terminal: Callable[..., tuple[int, str]], office: Office) -> None:
    user_id = office.person("Kari", quiet_days=25)
    status, _ = terminal("decide", answers=[("[y/N]", "n")])
    assert (status, office.notified()) == (1, [])
    status, shown = terminal("decide", answers=[("[y/N]", "y")])
    assert (status, office.notified(), "Evaluated 1 person" in shown) == (0, [user_id], True)


def test_everybody_is_evaluated_page_by_page_and_counted(
    attend: Attend, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "PEOPLE_A_PAGE", 7)
    office.mentors(30)
    office.person("Ola", quiet_days=2)
    ran = attend("decide", "--yes")
    assert ran.out.startswith("Evaluated 31 people\n\n")
    assert [line.split()[:3] for line in ran.out.splitlines()[2:]] == [
        ["inactivity", "sent", "30"],
        ["inactivity", "not_matched", "1"],
    ]
    assert len(set(office.notified())) == 30
    again = json.loads(attend("decide", "--yes", "--json").out)
    assert again == {"people": 31, "counts": {"inactivity": {"cooling_down": 30, "not_matched": 1}}}


def test_only_those_who_are_named_are_evaluated(attend: Attend, office: Office) -> None:
    kari, nils = office.person("Kari", quiet_days=25), office.person("Nils", quiet_days=25)
    office.person("Ola", quiet_days=25)
    assert attend("decide", "--user", "Kari", "--user", str(nils), "--yes").status == 0
    assert office.notified() == sorted([kari, nils])
    ran = attend("decide", "--user", "Tea", "--yes")
    assert (ran.status, "nobody in Norra" in ran.err) == (2, True)


def test_quarantine_is_listed_explained_and_retried(attend: Attend, office: Office) -> None:
    kari, nils = office.person("Kari", quiet_days=25), office.person("Nils", quiet_days=25)
    assert attend("quarantine", "list").out == "Nobody of Norra is in quarantine.\n"
    office.database.execute(
        "insert into private.quarantine (organization_id, user_id, reason, message, since)"
        " select organization_id, id, '22012', 'division by zero', now() from public.users"
    )
    listed = attend("quarantine", "list").out
    assert ("Kari" in listed, str(nils) in listed, "22012  division by zero" in listed) == (True, True, True)
    assert len(json.loads(attend("quarantine", "list", "--json").out)) == 2
    assert "In quarantine since" in attend("explain", "Kari").out
    attend("decide", "--yes")
    assert office.notified() == []
    assert attend("quarantine", "retry", "Kari").status == 0
    assert office.notified() == [kari]
    assert attend("quarantine", "retry").out.startswith("Evaluated 1 person\n")
    assert office.notified() == sorted([kari, nils])
    ran = attend("quarantine", "retry")
    assert (ran.status, "Nobody to retry" in ran.err) == (2, True)


def test_whoever_fails_again_is_back_and_the_status_says_so(attend: Attend, office: Office) -> None:
    bad = office.person("Kari", quiet_days=25)
    good = office.person("Nils", quiet_days=25)
    # A trigger of the project's own that one person's row breaks.
    office.database.execute(
        "create function public.fail() returns trigger language plpgsql as $$ begin perform 1 / 0; return new; end $$"
    )
    office.database.execute(
        f"create trigger fails before insert on public.notifications for each row when (new.user_id = '{bad}')"
        " execute function public.fail()"
    )
    try:
        ran = attend("decide", "--yes")
        assert (ran.status, office.notified()) == (NOT_FINISHED, [good])
        assert "quarantined  22012  1  cannot be evaluated" in " ".join(ran.out.split("\n"))
        assert attend("quarantine", "retry", "Kari").status == NOT_FINISHED
        assert "division by zero" in attend("quarantine", "list").out
    finally:
        office.database.execute("drop function public.fail() cascade")
    assert attend("quarantine", "retry", "Kari").status == 0
    assert office.notified() == sorted([bad, good])


def test_a_wrong_key_is_said_in_a_sentence(attend: Attend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "sb_secret_wrong")
    ran = attend("rules", "list")
    assert (ran.status, "SUPABASE_SECRET_KEY" in ran.err, "Traceback" in ran.err) == (1, True, False)
    assert "sb_secret_wrong" not in ran.err
