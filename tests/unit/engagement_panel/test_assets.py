"""The page's own files: what they must not contain, and that they say the same as the command line."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from attend import panel

REPOSITORY = Path(__file__).parents[3]
ASSETS = REPOSITORY / "functions" / "engagement_panel" / "assets"
OWN = sorted(path for path in ASSETS.glob("*") if path.suffix in {".js", ".css", ".svg"})
NODE = Path(sys.executable).parent / "node"


def run(module: str, expression: str, given: Any = None) -> Any:
    """What an expression over a module's exports is, by node."""
    script = (
        f"import * as m from {json.dumps((ASSETS / module).as_uri())};"
        f"const given = {json.dumps(given)};"
        f"process.stdout.write(JSON.stringify({expression}));"
    )
    done = subprocess.run(
        [NODE, "--input-type=module", "--no-warnings", "-e", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_text_becomes_markup_and_nobody_else_is_asked(path: Path) -> None:
    text = path.read_text().replace("there is no innerHTML", "")
    sinks = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|srcdoc"
    assert not re.search(sinks, text)
    assert set(re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]{2,}", text)) <= {"http://www.w3.org"}


def test_the_chart_library_is_the_published_one_with_its_licence() -> None:
    published = REPOSITORY / "node_modules" / "chart.js"
    for ours, theirs in (("chart.umd.min.js", "dist/chart.umd.min.js"), ("chart.LICENSE.md", "LICENSE.md")):
        digests = {
            hashlib.sha256(file.read_bytes()).hexdigest() for file in (ASSETS / "vendor" / ours, published / theirs)
        }
        assert len(digests) == 1, ours
    pinned = json.loads((REPOSITORY / "package.json").read_text())["devDependencies"]["chart.js"]
    assert f"Chart.js v{pinned}\n" in (ASSETS / "vendor" / "chart.umd.min.js").read_text()
    assert "MIT" in (ASSETS / "vendor" / "chart.LICENSE.md").read_text()


def test_both_languages_have_every_word_and_the_same_places_in_it() -> None:
    words = run("words.js", "m.WORDS")
    places = {
        language: {word: sorted(re.findall(r"\{(\w+)\}", text)) for word, text in said.items()}
        for language, said in words.items()
    }
    assert places["es"] == places["en"]
    assert all(text.strip() for said in words.values() for text in said.values())
    # The document has this one word, whatever the page's language.
    assert words["es"]["ambassador"] == words["en"]["ambassador"] == "Embajador potencial"


def test_every_word_is_used_and_every_used_word_is_there() -> None:
    words = set(run("words.js", "Object.keys(m.WORDS.es)"))
    page = (ASSETS.parent / "page.html").read_text()
    sources = "".join(path.read_text() for path in OWN if path.suffix == ".js" and path.name != "words.js")
    named = set(re.findall(r'data-t="(\w+)"', page)) | set(re.findall(r'\bt\("(\w+)"', sources))
    assert named <= words
    unused = {word for word in words - named if not re.search(rf'["`]{word}["`]', sources)}
    # Named by what the database or an error says.
    by_value = {"tab7", "tab14", "tab30", "away", "slow", "outdated"}
    by_value |= {"morning_08_12", "afternoon_12_17", "evening_17_20"}
    assert unused - by_value == set()


CELLS: list[Any] = [
    *("=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\tx", "\rx", "\nx", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"),
    *("Ana", "O'Hara", 'Ana "la profe"', "Vera, Ana", "dos\nlíneas", "dos\r\nlíneas", "", " ", "=", "a=b", "Ñandú 😀"),
    *("<script>alert(1)</script>", "'=1", "\u00a0=1", "\u2003-x", "\x1c=1", "\x85+1", 0, 7, -3, 12.5, None),
    *(7.0, 0.0, 1.25e-05, 1e-7, -2.5e-9, 0.30000000000000004, 12345678.9, -2.0),
    *(
        "\ufeff=1",
        "a;=1",
        "a; \u00a0@x",
        "a\t-1",
        "a\n=1",
        "a\r\n\r\n +1",
        ";=1",
        '"";=1',
        "a;b",
        "a;;=1",
        "a\x1c=1",
        "a;\ufeff\x85=1",
    ),
]


def test_a_file_from_the_page_is_that_of_the_command_line() -> None:
    rows = [{"student_id": at, "full_name": value} for at, value in enumerate(CELLS)]
    file = io.StringIO(newline="")
    panel.csv_writer(file, ("student_id", "full_name"))(rows)
    said = run("export.js", "m.lines(['student_id', 'full_name'], given)", rows)
    assert "student_id,full_name\r\n" + said == file.getvalue()
