"""Access tokens from a tokenvend service.

A :class:`Client` signs requests with AWS Signature Version 4, keeps each token until
the service says that asking again is useful, and replaces a token that a resource
server refuses. Use ``TokenvendAuth`` of :mod:`tokenvend.requests` or
:mod:`tokenvend.httpx` where possible: only they see the 401 that a revoked token
causes. :meth:`Client.token` returns a token that may be revoked a moment later; report
that with :meth:`Client.reject`.
"""

from ._client import Client, default_client, with_token
from ._errors import AuthorizationRequiredError, TokenvendError
from ._token import Token
from ._version import __version__

__all__ = [
    "AuthorizationRequiredError",
    "Client",
    "Token",
    "TokenvendError",
    "__version__",
    "default_client",
    "with_token",
]
