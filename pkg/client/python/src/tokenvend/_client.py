"""The client: what is answered from memory, and when the service is asked."""

from __future__ import annotations

import concurrent.futures
import functools
import inspect
import os
import random
import threading
import weakref
from typing import Any, Callable, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from . import _errors
from ._entry import REPORT_AGAIN, Entry
from ._errors import TokenvendError
from ._exchange import Exchange, HTTPSession
from ._runtime import Runtime, Steps, Wait
from ._sign import CredentialsSource, Signer, secure
from ._token import Key, Token

MAX_CALL = 60.0  # seconds after which a running request is no longer joined: the process may have been frozen
MAX_RETRIES = 2
MAX_WAIT = 10.0  # all waits of a call together
DEFAULT_PAUSE = 1.0  # without Retry-After


class Replacement(NamedTuple):
    """The token to try after a refusal, and whether the refusal was reported for it."""

    token: Token
    reported: bool


class _Request(NamedTuple):
    """What callers share: a request for a token, or the report of a rejected one."""

    key: Key
    rejected: str


class _Flight(NamedTuple):
    started: float
    future: concurrent.futures.Future[None]


class Client:
    """Caches the tokens of one service. It is safe for threads and event loops; a process needs one."""

    def __init__(
        self,
        url: str | None = None,
        *,
        region: str | None = None,
        credentials: CredentialsSource | None = None,
        session: HTTPSession | None = None,
        _runtime: Runtime | None = None,
        _random: Callable[[], float] = random.random,
    ) -> None:
        """Send no request and read no credentials.

        ``url`` is the service's URL with its stage, such as
        ``https://abc123.execute-api.eu-west-1.amazonaws.com/v1``; by default the variable
        ``TOKENVEND_URL``. ``region`` is needed only where the host name does not contain it and
        the AWS configuration names another. ``credentials`` is called at each request and returns
        credentials of botocore, such as ``boto3.Session().get_credentials``; by default the chain
        of the AWS SDK, and at a loopback URL the key of the local run unless ``AWS_ACCESS_KEY_ID``
        or ``AWS_PROFILE`` is set. ``session`` sends the requests; by default one of botocore.
        """
        url = url or os.environ.get("TOKENVEND_URL", "")
        if not _is_base(url):
            raise ValueError(
                "the argument url or the variable TOKENVEND_URL must be an https URL with the stage, such as "
                "https://abc123.execute-api.eu-west-1.amazonaws.com/v1"
            )
        url = url.rstrip("/")
        self._exchange = Exchange(url, Signer(url, region, credentials), session)
        self._runtime = _runtime or Runtime()
        self._random = _random
        # A frozen process runs nothing in the background.
        self._inline = bool(os.environ.get("AWS_LAMBDA_FUNCTION_NAME"))
        self._entries: dict[Key, Entry] = {}
        self._after_fork()
        _clients.add(self)

    def _after_fork(self) -> None:
        """Forget requests whose threads a child process does not have."""
        self._lock = threading.Lock()
        self._flights: dict[_Request, _Flight] = {}

    def token(
        self,
        connection: str,
        *,
        subject: str = "",
        scope: str = "",
        min_ttl: float = 0,
        timeout: float | None = None,
    ) -> Token:
        """Return a valid token of a connection, from memory where possible.

        ``subject`` is one of a delegated connection, ``scope`` one other than the connection's
        own, ``min_ttl`` the seconds for which the token should last, where the provider can give
        one, and ``timeout`` the seconds that the call takes at most. Errors are a
        :class:`TokenvendError`; one of them is :class:`AuthorizationRequiredError`.
        """
        key = _key(connection, subject, scope)
        return self._runtime.run(self._token(key, min_ttl, self._deadline(timeout)))

    async def async_token(
        self,
        connection: str,
        *,
        subject: str = "",
        scope: str = "",
        min_ttl: float = 0,
        timeout: float | None = None,
    ) -> Token:
        """Return what :meth:`token` does, and block no event loop."""
        key = _key(connection, subject, scope)
        return await self._runtime.async_run(self._token(key, min_ttl, self._deadline(timeout)))

    def warm(self, *connections: str) -> None:
        """Get the tokens of connections at once, for example while a Lambda function initializes.

        The first error is raised once all have ended.
        """
        keys = [_key(connection) for connection in connections]
        for key in keys:
            if not self._entry(key).lookup(self._runtime.now())[1]:
                self._join(key, 0)
        errors = []
        for connection in connections:
            try:
                self.token(connection)
            except TokenvendError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def reject(self, refused: Token, *, timeout: float | None = None) -> Token:
        """Report that a resource server refused a token, and return the one to try next.

        That is the cached one if it is another, otherwise the service's. Concurrent calls for
        one token share one report.
        """
        return self._runtime.run(self._reject(refused, self._deadline(timeout)))

    async def async_reject(self, refused: Token, *, timeout: float | None = None) -> Token:
        """Return what :meth:`reject` does, and block no event loop."""
        return await self._runtime.async_run(self._reject(refused, self._deadline(timeout)))

    def _deadline(self, timeout: float | None) -> float:
        return float("inf") if timeout is None else self._runtime.now() + timeout

    def _entry(self, key: Key) -> Entry:
        return self._entries.get(key) or self._entries.setdefault(key, Entry())

    def _token(self, key: Key, min_ttl: float, deadline: float) -> Steps[Token]:
        entry = self._entry(key)
        token, fresh = entry.lookup(self._runtime.now(), min_ttl)
        if token is None:
            return (yield from self._wait(key, min_ttl, deadline))
        if fresh:
            return token
        if not token.lasts(self._runtime.now(), min_ttl):
            return (yield from self._wait(key, min_ttl, deadline))
        if not self._inline:
            self._join(key, min_ttl)
            return token
        if self._busy(key):
            return token
        return (yield from self._wait(key, min_ttl, deadline))

    def _wait(self, key: Key, min_ttl: float, deadline: float) -> Steps[Token]:
        """Return a token of the service, or the usable one if that fails or takes long."""
        now = self._runtime.now()
        if self._entry(key).lookup(now)[0]:
            try:
                return (yield from self._refresh(key, min_ttl, min(deadline, now + MAX_WAIT)))
            except TokenvendError:
                pass  # the usable token has ended meanwhile
        return (yield from self._retry(lambda: self._refresh(key, min_ttl, deadline), deadline))

    def _retry(self, request: Callable[[], Steps[Token]], deadline: float) -> Steps[Token]:
        """Repeat a shared request as far as its errors and the caller's deadline allow."""
        waited = 0.0
        for _ in range(MAX_RETRIES):
            try:
                return (yield from request())
            except TokenvendError as error:
                pause = error.retry_after or DEFAULT_PAUSE
                waited += pause
                if not error.retryable or waited > MAX_WAIT or deadline - self._runtime.now() <= pause:
                    raise
            yield pause
        return (yield from request())

    def _refresh(self, key: Key, min_ttl: float, deadline: float) -> Steps[Token]:
        """Send one request that all callers of the key share. With a usable token, a failure is no error."""
        error: TokenvendError | None = None
        try:
            led = yield from self._share(_Request(key, ""), min_ttl, deadline)
            if not led and min_ttl > 0:  # the request that was joined may have asked for less
                yield from self._share(_Request(key, ""), min_ttl, deadline)
        except TokenvendError as failure:
            error = failure
        usable, _ = self._entry(key).lookup(self._runtime.now())
        if usable:
            return usable
        raise error or _expired(key)

    def _reject(self, refused: Token, deadline: float) -> Steps[Token]:
        other = self._entry(refused.key).other(self._runtime.now(), refused.id)
        if other:
            return other
        return (yield from self._retry(lambda: self._report(refused, deadline), deadline))

    def _report(self, refused: Token, deadline: float) -> Steps[Token]:
        """Tell the service that it should replace a token."""
        entry = self._entry(refused.key)
        try:
            yield from self._share(_Request(refused.key, refused.id), 0, deadline)
        except TokenvendError:
            entry.end_unlimited(refused.id)
            raise
        usable, _ = entry.lookup(self._runtime.now())
        if usable:
            return usable
        raise _expired(refused.key)

    def replacement(self, refused: Token, timeout: float | None = None) -> Steps[Replacement | None]:
        """Return the token to send a refused request again with; None to return the answer as it is."""
        entry = self._entry(refused.key)
        other = entry.other(self._runtime.now(), refused.id)
        if other:
            return Replacement(other, reported=False)
        if entry.reports_stopped(self._runtime.now()):
            return None
        try:
            token = yield from self._reject(refused, self._deadline(timeout))
        except TokenvendError:
            return None  # the resource server's own answer says what is wrong
        if token.id == refused.id:  # the service holds it valid
            self.stop_reports(token)
            return None
        return Replacement(token, reported=True)

    def stop_reports(self, token: Token) -> None:
        """Stop reports for a while, because the resource server refuses a fresh token."""
        self._entry(token.key).stop_reports(self._runtime.now() + REPORT_AGAIN)

    def accepted(self, token: Token) -> None:
        """Allow reports again after a request that succeeded."""
        self._entry(token.key).stop_reports(0)

    def _busy(self, key: Key) -> bool:
        with self._lock:
            return _Request(key, "") in self._flights

    def _share(self, request: _Request, min_ttl: float, deadline: float) -> Steps[bool]:
        """Wait for the request that all callers share; report whether this caller started it.

        The request outlives its callers, because others may need its result.
        """
        future, led = self._join(request.key, min_ttl, request.rejected)
        timeout = max(0.0, min(MAX_CALL, deadline - self._runtime.now()))
        if not (yield Wait(future, timeout)):
            raise TokenvendError(
                _errors.UNREACHABLE, request.key.connection, detail="the call ended before the service answered"
            )
        error = future.exception()
        if isinstance(error, TokenvendError):
            raise error.copy(error.retry_after) from error  # each caller gets an error with a traceback of its own
        if error is not None:
            raise error
        return led

    def _join(self, key: Key, min_ttl: float, rejected: str = "") -> tuple[concurrent.futures.Future[None], bool]:
        """Return the running request, or start one."""
        request, now = _Request(key, rejected), self._runtime.now()
        with self._lock:
            flight = self._flights.get(request)
            if flight and abs(now - flight.started) < MAX_CALL:
                return flight.future, False
            flight = _Flight(now, concurrent.futures.Future())
            flight.future.set_running_or_notify_cancel()  # a caller's cancellation ends only its own wait
            self._flights[request] = flight
        self._runtime.spawn(lambda: self._fly(request, min_ttl, flight))
        return flight.future, True

    def _fly(self, request: _Request, min_ttl: float, flight: _Flight) -> None:
        error: BaseException | None = None
        try:
            self._fetch(request, min_ttl)
        except BaseException as failure:  # every caller gets it
            error = failure
        with self._lock:
            if self._flights.get(request) is flight:  # not replaced because of its age
                del self._flights[request]
        if error is None:
            flight.future.set_result(None)
        else:
            flight.future.set_exception(error)

    def _fetch(self, request: _Request, min_ttl: float) -> None:
        """Ask the service, unless an earlier request has made that needless, and keep what comes of it."""
        entry, now = self._entry(request.key), self._runtime.now()
        if request.rejected:
            if entry.other(now, request.rejected):
                return
        else:
            if entry.lookup(now, min_ttl)[1]:
                return
            remembered = entry.remembered(now)
            if remembered:
                raise remembered
        try:
            token = self._exchange.ask(request.key, min_ttl, request.rejected, self._runtime)
        except TokenvendError as error:
            if not request.rejected:
                entry.fail(self._runtime.now(), error)
            raise
        entry.put(self._runtime.now(), token, min_ttl, self._random())


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    for client in _clients:
        client._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@functools.cache
