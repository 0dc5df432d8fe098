"""AWS Signature Version 4 with credentials that are resolved at each request."""

from __future__ import annotations

import ipaddress
import os
import re
import threading
from typing import Callable, Optional, Protocol
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.session import Session


class Resolvable(Protocol):
    """Credentials of botocore or boto3."""

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the credentials that are in force now."""


CredentialsSource = Callable[[], Optional[Resolvable]]

# What the local run accepts. It is public and opens nothing else.
LOCAL = Credentials("local", "local")
LOCAL_REGION = "us-east-1"

_API_HOST = re.compile(r"\.execute-api\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$")


def region_of(host: str) -> str:
    """Return the region in the host name of an API; empty for other hosts."""
    found = _API_HOST.search(host)
    return found.group(1) if found else ""


def is_loopback(host: str) -> bool:
    """Report whether the host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def secure(url: str) -> bool:
    """Report whether what is sent to the URL is protected in transit: https, or http to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


class CredentialsError(Exception):
    """The AWS credentials or the region cannot be resolved."""


class Signer:
    """Signs requests for execute-api."""

    def __init__(self, url: str, region: str | None, given: CredentialsSource | None) -> None:
        """Take the region of the host name if it has one."""
        host = urlsplit(url).hostname or ""
        self._region = region_of(host) or region
        self._given = given
        self._loopback = is_loopback(host)
        self._lock = threading.Lock()
        # Credentials that expire, with their region. botocore renews them in time. Others are
        # read again each time, because another program may rotate them.
        self._kept: tuple[RefreshableCredentials, str] | None = None

    def sign(self, request: AWSRequest) -> None:
        """Add the headers. Errors are those of botocore, or a CredentialsError."""
        credentials, region = self._resolve()
        region = self._region or region
        if not region:
            raise CredentialsError("the host name contains no AWS region: use the argument region, or set AWS_REGION")
        SigV4Auth(credentials, "execute-api", region).add_auth(request)

    def _resolve(self) -> tuple[ReadOnlyCredentials, str]:
        """Return credentials and the region of the AWS configuration."""
        if self._given:
            given = self._given()
            if given is None:
                raise CredentialsError("the argument credentials returned None")
            return given.get_frozen_credentials(), os.environ.get("AWS_REGION", "")
        if self._loopback and not os.environ.get("AWS_ACCESS_KEY_ID") and not os.environ.get("AWS_PROFILE"):
            return LOCAL.get_frozen_credentials(), LOCAL_REGION
        with self._lock:
            credentials, region = self._kept or self._load()
        return credentials.get_frozen_credentials(), region

    def _load(self) -> tuple[Credentials, str]:
        session = Session()
        credentials = session.get_credentials()
        region = os.environ.get("AWS_REGION") or session.get_config_variable("region") or ""
        if credentials is None:
            raise CredentialsError(
                "no AWS credentials: sign in (aws sso login), set AWS_PROFILE, or give the process a role"
            )
        if isinstance(credentials, RefreshableCredentials):
            self._kept = credentials, region
        return credentials, region
