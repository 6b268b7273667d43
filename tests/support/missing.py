"""What a machine may lack that some tests need."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def skip_or_fail(what: str) -> NoReturn:
    """Skips the test on a developer's machine, saying what to install; fails it in CI, where `.ci/run` installs it."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(what)
    pytest.skip(what)