def default_client() -> Client:
    """Return the client of the variable TOKENVEND_URL, which is made once."""
    return Client()


Function = TypeVar("Function", bound=Callable[..., Any])


def with_token(
    connection: str,
    *,
    into: str = "token",
    client: Client | None = None,
    subject: str = "",
    scope: str = "",
    min_ttl: float = 0,
) -> Callable[[Function], Function]:
    """Call a function, or a coroutine function, with a current :class:`Token` as the keyword argument ``into``.

    An argument that the caller passes is kept. The client is :func:`default_client` unless one
    is given.
    """

    def decorate(function: Function) -> Function:
        def chosen() -> Client:
            return client or default_client()

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def asynchronous(*args: Any, **kwargs: Any) -> Any:
                if into not in kwargs:
                    token = chosen().async_token(connection, subject=subject, scope=scope, min_ttl=min_ttl)
                    kwargs[into] = await token
                return await function(*args, **kwargs)

            return cast("Function", asynchronous)

        @functools.wraps(function)
        def synchronous(*args: Any, **kwargs: Any) -> Any:
            if into not in kwargs:
                kwargs[into] = chosen().token(connection, subject=subject, scope=scope, min_ttl=min_ttl)
            return function(*args, **kwargs)

        return cast("Function", synchronous)

    return decorate


def _key(connection: str, subject: str = "", scope: str = "") -> Key:
    return Key(connection, "" if subject == "default" else subject, scope)  # default has the path without a subject


def _expired(key: Key) -> TokenvendError:
    return TokenvendError(_errors.EXPIRED, key.connection, retryable=True, detail="the token had ended when it arrived")


def _is_base(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.hostname) and secure(url) and not (parts.query or parts.fragment or "@" in parts.netloc)
