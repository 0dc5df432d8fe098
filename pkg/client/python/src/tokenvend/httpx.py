"""Authentication for httpx: ``httpx.get(url, auth=TokenvendAuth("crm"))``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, Callable, Union

import httpx

from ._client import Client, Replacement, default_client
from ._origin import check, origin
from ._token import Token

__all__ = ["TokenvendAuth"]


def _unauthorized(response: httpx.Response) -> bool:
    return response.status_code == 401


class TokenvendAuth(httpx.Auth):
    """Adds the token of a connection to a request of a client or an asynchronous client.

    When the resource server refuses the token, the auth gets another and sends the request
    again, once, if its body can be read again. The token goes to the origin of the first
    request only: a redirect elsewhere goes without it. So does one back to the first origin,
    which is sent again with the token if it is refused. A request over http to another
    machine is a ValueError.

    ``client`` is by default :func:`tokenvend.default_client`. ``rejected`` tells whether a
    resource server refused the token, by default with status 401; it must not read the body.
    """

    def __init__(
        self,
        connection: str,
        *,
        client: Client | None = None,
        subject: str = "",
        scope: str = "",
        min_ttl: float = 0,
        rejected: Callable[[httpx.Response], bool] = _unauthorized,
    ) -> None:
        """Send no request."""
        self._connection = connection
        self._given = client
        self._options: dict[str, Any] = {"subject": subject, "scope": scope, "min_ttl": min_ttl}
        self._rejected = rejected

    @property
    def _client(self) -> Client:
        return self._given or default_client()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request with the token, and again with another."""
        flow = self._flow(request)
        step = next(flow)
        while True:
            try:
                if isinstance(step, httpx.Request):
                    step = flow.send((yield step))
                elif isinstance(step, Token):
                    step = flow.send(self._client._runtime.run(self._client.replacement(step)))
                else:
                    step = flow.send(self._client.token(self._connection, **self._options))
            except StopIteration:
                return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request with the token, and again with another, and block no event loop."""
        flow = self._flow(request)
        step = next(flow)
        while True:
            try:
                if isinstance(step, httpx.Request):
                    step = flow.send((yield step))
                elif isinstance(step, Token):
                    replacement = self._client.replacement(step)
                    step = flow.send(await self._client._runtime.async_run(replacement))
                else:
                    step = flow.send(await self._client.async_token(self._connection, **self._options))
            except StopIteration:
                return

    def _flow(self, request: httpx.Request) -> Generator[_Step, Any, None]:
        """Yield None for a token, a refused token for its replacement, and a request for its response."""
        check(self._connection, str(request.url))
        token: Token = yield None
        response: httpx.Response = yield _carry(request, token)
        if response.history and origin(str(response.url)) == origin(str(request.url)) and self._rejected(response):
            # httpx has taken the token from this request, because a redirect led here from elsewhere.
            request = response.request
            if not _repeatable(request):
                return
            response = yield _carry(request, token)
        if origin(str(response.url)) != origin(str(request.url)):
            return
        if not self._rejected(response):
            self._accept(response, token)
            return
        replacement: Replacement | None = yield token
        if replacement is None or not _repeatable(response.request):
            return
        response = yield _carry(response.request, replacement.token)
        if not self._rejected(response):
            self._accept(response, replacement.token)
        elif replacement.reported:
            self._client.stop_reports(replacement.token)

    def _accept(self, response: httpx.Response, token: Token) -> None:
        if response.status_code < 400:
            self._client.accepted(token)


_Step = Union[httpx.Request, Token, None]


class _Headers(httpx.Headers):
    """Headers with a token that only :attr:`raw` has, which is what is sent: httpx copies the others for redirects."""

    def __init__(self, headers: httpx.Headers, token: Token) -> None:
        self._token = token
        super().__init__(headers)
        self.pop(token.header_name, None)

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        carried = [(name.encode("ascii"), value.encode("ascii")) for name, value in self._token.headers.items()]
        return super().raw + carried


def _carry(request: httpx.Request, token: Token) -> httpx.Request:
    request.headers = _Headers(request.headers, token)
    return request


def _repeatable(request: httpx.Request) -> bool:
    return isinstance(request.stream, httpx.ByteStream)
