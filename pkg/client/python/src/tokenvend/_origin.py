"""Where a token may go."""

from __future__ import annotations

from urllib.parse import urlsplit

from ._sign import secure


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port (RFC 6454)."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return parts.scheme, parts.hostname or "", port


def check(connection: str, url: str) -> None:
    """Raise ValueError if the token would go over http to another machine."""
    if not secure(url):
        scheme, host, _ = origin(url)
        raise ValueError(f"the token of {connection} is not sent over {scheme} to {host}: use https")
