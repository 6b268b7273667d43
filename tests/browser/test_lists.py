"""What the page shows of a school: filter, order, tabs, notes, files, languages."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, Manager
from tests.support.browser import Watched
from tests.support.school import School

pytestmark = pytest.mark.embedded

type Look = Callable[..., Watched]

MANY = 1_234
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def active(school: School, **least: float) -> list[str]:
    """Names of module 12's and 14's rows, in the view's own order."""
    rows = school.view("engagement_student_activity_v")
    days, below = least.get("days", 0), least.get("below", 1e9)
    return [
        row["full_name"]
        for row in rows
        if row["days_since_last_checkin"] is not None and days <= row["days_since_last_checkin"] < below
    ]


def many(school: School, students: int) -> None:
    """Students of two levels, all of whom came eight days ago."""
    school.database.execute(
        "insert into public.students (organization_id, student_id, full_name, level)"
        " select %s, n, 'Estudiante ' || n, case n %% 2 when 0 then 'A1' else 'B2, tarde' end"
        " from generate_series(1, %s) n",
        (school.id, students),
    )
    school.database.execute(
        "insert into public.student_attendance (organization_id, student_id, checkin_time, minutes)"
        " select %s, n, now() - make_interval(hours => 200), 60 from generate_series(1, %s) n",
        (school.id, students),
    )


def saved(page: Watched, click: str, folder: Path) -> list[list[str]]:
    """The rows of the file that a button gives, header first."""
    with page.page.expect_download() as waiting:
        page.page.click(click)
    file = folder / waiting.value.suggested_filename
    waiting.value.save_as(file)
    return list(csv.reader(io.StringIO(file.read_bytes().decode("utf-8-sig"), newline="")))


