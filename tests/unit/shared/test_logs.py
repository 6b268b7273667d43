"""shared/logs.py."""

import json
import logging
import time

import pytest

from shared import logs

SECRETS = [
    "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz",
    "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH",
    "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "v1,whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl",
    "Bearer abcdefghijklmnop",
    "kari.nordmann@example.org",
]


@pytest.fixture(autouse=True)
def _logging() -> None:
    logs.configure("debug")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


LOG = logs.get_logger("shared.test")


def test_a_record_is_one_line_of_json_with_what_is_bound(capsys: pytest.CaptureFixture[str]) -> None:
    with logs.bound(request_id="r1", webhook_id="m1", run_id=None):
        LOG.info("marks_drained", marks=3)
    (record,) = lines(capsys)
    assert record["event"] == "marks_drained"
    assert (record["request_id"], record["webhook_id"], record["marks"], record["level"]) == ("r1", "m1", 3, "info")
    assert "run_id" not in record


def test_what_was_bound_is_gone_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    with logs.bound(request_id="r1"):
        pass
    LOG.info("later")
    assert "request_id" not in lines(capsys)[0]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_taken_out_by_its_shape_wherever_it_stands(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    LOG.info("got %s", secret, value=secret, inside={"list": [secret, {"deep": f"x {secret} y"}]})
    logging.getLogger("somebody.else").warning("their %s", secret)
    try:
        raise TypeError(f"cannot use {secret}")
    except TypeError:
        LOG.exception("failed")
    assert secret.removeprefix("Bearer ") not in capsys.readouterr().err


def test_the_password_of_a_url_is_taken_out(capsys: pytest.CaptureFixture[str]) -> None:
    LOG.info("x", url="postgresql://postgres:hunter2@db:5432/postgres")
    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "key",
    [
        *["key", "api_key", "apikey", "webhook-signature", "signature", "x-attend-hook-secret", "Authorization"],
        *["jwtToken", "full_name", "display_name", "email", "phone", "context_data", "body", "record", "old_record"],
    ],
)
def test_secret_and_personal_fields_are_taken_out_by_their_name(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    LOG.info("x", **{key: "Ola N."}, nested={key: {"deeper": "Ola N."}})
    assert "Ola" not in capsys.readouterr().err


def test_words_that_only_contain_a_secret_word_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    LOG.info("x", monkey="banana", tokenizer="fast")
    assert lines(capsys)[0]["monkey"] == "banana"


def test_a_known_secret_is_taken_out_by_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    logs.redaction.know(["plain-but-secret"])
    LOG.info("x", value="header was plain-but-secret")
    assert "plain-but-secret" not in capsys.readouterr().err


def test_an_exception_is_logged_with_frames_and_type(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError("x")
    except KeyError:
        LOG.exception("failed")
    (record,) = lines(capsys)
    assert "test_logs.py" in str(record["exception"])
    assert "builtins.KeyError" in str(record["exception"])


def test_an_exceptions_message_is_kept_only_where_it_cannot_quote_data(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (ValueError("invalid literal: 'Kari Nordmann'"), KeyError("Kari Nordmann")):
        try:
            try:
                raise error
            except (ValueError, KeyError) as cause:
                raise AttributeError("no attribute 'rpc'") from cause
        except AttributeError:
            LOG.exception("failed")
    output = capsys.readouterr().err
    assert "Kari" not in output
    assert "no attribute 'rpc'" in output


def test_a_very_long_value_is_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    LOG.info("x", value="a" * 100_000)
    assert len(capsys.readouterr().err) < 6_000


@pytest.mark.parametrize("text", ["a" * 4_000, "a@" * 2_000, "a." * 2_000, "://a:" * 800, "eyJ" * 1_300, "v1," * 1_300])
def test_redacting_a_hostile_text_takes_no_noticeable_time(text: str) -> None:
    began = time.perf_counter()
    for _ in range(10):
        logs.redaction.text(text)
    assert time.perf_counter() - began < 2


def test_libraries_are_heard_from_warning_on(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("httpx").info("HTTP Request: POST …")
    logging.getLogger("httpx").warning("odd")
    assert [record["event"] for record in lines(capsys)] == ["odd"]


def test_the_level_is_ours_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warning")
    LOG.info("quiet")
    LOG.warning("heard")
    assert [record["event"] for record in lines(capsys)] == ["heard"]


def test_configuring_twice_does_not_write_twice(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    LOG.info("once")
    assert len(lines(capsys)) == 1
