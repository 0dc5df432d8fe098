"""One cached token, and what is remembered of failures."""

from __future__ import annotations

import threading

from . import _errors
from ._errors import TokenvendError
from ._token import Token

REFRESH_AGAIN = 30.0
REPORT_AGAIN = 600.0
SPREAD = 0.1  # of refresh_in, so that the callers of a fleet do not ask at once


class Entry:
    """The cache entry of one connection, subject and scope. Instants are wall-clock seconds."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._usable = 0.0
        self._fresh = 0.0
        # The longest life that could not be had: asking for as much again is useless before
        # the token needs a refresh.
        self._given = 0.0
        self._failure: TokenvendError | None = None
        self._retry_at = 0.0
        self._report_after = 0.0

    def lookup(self, now: float, min_ttl: float = 0) -> tuple[Token | None, bool]:
        """Return the token if it is usable, and whether it needs no refresh."""
        with self._lock:
            token = self._token
            if token is None or now >= self._usable:
                return None, False
            return token, now < self._fresh and (token.lasts(now, min_ttl) or min_ttl <= self._given)

    def other(self, now: float, token_id: str) -> Token | None:
        """Return the usable token unless it has that id."""
        token, _ = self.lookup(now)
        return token if token and token.id != token_id else None

    def put(self, now: float, token: Token, min_ttl: float, random: float) -> None:
        """Keep an answer, unless a later request was answered before."""
        with self._lock:
            self._failure = None
            if self._token and self._token.times.sent > token.times.sent:
                return
            repeated = self._token is not None and self._token.id == token.id
            self._token, self._usable = token, token.usable_until()
            self._given = 0.0 if token.lasts(now, min_ttl) else min_ttl
            if repeated or token.stale:
                self._fresh = now + (token.times.retry_after or self._again(now))
            else:
                self._fresh = token.times.sent + token.times.refresh_in * (1 + SPREAD * random)

    def _again(self, now: float) -> float:
        """Return the seconds to the next try when the service names none."""
        return min(REFRESH_AGAIN, (self._usable - now) / 2)

    def fail(self, now: float, error: TokenvendError) -> None:
        """Remember when the next refresh may be tried."""
        with self._lock:
            pause = error.retry_after or 0.0
            if error.code == _errors.AUTHORIZATION_REQUIRED:
                pause = pause or REFRESH_AGAIN
            self._failure, self._retry_at = error, now + pause
            if self._token and now < self._usable:
                self._fresh = now + (error.retry_after or self._again(now))
                self._given = float("inf")

    def remembered(self, now: float) -> TokenvendError | None:
        """Return the last error while the service need not be asked again, with the time that remains."""
        with self._lock:
            if self._failure is None or now >= self._retry_at or (self._token and now < self._usable):
                return None
            return self._failure.copy(self._retry_at - now)

    def end_unlimited(self, token_id: str) -> None:
        """End a rejected token that has no end of its own and was not replaced."""
        with self._lock:
            if self._token and self._token.id == token_id and self._token.times.expires_in is None:
                self._token = None

    def reports_stopped(self, now: float) -> bool:
        """Tell whether rejections are not reported, because a fresh token was refused too."""
        with self._lock:
            return now < self._report_after

    def stop_reports(self, until: float) -> None:
        """Stop reports for a while; 0 allows them again."""
        with self._lock:
            self._report_after = until