def test_the_lists_are_the_views_rows_in_the_views_order(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    assert page.names("at-risk") == active(head.school, days=7, below=14)[:50]
    for days, below in ((14, 30), (30, 1e9)):
        page.page.click(f"#tab-{days}")
        page.wait_complete()
        assert page.names("at-risk") == active(head.school, days=days, below=below)[:50]
    rows = head.school.view("engagement_student_activity_v")
    engaged = [row for row in rows if row["sessions_30d"] >= 5 and (row["consistency_score"] or 0) >= 60]
    engaged.sort(key=lambda row: (-row["consistency_score"], row["student_id"]))
    assert page.names("high-engagement") == [row["full_name"] for row in engaged[:50]]
    chips = page.page.locator("#high-engagement tbody tr", has_text="Embajador potencial").count()
    assert chips == sum(row["consistency_score"] >= 85 for row in engaged[:50]) > 0
    dual = [row["full_name"] for row in head.school.view("engagement_dual_risk_students_v")]
    assert page.names("dual-risk") == dual[:50]
    returned = [row["full_name"] for row in head.school.view("engagement_recent_reactivated_14d_v")]
    assert page.names("reactivated") == returned[:50]


def test_the_charts_have_the_views_figures_for_whoever_does_not_see_them(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    for part, view, label, value in (
        ("session-frequency", "engagement_session_frequency_30d_v", "bin_label", "student_count"),
        ("dayparts", "engagement_daypart_retention_v", "daypart", "return_rate"),
    ):
        page.page.click(f"#{part} summary")
        shown = page.page.locator(f"#{part} details tbody tr").all()
        rows = head.school.view(view)
        assert len(shown) == len(rows)
        if label == "bin_label":
            expected = [[row[label], str(row[value])] for row in rows]
            assert [row.locator("th, td").all_inner_texts()[:2] for row in shown] == expected
    assert page.page.locator("#weekdays details tbody tr").count() == 7
    told = page.page.locator("#session-frequency canvas").get_attribute("aria-label")
    assert told is not None
    assert "11+: " in told


def test_a_level_filters_every_list_and_the_figures(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    everybody = page.page.locator("#figures li").first.inner_text()
    # Who is away, and of which level, is another school's every hour.
    level = next(level for level in page.column("at-risk", 1) if level != "—")
    page.page.select_option("#level", label=level)
    page.wait_complete()
    for part in ("at-risk", "dual-risk", "high-engagement", "reactivated"):
        assert set(page.column(part, 1)) <= {level}
    assert page.column("at-risk", 1)
    assert page.page.locator("#figures li").first.inner_text() != everybody
    page.page.select_option("#level", label="Sin nivel")
    page.wait_complete()
    assert set(page.column("at-risk", 1)) <= {"—"}
    page.page.select_option("#level", "all")
    page.wait_complete()
    assert page.page.locator("#figures li").first.inner_text() == everybody


def test_a_level_may_be_written_as_anybody_likes(look: Look, manager: Manager) -> None:
    levels = ["A1, (noche)", 'Grupo "uno"', "50%", "a.b:c", "Señal & ruido", "b\\c"]
    for number, level in enumerate(levels, 1):
        manager.school.student(number, full_name=f"Alguien {number}", level=level)
        manager.school.came(number, 9)
    page = look().sign_in(manager.email, PASSWORD)
    for number, level in enumerate(levels, 1):
        page.page.select_option("#level", label=level)
        page.wait_complete()
        assert page.names("at-risk") == [f"Alguien {number}"], level


def test_no_level_stays_chosen_when_its_last_student_has_got_one(look: Look, manager: Manager) -> None:
    manager.school.student(1)
    manager.school.student(2, level="A1")
    page = look().sign_in(manager.email, PASSWORD)
    page.page.select_option("#level", label="Sin nivel")
    page.wait_complete()
    manager.school.database.execute(
        "update public.students set level = 'A1' where organization_id = %s", (manager.school.id,)
    )
    page.page.click("#refresh")
    expect(page.status()).to_have_text("Actualizado.")
    assert page.page.locator("#level").evaluate("(select) => select.selectedOptions[0]?.label") == "Sin nivel"
    expect(page.page.locator("[data-figure=students] strong")).to_have_text("0")


def test_a_heading_sorts_and_sorts_the_other_way(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    name = page.page.locator("#at-risk th button").first
    before = page.names("at-risk")
    name.click()
    ascending = page.names("at-risk")
    assert sorted(ascending) == sorted(before)
    assert ascending != before
    expect(page.page.locator("#at-risk th").first).to_have_attribute("aria-sort", "ascending")
    name.click()
    assert page.names("at-risk") == ascending[::-1]
    expect(page.page.locator("#at-risk th").first).to_have_attribute("aria-sort", "descending")
    page.page.locator("#at-risk thead th").nth(3).locator("button").click()
    visits = [int(cell) for cell in page.column("at-risk", 3)]
    assert visits == sorted(visits, reverse=True)


def test_accents_stand_where_spanish_has_them(look: Look, manager: Manager) -> None:
    for number, name in enumerate(("Zoe", "Ñusta", "Óscar", "Nora", "Ana", "Álvaro"), 1):
        manager.school.student(number, full_name=name)
        manager.school.came(number, 9)
    page = look().sign_in(manager.email, PASSWORD)
    page.page.locator("#at-risk th button").first.click()
    assert page.names("at-risk") == ["Álvaro", "Ana", "Nora", "Ñusta", "Óscar", "Zoe"]


def test_the_tabs_are_one_stop_with_arrows_between_them(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    page.page.focus("#tab-7")
    for key, tab in (
        ("ArrowRight", 14),
        ("ArrowRight", 30),
        ("ArrowRight", 7),
        ("ArrowLeft", 30),
        ("Home", 7),
        ("End", 30),
    ):
        page.page.keyboard.press(key)
        expect(page.page.locator(f"#tab-{tab}")).to_be_focused()
        expect(page.page.locator(f"#tab-{tab}")).to_have_attribute("aria-selected", "true")
        assert page.page.locator("#at-risk-tabs [tabindex='0']").count() == 1
    page.wait_complete()
    assert page.names("at-risk") == active(head.school, days=30)[:50]
    page.page.keyboard.press("Tab")
    expect(page.page.locator("#at-risk-panel")).to_be_focused()


def test_a_school_without_students_says_so_and_is_no_error(look: Look, manager: Manager) -> None:
    page = look().sign_in(manager.email, PASSWORD)
    panel = page.page.locator("#panel")
    expect(panel).to_contain_text("Nadie lleva ausente 7\u201313 días.")
    expect(panel).to_contain_text("No hay estudiantes activos.")
    assert page.page.locator("[role=alert]", has_text=re.compile(r"\S")).count() == 0


def test_names_are_text_whatever_they_say(look: Look, manager: Manager) -> None:
    manager.school.student(1, full_name=HOSTILE, level="<b>nivel</b>")
    manager.school.came(1, 9)
    page = look().sign_in(manager.email, PASSWORD)
    assert page.names("at-risk") == [HOSTILE]
    page.page.click("#at-risk .name")
    expect(page.page.locator("#student-name")).to_have_text(HOSTILE)
    page.page.fill("#note", HOSTILE)
    page.page.click("#save-note")
    expect(page.page.locator("#notes li p").first).to_have_text(HOSTILE)
    page.page.keyboard.press("Escape")
    page.page.select_option("#level", label="<b>nivel</b>")
    page.wait_complete()
    assert page.page.locator("main img, main script, main b, dialog img, dialog script").count() == 0
    assert "owned" not in page.page.title()


def test_a_note_is_there_after_a_reload_with_author_and_time(look: Look, manager: Manager) -> None:
    manager.school.student(1, full_name="Ana Paredes")
    manager.school.came(1, 9)
    page = look().sign_in(manager.email, PASSWORD)
    page.page.click("#at-risk .name")
    page.page.fill("#note", "Su madre está enferma.\nVuelve el lunes.")
    page.page.click("#save-note")
    expect(page.status()).to_have_text("Nota guardada.")
    page.page.reload()
    page.wait_complete()
    expect(page.page.locator("#at-risk tbody")).to_contain_text("1 nota")
    page.page.click("#at-risk .name")
    note = page.page.locator("#notes li")
    expect(note).to_have_count(1)
    expect(note.locator("p").first).to_have_text("Su madre está enferma.\nVuelve el lunes.", use_inner_text=True)
    expect(note.locator(".author")).to_have_text(manager.name)
    kept = manager.school.database.rows(
        "select n.body, to_char(n.created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI') as at, u.full_name"
        " from public.student_notes n join public.users u on u.id = n.author_id where n.organization_id = %s",
        (manager.school.id,),
    )
    assert [(row["body"], row["full_name"]) for row in kept] == [
        ("Su madre está enferma.\nVuelve el lunes.", manager.name)
    ]
    told = note.locator("time").get_attribute("datetime")
    assert told is not None
    assert told.startswith(kept[0]["at"])


def test_a_colleague_sees_the_note_and_may_not_delete_it(look: Look, manager: Manager) -> None:
    manager.school.student(1, full_name="Ana Paredes")
    manager.school.came(1, 9)
    colleague = Manager(manager.school, name="Óscar Ñauta")
    page = look().sign_in(manager.email, PASSWORD)
    page.page.click("#at-risk .name")
    page.page.fill("#note", "Hablé con ella")
    page.page.click("#mark-contacted")
    expect(page.page.locator("#notes li")).to_contain_text("Contactado")
    expect(page.page.locator("#notes li button")).to_have_count(1)
    other = look().sign_in(colleague.email, PASSWORD)
    expect(other.page.locator("#at-risk tbody")).to_contain_text("Contacto")
    other.page.click("#at-risk .name")
    expect(other.page.locator("#notes li .author")).to_have_text(manager.name)
    expect(other.page.locator("#notes li button")).to_have_count(0)
    page.page.click("#notes li button")
    expect(page.page.locator("#notes li")).to_have_text("Todavía no hay notas.")


def test_an_empty_note_is_not_sent(look: Look, manager: Manager) -> None:
    manager.school.student(1)
    manager.school.came(1, 9)
    page = look().sign_in(manager.email, PASSWORD)
    page.page.click("#at-risk .name")
    page.page.fill("#note", "   ")
    page.page.click("#save-note")
    expect(page.page.locator("#note-error")).to_have_text("Escribe algo antes de guardar.")
    assert not [request for request in page.requests if request.method == "POST" and "/rest/v1/" in request.url]


def test_the_file_of_the_roster_has_every_student_once(look: Look, manager: Manager, tmp_path: Path) -> None:
    many(manager.school, MANY)
    page = look().sign_in(manager.email, PASSWORD)
    header, *rows = saved(page, "#export-roster", tmp_path)
    assert header[:3] == ["student_id", "full_name", "level"]
    assert [int(row[0]) for row in rows] == list(range(1, MANY + 1))
    expect(page.status()).to_contain_text(f"{MANY:,}".replace(",", "."))
    assert (
        max(int(request.url.split("limit=")[1].split("&")[0]) for request in page.requests if "limit=" in request.url)
        <= 1000
    )


def test_a_lists_file_has_all_its_rows_and_no_others(look: Look, manager: Manager, tmp_path: Path) -> None:
    many(manager.school, MANY)
    page = look().sign_in(manager.email, PASSWORD)
    assert len(page.names("at-risk")) == 50
    page.page.select_option("#level", label="B2, tarde")
    page.wait_complete()
    header, *rows = saved(page, "#at-risk [data-export]", tmp_path)
    assert [int(row[0]) for row in rows] == list(range(1, MANY + 1, 2))
    assert {row[header.index("level")] for row in rows} == {"B2, tarde"}
    (name,) = [path.name for path in tmp_path.iterdir()]
    assert re.fullmatch(r"at-risk-7-\d{4}-\d\d-\d\d\.csv", name)


def test_what_a_spreadsheet_would_run_is_made_text(look: Look, manager: Manager, tmp_path: Path) -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", '=HYPERLINK("http://x","y")', "\uff1d1", " =1"]
    harmless = ['María "Mía" Núñez', "Núñez, María", "dos\nlíneas"]
    for number, name in enumerate([*hostile, *harmless, "Ana;=1"], 1):
        manager.school.student(number, full_name=name, level="-B1")
    page = look().sign_in(manager.email, PASSWORD)
    _, *rows = saved(page, "#export-roster", tmp_path)
    assert [row[1] for row in rows] == [*(f"'{name}" for name in hostile), *harmless, "Ana;'=1"]
    assert {row[2] for row in rows} == {"'-B1"}


def test_the_page_speaks_the_browsers_language_and_remembers_another(look: Look, head: Manager) -> None:
    page = look(locale="en-GB").sign_in(head.email, PASSWORD)
    expect(page.page.locator("#at-risk-title")).to_have_text("Who needs you")
    assert page.page.locator("html").get_attribute("lang") == "en"
    names = page.names("at-risk")
    page.page.select_option("#language", "es")
    expect(page.page.locator("#at-risk-title")).to_have_text("Quién te necesita")
    expect(page.page.locator("#tab-7")).to_contain_text("7\u201313 días")
    assert page.page.locator("html").get_attribute("lang") == "es"
    assert page.names("at-risk") == names
    page.page.reload()
    page.wait_complete()
    expect(page.page.locator("#sign-out")).to_have_text("Salir")


def test_ten_thousand_students_are_shown_and_saved(look: Look, manager: Manager, tmp_path: Path) -> None:
    many(manager.school, 10_000)
    page = look().sign_in(manager.email, PASSWORD)
    assert "10.000" in page.page.locator("#figures li").first.inner_text()
    assert len(page.names("at-risk")) == 50
    _, *rows = saved(page, "#export-roster", tmp_path)
    assert len({row[0] for row in rows}) == len(rows) == 10_000


def test_a_file_bears_the_day_that_it_is_at_the_school(look: Look, manager: Manager, tmp_path: Path) -> None:
    # Of these two, one always has another day than London.
    now = datetime.now(UTC)
    zone = ZoneInfo("Pacific/Kiritimati" if now.hour >= 11 else "Etc/GMT+12")
    manager.school.setting("panel_time_zone", zone.key)
    manager.school.student(1)
    page = look().sign_in(manager.email, PASSWORD)
    saved(page, "#export-roster", tmp_path)
    (name,) = [path.name for path in tmp_path.iterdir()]
    assert name == f"roster-{now.astimezone(zone).date()}.csv"


def test_a_chart_says_what_is_missing_and_not_that_nobody_ever_came(look: Look, manager: Manager) -> None:
    # No minutes, outside of all parts of the day, and nobody who is still active.
    manager.school.setting("panel_time_zone", "UTC")
    manager.school.student(1, is_active=False)
    night = datetime.now(UTC).replace(hour=22, minute=0) - timedelta(days=9)
    manager.school.came_at([(1, night, None)])
    page = look().sign_in(manager.email, PASSWORD)
    expect(page.page.locator("#weekdays .empty")).to_have_text("En los últimos 90 días no hay horas anotadas.")
    expect(page.page.locator("#dayparts .empty")).to_have_text("Nadie vino entre las 8 y las 20 en 30 días.")
    expect(page.page.locator("#session-frequency .empty")).to_have_text("No hay estudiantes activos.")
