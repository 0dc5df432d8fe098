"""One request to the service and its answer."""

from __future__ import annotations

import json
import math
import os
import time
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from . import _errors
from ._errors import AuthorizationRequiredError, TokenvendError
from ._sign import CredentialsError, Signer
from ._token import Key, Times, Token
from ._version import __version__

TIMEOUT = 35  # seconds; API Gateway's own is 29
MAX_ANSWER = 1 << 20  # bytes
MAX_LIFE = 100 * 365 * 86400.0
SKEW = 240.0  # AWS refuses signatures that are 5 minutes off


class HTTPSession(Protocol):
    """Sends a request, as :class:`botocore.httpsession.URLLib3Session` does. It follows no redirects."""

    def send(self, request: AWSPreparedRequest) -> Any:
        """Return the response."""


class Exchange:
    """Asks the service."""

    def __init__(self, url: str, signer: Signer, session: HTTPSession | None) -> None:
        """Use a session of botocore unless one is given."""
        self._url = url
        self._signer = signer
        self._session = session or URLLib3Session(
            verify=os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or True,  # type: ignore[arg-type]
            proxies=get_environ_proxies(url),
            timeout=TIMEOUT,
        )

    def ask(self, key: Key, min_ttl: float, rejected: str, clock: _Clock) -> Token:
        """Ask once for a token, or to replace the rejected one. Errors are a TokenvendError."""
        request = self._request(key, min_ttl, rejected)
        try:
            self._signer.sign(request)
        except (BotoCoreError, CredentialsError) as error:
            raise TokenvendError(_errors.CREDENTIALS, key.connection, detail=str(error)) from error
        sent = clock.now()
        try:
            response = self._session.send(request.prepare())
            text = _read(response.raw)
        except Exception as error:  # of botocore, urllib3 or a given session
            raise _unreachable(key, error) from error
        now = clock.now()
        answer = _decode(text)
        retry_after = _retry_after(response.headers, now)
        if response.status_code != 200 or not answer.get("access_token") or not answer.get("token_id"):
            raise _failure(key, response, answer, now)
        expires_in = answer.get("expires_in")
        times = Times(
            sent, None if expires_in is None else _seconds(expires_in), _seconds(answer.get("refresh_in")), retry_after
        )
        return Token(key, answer, times)

    def _request(self, key: Key, min_ttl: float, rejected: str) -> AWSRequest:
        path = f"/connections/{quote(key.connection, safe='')}"
        if key.subject:
            path += f"/subjects/{quote(key.subject, safe='')}"
        asked: dict[str, object] = {}
        if key.scope:
            asked["scope"] = key.scope
        if min_ttl > 0:
            asked["min_ttl"] = math.ceil(min_ttl)
        headers = {"User-Agent": f"tokenvend-python/{__version__}"}
        url = self._url + path + "/token"
        if rejected:
            headers["Content-Type"] = "application/json"
            body = json.dumps({"rejected_token_id": rejected, **asked})
            request = AWSRequest("POST", url, headers, body)
        else:
            query = "?" + urlencode(asked, quote_via=quote, safe="") if asked else ""
            request = AWSRequest("GET", url + query, headers)
        request.stream_output = True  # the size of the answer is limited below
        return request


class _Clock(Protocol):
    def now(self) -> float: ...


def _read(raw: Any) -> bytes:
    """Read the answer, which ends in time even if it comes byte by byte."""
    end = time.monotonic() + TIMEOUT
    text = b""
    for part in raw.stream(1 << 14):
        text += part
        if len(text) > MAX_ANSWER or time.monotonic() > end:
            raw.close()
            raise ValueError("the answer is too large or takes too long")
    raw.release_conn()
    return text


def _decode(text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _seconds(value: object) -> float:
    if isinstance(value, (int, float)) and not math.isnan(value):
        return min(max(float(value), 0.0), MAX_LIFE)
    return 0.0


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (TypeError, ValueError, IndexError):
        return None


def _retry_after(headers: Any, now: float) -> float | None:
    """Read seconds or a date (RFC 9110 §10.2.3)."""
    text = headers.get("Retry-After") or ""
    if text.isascii() and text.isdigit():
        return _seconds(int(text)) or None
    date = _date(text)
    return max(0.0, date - now) or None if date else None


def _failure(key: Key, response: Any, answer: dict[str, Any], now: float) -> TokenvendError:
    """Describe an answer without a token."""
    status = response.status_code
    code, detail = answer.get("error"), str(answer.get("detail") or "")
    retryable = answer.get("retryable") is True
    if not isinstance(code, str) or not code or status < 400:
        code, retryable = _errors.UNEXPECTED, False
        detail = f"the answer with status {status} is not the service's; does the URL end with the stage, such as /v1?"
    date = _date(response.headers.get("Date"))
    if status == 403 and date and abs(now - date) > SKEW:
        detail += f" (this machine's clock is {now - date:+.0f} s off the service's)"
    kind = AuthorizationRequiredError if code == _errors.AUTHORIZATION_REQUIRED else TokenvendError
    return kind(
        code,
        key.connection,
        status=status,
        retryable=retryable,
        retry_after=_retry_after(response.headers, now),
        request_id=str(answer.get("instance") or response.headers.get("x-amzn-RequestId") or ""),
        detail=detail,
    )


def _unreachable(key: Key, error: Exception) -> TokenvendError:
    """Name the kind of failure; its text may hold the signed request's URL."""
    return TokenvendError(
        _errors.UNREACHABLE, key.connection, retryable=True, detail=f"no answer ({type(error).__name__})"
    )
