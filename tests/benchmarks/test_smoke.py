"""The benchmarks in their small form: they measure the right thing, and what they measure does the right thing."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import typer
from typer.testing import CliRunner

from attend.bench import cli, measure
from attend.bench.evaluation import run_in_chunks
from attend.bench.measure import SIZES, Figure, WrongResultError
from attend.bench.population import due
from attend.bench.workplace import workplace
from tests.support import browser as browsers

pytestmark = [pytest.mark.slow, pytest.mark.embedded]
app = typer.Typer()
app.callback()(lambda: None)
cli.register(app)
FIELDS = {"table", "case", "size", "ours_ms", "limit_ms", "ratio", "target", "naive_ms"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """Every table at size smoke. Whatever was measured and was wrong has failed the command."""
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    result = CliRunner().invoke(app, ["bench", "--size", "smoke", "--json", str(path)])
    assert result.exit_code == 0, result.output
    assert "ratio" in result.stdout
    assert "scenarios" in result.stdout
    return json.loads(path.read_text())


def test_every_figure_has_the_fields_that_commits_are_compared_by(written: list[dict[str, object]]) -> None:
    assert all(set(figure) == FIELDS for figure in written)
    assert {figure["size"] for figure in written} == {"smoke"}
    assert {figure["table"] for figure in written} == {
        "scenarios",
        "statistics",
        "care",
        "panel",
        "outbox",
        "path",
        "load",
    }
    assert all(count == 1 for count in Counter(figure["case"] for figure in written).values())


def test_every_figure_is_a_ratio_against_a_limit(written: list[dict[str, object]]) -> None:
    for figure in written:
        ratio, ours, limit = figure["ratio"], figure["ours_ms"], figure["limit_ms"]
        assert isinstance(ratio, float), figure
        if isinstance(ours, float) and isinstance(limit, float):
            assert ratio == pytest.approx(ours / limit, rel=1e-3)


@pytest.mark.parametrize(
    "words",
    [
        "first run, one statement",
        "committed chunks",
        "everybody cooling down",
        "one call a person",
        "two workers",
        "one scheduled run through the function",
        "chunk time through the function",
        "50 writes a second for 2 s: change → statistics, p99",
        "activities in one copy (1 bell)",
        "memory of the function",
        "marks drained, against",
        "a person with 50,000 activities",
        "everything rebuilt by two workers",
        "one row: mark only",
        "one row: mark and bell",
        "rows: mark only",
        "notification, p50",
        "notification, p99",
        "one signed call",
        "records in one statement",
        "one record",
        "cases, first night",
        "cases, next night",
        "engagement scores",
        "engagement_inactive_roster_v, of the 200 ms owed",
        "engagement_student_activity_v, against its floor",
        "engagement_recent_reactivated_14d_v, of",
        "engagement_session_frequency_30d_v, of",
        "engagement_daypart_retention_v, of",
        "engagement_dual_risk_students_v, of",
        "engagement_dau_90d_v, of",
        "slowest view, a school of 50 beside",
        "slowest view, a school of 500 beside",
        "one check-in, against no trigger",
        "check-ins in one statement, against no trigger",
        "claimed, judged, worded and recorded, against two plain updates",
        "against two updates and what it must read and write",
        "by 4 workers at once",
        "a batch of the last fifth",
        "one push to a service of 50 ms",
        "what they could take at most",
        "memory while sending",
        "50 writes a second for 6 s: change → notification, p99",
        "people evaluated meanwhile, against their window",
        "backlog back at zero",
    ],
)
def test_the_case_that_is_owed_is_measured(written: list[dict[str, object]], words: str) -> None:
    assert any(words in str(figure["case"]) for figure in written)


def test_the_pages_first_view_is_measured_where_there_is_a_browser(written: list[dict[str, object]]) -> None:
    browsers.executable()
    cases = [str(figure["case"]) for figure in written]
    assert sum("the page's first view, 500 students" in case for case in cases) == 2


def test_one_table_can_be_asked_for_alone() -> None:
    result = CliRunner().invoke(app, ["bench", "--only", "weather"])
    assert result.exit_code == 2


def test_a_wrong_result_is_no_figure() -> None:
    with workplace() as place:
        place.load(100)
        expected = due(place.admin)
        with pytest.raises(WrongResultError, match="101 people"):
            run_in_chunks(place, expected, 101)


def test_sizes_follow_what_is_published() -> None:
    assert SIZES["small"].people == SIZES["small"].scheduled_people == 100_000
    assert SIZES["full"].people == SIZES["full"].scheduled_people == 1_000_000
    assert all(size.rounds >= 3 for size in SIZES.values())


def test_medians_are_of_alternating_runs() -> None:
    order: list[str] = []
    times = iter([5.0, 50.0, 1.0, 10.0, 3.0, 30.0])

    def work(name: str) -> float:
        order.append(name)
        return next(times)

    assert measure.alternating(3, lambda: work("a"), lambda: work("b")) == [3.0, 30.0]
    assert order == ["a", "b"] * 3


def test_percentiles_are_nearest_ranks() -> None:
    values = [float(value) for value in range(1, 101)]
    assert measure.percentile(values, 0.5) == 50
    assert measure.percentile(values, 0.99) == 99
    assert measure.percentile([7.0], 0.99) == 7


def test_a_figure_without_a_limit_has_no_ratio() -> None:
    assert Figure("path", "case", "smoke", 3.0, None, None).as_json()["ratio"] is None
