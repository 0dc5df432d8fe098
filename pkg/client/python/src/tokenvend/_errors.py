"""Why there is no token."""

from __future__ import annotations

import http

# Codes of errors that the service did not answer, beside the codes that its API documents.
UNREACHABLE = "service_unreachable"
UNEXPECTED = "unexpected_answer"
CREDENTIALS = "no_credentials"
EXPIRED = "token_expired"
AUTHORIZATION_REQUIRED = "authorization_required"


class TokenvendError(Exception):
    """There is no token.

    ``code`` is the service's error code, or one of this package: ``service_unreachable``
    (no complete answer came in time), ``unexpected_answer`` (the answer is not the
    service's, such as a captive portal's page), ``no_credentials`` (no AWS credentials or
    region), ``token_expired`` (the token had ended when it arrived).
    """

    def __init__(
        self,
        code: str,
        connection: str,
        *,
        status: int = 0,
        retryable: bool = False,
        retry_after: float | None = None,
        request_id: str = "",
        detail: str = "",
    ) -> None:
        """Keep the members."""
        self.code = code
        #: The connection's name.
        self.connection = connection
        #: The HTTP status; 0 when no answer came.
        self.status = status
        #: Whether a later call may succeed without any change.
        self.retryable = retryable
        #: Seconds until then; None when the service did not say.
        self.retry_after = retry_after
        #: Identifies the request in the service's log.
        self.request_id = request_id
        #: What is wrong and how to fix it.
        self.detail = detail
        super().__init__(self._describe())

    def _describe(self) -> str:
        text = f"no token of {self.connection}: {self.code}"
        detail = self.detail or _phrase(self.status)
        if detail:
            text += f": {detail}"
        if self.retry_after:
            text += f"; retry after {self.retry_after:g} s"
        if self.request_id:
            text += f" (request {self.request_id})"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        """Let process pools carry the error."""
        return _restore, (type(self), self.__dict__.copy())

    def copy(self, retry_after: float | None) -> TokenvendError:
        """Return a new error that differs in retry_after only."""
        return _restore(type(self), {**self.__dict__, "retry_after": retry_after})


class AuthorizationRequiredError(TokenvendError):
    """A user must consent before there is a token."""


def _restore(kind: type[TokenvendError], members: dict[str, object]) -> TokenvendError:
    public = {name: value for name, value in members.items() if not name.startswith("_")}
    return kind(**public)  # type: ignore[arg-type]


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""
