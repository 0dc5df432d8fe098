"""Authentication for requests: ``requests.get(url, auth=TokenvendAuth("crm"))``."""

from __future__ import annotations

from typing import Any, Callable
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict

from ._client import Client, default_client
from ._origin import check, origin
from ._token import Token

__all__ = ["TokenvendAuth"]


def _unauthorized(response: requests.Response) -> bool:
    return response.status_code == 401


class TokenvendAuth(AuthBase):
    """Adds the token of a connection to a request.

    When the resource server refuses the token, the auth gets another and sends the request
    again, once, if its body can be read again. The token goes to the origin of the first
    request only: a redirect elsewhere goes without it. A request over http to another
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
        rejected: Callable[[requests.Response], bool] = _unauthorized,
    ) -> None:
        """Send no request."""
        self._connection = connection
        self._client = client
        self._options: dict[str, Any] = {"subject": subject, "scope": scope, "min_ttl": min_ttl}
        self._rejected = rejected

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request, and look at the responses to it."""
        check(self._connection, r.url or "")
        client = self._client or default_client()
        token = client.token(self._connection, **self._options)
        r.headers.update(token.headers)
        r.register_hook("response", _Hook(client, token, r, self._rejected))  # type: ignore[no-untyped-call]
        return r


class _Headers(CaseInsensitiveDict[str]):
    """Headers that requests strips no token from: the hook decides by the origin."""

    def __contains__(self, name: object) -> bool:
        return not (isinstance(name, str) and name.lower() == "authorization") and super().__contains__(name)

    def copy(self) -> _Headers:
        return _Headers(self)


class _Hook:
    """Looks at each response to one request and to its redirects."""

    def __init__(
        self,
        client: Client,
        token: Token,
        request: requests.PreparedRequest,
        rejected: Callable[[requests.Response], bool],
    ) -> None:
        self._client = client
        self._token = token
        self._origin = origin(request.url or "")
        self._rejected = rejected
        self._carried = True  # by the current request
        self._replaced = False

    def __call__(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        if response.is_redirect:
            self._redirect(response)
            return response
        if not self._carried:
            return response
        if not self._rejected(response):
            if response.status_code < 400:
                self._client.accepted(self._token)
            return response
        return response if self._replaced else self._replace(response, kwargs)

    def _redirect(self, response: requests.Response) -> None:
        """Change the headers that the redirected request will be copied from."""
        target = urljoin(response.url, response.headers["location"])
        self._carried = origin(target) == self._origin
        headers = response.request.headers
        headers.pop(self._token.header_name, None)
        if self._carried:
            response.request.headers = _Headers({**headers, **self._token.headers})

    def _replace(self, response: requests.Response, kwargs: dict[str, Any]) -> requests.Response:
        runtime = self._client._runtime
        replacement = runtime.run(self._client.replacement(self._token))
        if replacement is None or not _rewind(response.request):
            return response
        self._replaced, self._token = True, replacement.token
        _ = response.content  # for the connection's next use
        response.close()
        again = response.request.copy()
        again.headers.update(self._token.headers)
        answer: requests.Response = response.connection.send(again, **kwargs)
        answer.history.append(response)
        answer.request = again
        if replacement.reported and self._rejected(answer):
            self._client.stop_reports(self._token)
        return self(answer, **kwargs)


def _rewind(request: requests.PreparedRequest) -> bool:
    """Make the body readable again, if that is possible."""
    body = request.body
    if body is None or isinstance(body, (str, bytes)):
        return True
    position = getattr(request, "_body_position", None)
    if not isinstance(position, int):
        return False
    try:
        body.seek(position)
    except (AttributeError, OSError):
        return False
    return True
