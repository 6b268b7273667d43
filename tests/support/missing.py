"""What a machine may lack that some tests need. In CI, which installs it, nobody would read that they were skipped."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

_IN_CI = os.environ.get("CI", "").lower() in {"true", "1"}


def skip_or_fail(what: str) -> NoReturn:
    """Skips the test on a developer's machine, saying what to install; fails it in CI."""
    if _IN_CI:
        pytest.fail(what)
    pytest.skip(what)


def skip_without(is_there: bool, what: str) -> pytest.MarkDecorator:
    """The same as a mark: in CI the test runs, and fails without it."""
    return pytest.mark.skipif(not is_there and not _IN_CI, reason=what)
