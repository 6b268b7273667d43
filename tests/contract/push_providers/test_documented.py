"""The stand-ins' answers say where they are from."""

import re

import pytest

from tests.support import expo_server, fcm_server
from tests.support.fcm_server import Documented

PLACES = [
    ("fcm", fcm_server, r"https://(firebase\.google\.com/docs|developers\.google\.com)/\S+"),
    ("expo", expo_server, r"https://docs\.expo\.dev/push-notifications/\S+"),
]


@pytest.mark.parametrize(("module", "page"), [place[1:] for place in PLACES], ids=[place[0] for place in PLACES])
def test_every_answer_names_its_page_and_the_day_it_was_read(module: object, page: str) -> None:
    answers = {name: value for name, value in vars(module).items() if isinstance(value, Documented)}
    assert len(answers) >= 5
    for name, answer in answers.items():
        assert re.fullmatch(page, answer.page), name
        assert re.fullmatch(r"2026-\d\d-\d\d", answer.read), name
