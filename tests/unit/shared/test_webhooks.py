"""shared/webhooks.py."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook

from shared.errors import NotVerified, SettingInvalid
from shared.webhooks import WebhookVerifier, parse_secrets, sign, verify_shared_secret

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BODY = b'{"type":"BELL"}'


def secret_text(seed: bytes = b"k") -> str:
    return "whsec_" + base64.b64encode(seed * 32).decode()


def secrets(*texts: str) -> tuple[Webhook, ...]:
    return parse_secrets("ATTEND_WEBHOOK_SECRET", SecretStr(" ".join(texts or (secret_text(),))))


VERIFIER = WebhookVerifier(secrets())
SIGNER = secrets()[0]


def signed(body: bytes = BODY, at: datetime = NOW, webhook_id: str = "msg_1") -> dict[str, str]:
    return sign(SIGNER, body, webhook_id=webhook_id, at=at)


def refused(body: bytes, headers: dict[str, str], verifier: WebhookVerifier = VERIFIER) -> None:
    with pytest.raises(NotVerified):
        verifier.verify(body, headers, now=NOW)


def test_the_published_example_of_the_standard_verifies() -> None:
    verifier = WebhookVerifier(secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert verifier.verify(b'{"test": 2432232314}', headers, now=at).id == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@given(body=st.text().map(str.encode), webhook_id=st.from_regex(r"[A-Za-z0-9_:\-]{1,128}", fullmatch=True))
def test_what_is_signed_verifies(body: bytes, webhook_id: str) -> None:
    delivery = VERIFIER.verify(body, signed(body, webhook_id=webhook_id), now=NOW)
    assert delivery.id == webhook_id
    assert delivery.sent_at == NOW


@given(body=st.binary(max_size=200), position=st.integers(0, 1_000), bit=st.integers(0, 7))
def test_one_changed_bit_of_the_body_is_refused(body: bytes, position: int, bit: int) -> None:
    original = body.decode("latin-1").encode() or b"x"
    changed = bytearray(original)
    changed[position % len(changed)] ^= 1 << bit
    refused(bytes(changed), signed(original))


@given(header=st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), value=st.text(max_size=80))
def test_any_other_header_value_is_the_same_refusal_and_never_another_error(header: str, value: str) -> None:
    headers = signed()
    if headers[header] != value:
        refused(BODY, headers | {header: value})


@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()))
def test_headers_made_up_from_nothing_are_refused(headers: dict[str, str]) -> None:
    refused(BODY, headers)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(missing: str) -> None:
    headers = signed()
    del headers[missing]
    refused(BODY, headers)


@pytest.mark.parametrize("offset", [timedelta(minutes=5, seconds=1), timedelta(days=400)])
def test_the_window_holds_both_ways(offset: timedelta) -> None:
    refused(BODY, signed(at=NOW - offset))
    refused(BODY, signed(at=NOW + offset))


@pytest.mark.parametrize("offset", [timedelta(minutes=5), -timedelta(minutes=5)])
def test_within_the_window_a_delivery_is_taken(offset: timedelta) -> None:
    assert VERIFIER.verify(BODY, signed(at=NOW + offset), now=NOW)


@pytest.mark.parametrize("timestamp", ["1e9", "-1", "01", " 1", "1.5", "٣", "99999999999", "999999999999", "nan"])
def test_a_time_stamp_that_is_no_plain_number_is_refused(timestamp: str) -> None:
    refused(BODY, signed() | {"webhook-timestamp": timestamp})


def test_an_id_with_a_dot_is_refused_because_the_signed_text_would_have_two_readings() -> None:
    refused(BODY, signed(webhook_id="msg.1"))


def test_an_old_and_a_new_secret_both_verify_during_rotation() -> None:
    old, new = secret_text(b"o"), secret_text(b"n")
    verifier = WebhookVerifier(secrets(new, old))
    for text in (old, new):
        headers = sign(secrets(text)[0], BODY, webhook_id="msg_1", at=NOW)
        assert verifier.verify(BODY, headers, now=NOW)


def test_a_secret_that_was_retired_no_longer_verifies() -> None:
    refused(BODY, signed(), WebhookVerifier(secrets(secret_text(b"n"))))


@pytest.mark.parametrize("separator", [" ", "  ", ", "])
def test_one_of_several_signatures_is_enough(separator: str) -> None:
    headers = signed()
    other = sign(secrets(secret_text(b"x"))[0], BODY, webhook_id="msg_1", at=NOW)["webhook-signature"]
    many = separator.join([other, "v2,nonsense", "v1a,asymmetric", headers["webhook-signature"]])
    assert VERIFIER.verify(BODY, headers | {"webhook-signature": many}, now=NOW)


@pytest.mark.parametrize("signature", ["", "v1", "v1,", ",", "v1,!!!", "v1,a,b", "v2,{}", "ø" * 50])
def test_a_malformed_signature_is_refused(signature: str) -> None:
    fitting = signed()["webhook-signature"].removeprefix("v1,")
    refused(BODY, signed() | {"webhook-signature": signature.format(fitting)})


def test_a_body_that_is_not_text_is_refused() -> None:
    refused(b"\xff\xfe", signed())


@pytest.mark.parametrize("prefix", ["", "v1,"])
@pytest.mark.parametrize("separator", [" ", "\n", "|"])
def test_secrets_are_read_in_the_forms_they_come_in(prefix: str, separator: str) -> None:
    texts = separator.join(prefix + secret_text(seed) for seed in (b"a", b"b"))
    assert len(parse_secrets("X", SecretStr(texts))) == 2


@pytest.mark.parametrize("text", ["", "   ", "whsec_", "whsec_!!!!", "whsec_YQ==", "not base64 at all"])
def test_a_secret_that_cannot_be_used_is_named_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        parse_secrets("ATTEND_WEBHOOK_SECRET", SecretStr(text))
    assert caught.value.variable == "ATTEND_WEBHOOK_SECRET"
    assert "!!!!" not in str(caught.value.body())


def test_the_shared_secret_is_accepted_only_when_it_is_configured_and_equal() -> None:
    expected = SecretStr("correct horse battery")
    verify_shared_secret(expected, "correct horse battery")
    for configured, given_value in [
        (expected, "wrong"),
        (expected, None),
        (expected, ""),
        (None, "x"),
        (SecretStr(""), ""),
    ]:
        with pytest.raises(NotVerified):
            verify_shared_secret(configured, given_value)


def test_a_shared_secret_with_letters_beyond_ascii_is_known_as_it_arrives() -> None:
    expected = SecretStr("blåbærsyltetøy på brød")
    verify_shared_secret(expected, "blåbærsyltetøy på brød".encode().decode("latin-1"))
    verify_shared_secret(expected, "blåbærsyltetøy på brød")
    for wrong in ("blabarsyltetoy pa brod", "bl\udce5b", "bl\ud800"):
        with pytest.raises(NotVerified):
            verify_shared_secret(expected, wrong)
