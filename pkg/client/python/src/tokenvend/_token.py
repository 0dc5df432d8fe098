"""A token that does not reveal itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Callable, NamedTuple, NoReturn, Union

MAX_MARGIN = 60.0  # seconds before its end from which a token is not returned

ExtraValue = Union[str, float, bool, None]


class Key(NamedTuple):
    """What a token is cached by. An empty subject is the subject ``default``."""

    connection: str
    subject: str = ""
    scope: str = ""


class Times(NamedTuple):
    """The times of an answer, in seconds; instants are on the wall clock."""

    sent: float
    expires_in: float | None
    refresh_in: float
    retry_after: float | None


class Token:
    """An access token.

    It prints without the access token and refuses to be pickled. Only :attr:`value` and
    :attr:`headers` reveal it. Do not change it: all callers of a client share it.
    """

    __slots__ = (
        "_extra",
        "_present",
        "_value",
        "connection",
        "expires_at",
        "id",
        "key",
        "scope",
        "stale",
        "times",
        "type",
    )

    def __init__(self, key: Key, answer: Mapping[str, object], times: Times) -> None:
        """Keep what is useful of a service's answer."""
        value = str(answer["access_token"])
        # A function, so that what walks over the members finds no text.
        self._value: Callable[[], str] = lambda: value
        extra = answer.get("extra")
        self._extra = extra if isinstance(extra, dict) else {}
        present = answer.get("present")
        self._present = present if isinstance(present, dict) else {"prefix": "Bearer "}
        #: Identifies the token in logs.
        self.id = str(answer["token_id"])
        #: The connection's name.
        self.connection = key.connection
        #: The token type of RFC 6749, such as Bearer.
        self.type = str(answer.get("token_type") or "")
        #: What was granted, delimited by spaces.
        self.scope = str(answer.get("scope") or "")
        #: When the token ends; None when that is not known.
        self.expires_at = None if times.expires_in is None else _instant(times.sent + times.expires_in)
        #: Whether the service could not refresh the token.
        self.stale = answer.get("stale") is True
        self.key = key
        self.times = times

    @property
    def value(self) -> str:
        """The access token."""
        return self._value()

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the token, in the way that its provider expects."""
        return {self.header_name: str(self._present.get("prefix") or "") + self.value}

    @property
    def header_name(self) -> str:
        """The name of that header."""
        return str(self._present.get("header") or "Authorization")

    def extra(self, name: str) -> ExtraValue:
        """Return a further value of the provider, such as an instance URL; None when there is none."""
        value = self._extra.get(name)
        return value if isinstance(value, (str, float, int)) else None

    def usable_until(self) -> float:
        """Return the instant from which the token is not returned; without an end: infinity."""
        life = self.times.expires_in
        return float("inf") if life is None else self.times.sent + life - min(MAX_MARGIN, life / 10)

    def lasts(self, now: float, seconds: float) -> bool:
        """Report whether the token ends no sooner than that many seconds after now."""
        life = self.times.expires_in
        return seconds <= 0 or life is None or self.times.sent + life - now >= seconds

    def __repr__(self) -> str:
        """Identify the token without revealing it."""
        return f"token {self.id} of {self.connection} [REDACTED]"

    def __format__(self, spec: str) -> str:
        """Format what :meth:`__repr__` returns."""
        return format(repr(self), spec)

    def __copy__(self) -> Token:
        """Return the token itself."""
        return self

    def __deepcopy__(self, _: object) -> Token:
        """Return the token itself."""
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("a token is not pickled: pass the connection's name, and get the token where it is used")


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
