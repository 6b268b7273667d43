"""The unpacked server and its cache: what is missing is named, what is old is deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attend.stack import installation
from attend.stack.errors import MissingLibraryError
from attend.stack.processes import dead_owner

pytestmark = [pytest.mark.embedded]


def test_a_missing_library_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ldd = tmp_path / "ldd"
    ldd.write_text("#!/bin/sh\necho '  libxml2.so.2 => not found'\necho '  libzstd.so.1 => not found'\n")
    ldd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(MissingLibraryError, match=r"libxml2\.so\.2, libzstd\.so\.1") as caught:
        installation.check_libraries()
    assert "apt-get install libxml2 libzstd1" in caught.value.hint


def test_no_library_is_missing_here() -> None:
    installation.check_libraries()


def test_old_versions_are_deleted_and_current_and_young_ones_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, template = installation.postgres_tree(), installation.template_path(expose_new_tables=True)
    monkeypatch.setenv("ATTEND_CACHE", str(tmp_path))
    old, young = tmp_path / "template-old", tmp_path / "postgres-young"
    current = [tmp_path / tree.name, tmp_path / template.name]
    for folder in (old, young, *current):
        folder.mkdir()
    for folder in (old, *current):
        os.utime(folder, (0, 0))
    installation.forget_old_versions()
    assert sorted(tmp_path.iterdir()) == sorted([young, *current])


@pytest.mark.parametrize(
    ("name", "dead"),
    [
        (f"test-{os.getpid()}-main", False),
        ("test-4194303-main", True),
        ("temporary-4194303-abc-0123", True),
        (".attend-0123456789ab", False),
        ("template-51ee37c19e75bb2d.building", False),
    ],
    # The names of tests are the same in every process that runs them.
    ids=["living", "dead", "dead temporary", "another kind", "being built"],
)
def test_only_temporary_folders_of_dead_processes_are_swept(name: str, dead: bool) -> None:
    assert dead_owner(name) is dead
