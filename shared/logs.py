"""Structured logs, one JSON object a line on stderr, from which secrets and personal text are taken out.

Redaction is by key (what a field is), by shape (what a value looks like) and by value (secrets told to it at start),
and it comes last, so that tracebacks pass through it too. Nothing here opens, connects or starts: the server imports
in a parent and forks.
"""

import logging
import re
import sys
import traceback
from collections.abc import Generator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from shared.errors import AttendError

REDACTED = "[redacted]"
_LONGEST_TEXT = 4_000
_LONGEST_TRACEBACK = 20_000

# Whole words of a key's name, so that "monkey" and "hotkeys" stay readable and "webhook-signature" does not.
_SECRET_WORDS = frozenset(
    {"secret", "secrets", "key", "apikey", "token", "tokens", "jwt", "signature", "signatures", "authorization"}
    | {"password", "passwd", "cookie", "credential", "credentials", "dsn"}
)
_PERSONAL_WORDS = frozenset(
    {"body", "payload", "record", "params", "context", "name", "fullname", "email", "mail", "phone", "address"}
    | {"title", "text", "note", "notes", "content"}
)
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")

_SHAPES = re.compile(
    r"""
      sb_(?:secret|publishable)_[A-Za-z0-9_\-]+             # Supabase API keys
    | (?:v1,)?whsec_[A-Za-z0-9+/=_\-]+                      # signing secrets
    | \bv1a?,[A-Za-z0-9+/=]{16,}                            # signatures
    | \beyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*  # JWTs
    | (?i:\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=\-]{8,})
    | (?<=://)[^/\s:@]+:[^/\s@]+(?=@)                       # user and password of a URL
    # E-mail addresses. Tried at the start of a word only, and possessive: a long word costs its length, not its square.
    | (?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]++@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}
    """,
    re.VERBOSE,
)

# Messages of these speak about code. Any other exception's message may quote the data it stumbled over
# ("invalid literal for int(): 'Kari …'"), so only its type and its frames are logged.
_SPEAKS_OF_CODE = (AttendError, AttributeError, ImportError, NameError, NotImplementedError, TypeError)


class Redaction:
    """A structlog processor that takes out secrets and personal text. `secrets` are exact values to look for."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()

    def know(self, secrets: Sequence[str]) -> None:
        """Take these exact values out from now on, longest first; what is shorter than six characters is no secret."""
        known = {*self._secrets, *(secret for secret in secrets if len(secret) >= 6)}
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def __call__(self, _logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
        """Redact one record."""
        return {key: self._value(key, value) for key, value in event_dict.items()}

    def text(self, text: str, longest: int = _LONGEST_TEXT) -> str:
        """Redact within a text, and shorten it."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        # Shortened before as well as after, with room for what straddles the cut: the shapes cost time.
        short = _SHAPES.sub(REDACTED, text[: longest + 500])[:longest]
        return short if len(text) <= longest else f"{short}… ({len(text)} characters)"

    def _value(self, key: str, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        words = {word.lower() for word in _WORDS.findall(key)}
        if words & _SECRET_WORDS or words & _PERSONAL_WORDS:
            return REDACTED
        if isinstance(value, Mapping):
            mapping = cast("Mapping[object, object]", value)
            return {self.text(str(k)): self._value(str(k), v) for k, v in mapping.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value("", item) for item in cast("Sequence[object]", value)]
        return self.text(str(value), _LONGEST_TRACEBACK if key == "exception" else _LONGEST_TEXT)


redaction = Redaction()


def _format_exception(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    exc_info: Any = event_dict.pop("exc_info", None)
    if not exc_info:
        return event_dict
    error: BaseException | None = sys.exc_info()[1]
    if isinstance(exc_info, BaseException):
        error = exc_info
    elif isinstance(exc_info, tuple):
        error = cast("tuple[Any, BaseException | None, Any]", exc_info)[1]
    if error is not None:
        event_dict["exception"] = format_exception(error)
    return event_dict


def format_exception(error: BaseException) -> str:
    """Frames and types of an exception and its causes; the message only where it cannot quote data."""
    blocks: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        message = f": {current}" if isinstance(current, _SPEAKS_OF_CODE) else ""
        frames = "".join(traceback.format_tb(current.__traceback__))
        # The type first: what is cut off a very deep one are its frames.
        blocks.append(f"{type(current).__module__}.{type(current).__qualname__}{message}\n{frames}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "caused by: ".join(blocks)


class _Stderr(logging.Handler):
    """Writes to whatever `sys.stderr` is at that moment, so that redirecting it later works."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - a line that cannot be written must not fail the work it tells of
            self.handleError(record)


def configure(level: str = "info") -> None:
    """Send structlog's and the standard library's records through one chain. Idempotent; opens nothing."""
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _format_exception,
            redaction,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = _Stderr()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries stay at "warning": httpx writes every URL at "info", one line for each call to the database.
    root.setLevel(logging.WARNING)
    for ours in ("functions", "shared"):
        logging.getLogger(ours).setLevel(level.upper())


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the module's logger; `name` is its `__name__`."""
    return structlog.stdlib.get_logger(name)


@contextmanager
def bound(**values: str | int | None) -> Generator[None]:
    """Bind values (request_id, webhook_id, run_id) to every line logged inside, in this task and those it starts."""
    present: MutableMapping[str, Any] = {key: value for key, value in values.items() if value is not None}
    with structlog.contextvars.bound_contextvars(**present):
        yield
