"""What the vectors do not say: printing, credentials, threads, decorators, and answers that are no answers."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import logging
import os
import pickle
import pprint
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

import tokenvend.httpx
import tokenvend.requests
from simulation import Servers, SimulatedTime
from tokenvend import AuthorizationRequiredError, Client, Token, TokenvendError, with_token

URL = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1"


def vend(token: str, **more: Any) -> dict[str, Any]:
    return {"vend": token, "expires_in": 3600, "refresh_in": 3000, **more}


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with Servers().serving() as running:
        yield running


def new(servers: Servers, **more: Any) -> Client:
    return Client(URL, credentials=servers.resolve, session=servers, **more)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "abc",
        "http://service.example/v1",
        "https://u@service.example/v1",
        "https://service.example/v1?x=y",
        "ftp://a.example",
    ],
)
def test_refused_urls(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENVEND_URL", raising=False)
    with pytest.raises(ValueError, match="TOKENVEND_URL must be an https URL"):
        Client(url)


def test_token_redacts_itself(servers: Servers) -> None:
    servers.answers = [vend("canary-9", token_id="x")]
    token = new(servers).token("crm")
    log = io.StringIO()
    logging.getLogger("test").addHandler(logging.StreamHandler(log))
    logging.getLogger("test").warning("got %s %r", token, [token])
    shown = [
        log.getvalue(),
        str(token),
        repr(token),
        f"{token} {token!r} {token:>80}",
        "{} {!r}".format(token, {"a": token}),
    ]
    shown += [pprint.pformat({"a": [token]}), json.dumps({"a": token}, default=str), json.dumps([token], default=repr)]
    shown += [repr({name: getattr(token, name) for name in Token.__slots__})]
    assert "canary-9" not in "".join(shown)
    assert "token x of crm [REDACTED]" in str(token)
    with pytest.raises(TypeError):
        json.dumps(token)
    with pytest.raises(TypeError):
        vars(token)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="is not pickled"):
            pickle.dumps([token], protocol)
    assert copy.copy(token) is copy.deepcopy(token) is token
    assert (token.value, token.headers) == ("canary-9", {"Authorization": "Bearer canary-9"})


def test_token_members(servers: Servers) -> None:
    servers.answers = [vend("t1", scope="read", extra={"instance_url": "https://acme.example"}), {"vend": "t2"}]
    client = new(servers)
    token = client.token("crm")
    assert (token.type, token.scope, token.extra("instance_url"), token.extra("x")) == (
        "Bearer",
        "read",
        "https://acme.example",
        None,
    )
    assert token.expires_at and abs(token.expires_at.timestamp() - time.time() - 3600) < 5
    assert client.token("erp").expires_at is None


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://abc.execute-api.eu-west-1.amazonaws.com/v1", "eu-west-1"),
        ("https://abc-vpce-1.execute-api.us-gov-west-1.amazonaws.com/v1", "us-gov-west-1"),
        ("https://vpce-1.execute-api.eu-central-1.vpce.amazonaws.com/v1", "eu-central-1"),
        ("https://abc.execute-api.cn-north-1.amazonaws.com.cn/v1", "cn-north-1"),
        ("https://abc.execute-api.eu-west-2.api.aws/v1", "eu-west-2"),
        ("https://tokens.example/v1", "given-1"),
        ("https://execute-api.eu-west-1.amazonaws.com.attacker.example/v1", "given-1"),
    ],
)
def test_region(url: str, region: str, servers: Servers) -> None:
    servers.answers = [vend("t1")]
    Client(url, region="given-1", credentials=servers.resolve, session=servers).token("crm")
    assert servers.signed == [f"KEY1/{region}/execute-api"]


def test_default_chain(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program rotates the credentials file, and removes it."""
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "config").write_text("[default]\nregion = eu-west-3\n")
    servers.answers = [vend("t1"), vend("t2")]
    client = Client("https://service.example/v1", session=servers)
    for key in ("FIRST", "SECOND"):
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = x\n")
        client.token("crm", scope=key)
    assert servers.signed == ["FIRST/eu-west-3/execute-api", "SECOND/eu-west-3/execute-api"]
    file.unlink()
    with pytest.raises(TokenvendError, match="no AWS credentials") as caught:
        client.token("erp")
    assert (caught.value.code, caught.value.retryable) == ("no_credentials", False)


@pytest.mark.parametrize(("variable", "signer"), [("", "local"), ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")])
def test_loopback_signer(variable: str, signer: str, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable:
        monkeypatch.setenv(variable, signer)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
    servers.answers = [vend("t1")]
    assert Client(servers.address + "/v1").token("crm").value == "t1"
    assert servers.signed == [f"{signer}/us-east-1/execute-api"]


def test_clock_off(servers: Servers) -> None:
    late = formatdate(time.time() + 600, usegmt=True)
    servers.answers = [{"error": "access_denied", "status": 403, "detail": "Signature expired", "date": late}]
    with pytest.raises(TokenvendError, match=r"Signature expired \(this machine's clock is -(600|599) s off"):
        new(servers).token("crm")


def test_service_redirects(servers: Servers) -> None:
    """No signed request goes elsewhere."""
    servers.answers = [{"raw": "", "status": 307, "location": "https://other.example/"}]
    with pytest.raises(TokenvendError, match="is not the service's") as caught:
        new(servers).token("crm")
    assert (caught.value.code, caught.value.status, len(servers.requests)) == ("unexpected_answer", 307, 1)


def test_service_hangs() -> None:
    """The caller's timeout ends the wait, and the error holds nothing of the request."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        with pytest.raises(TokenvendError) as caught:
            client.token("crm", timeout=0.05)
    assert (caught.value.code, caught.value.retryable) == ("service_unreachable", False)


def test_connection_refused_names_no_url(servers: Servers) -> None:
    simulated = SimulatedTime()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    with pytest.raises(TokenvendError, match=r"^no token of crm: service_unreachable: no answer \(\w+\)$") as caught:
        Client(url, _runtime=simulated).token("crm")
    assert caught.value.retryable


def test_error_in_a_process_pool() -> None:
    error = AuthorizationRequiredError(
        "authorization_required", "crm", status=409, retry_after=3, request_id="r-1", detail="d"
    )
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
    assert str(error) == "no token of crm: authorization_required: d; retry after 3 s (request r-1)"


def test_frozen_process(servers: Servers) -> None:
    """The wall clock goes on while everything else stands still."""
    simulated = SimulatedTime()
    servers.time = simulated
    servers.answers = [vend("t1"), vend("t2", after=10), vend("t3")]
    client = new(servers, _runtime=simulated)
    client.token("crm")
    simulated.freeze(3600)
    simulated.change(1)
    late: list[str] = []

    def caller() -> None:
        late.append(client.token("crm").value)
        simulated.change(-1)

    thread = threading.Thread(target=caller)
    thread.start()
    simulated.settle()  # that call is frozen in the middle
    simulated.freeze(2 * 3600)
    thawed = simulated.now()
    assert client.token("crm").value == "t3"
    assert simulated.now() == thawed
    simulated.sleep(60)
    simulated.settle()
    thread.join()
    assert (client.token("crm").value, late) == ("t3", ["t3"])


def test_cancelled_caller_leaves_the_request_to_others(servers: Servers) -> None:
    servers.answers = [vend("t1", after=0.2)]
    client = new(servers)

    async def both() -> Token:
        first = asyncio.create_task(client.async_token("crm"))
        second = asyncio.create_task(client.async_token("crm"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(both()).value == "t1"
    assert len(servers.requests) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_during_a_request(servers: Servers) -> None:
    """A child does not wait for the thread of its parent."""
    servers.answers = [vend("t1", after=1), vend("t2")]
    client = new(servers)
    threading.Thread(target=lambda: client.token("crm"), daemon=True).start()
    while not servers.requests:
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        os._exit(0 if client.token("crm").value == "t2" else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_reject(servers: Servers) -> None:
    servers.answers = [vend("t1"), vend("t2")]
    client = new(servers)
    first = client.token("crm")
    assert client.reject(first).value == "t2"
    assert asyncio.run(client.async_reject(first)).value == "t2"  # the cache has another
    assert servers.requests[1:] == [{"POST /v1/connections/crm/token": {"rejected_token_id": "id-t1"}}]


def test_warm_reports_the_first_error(servers: Servers) -> None:
    servers.answers = [{"error": "access_denied", "status": 403}] * 4
    with pytest.raises(TokenvendError, match="no token of crm: access_denied"):
        new(servers).warm("crm", "erp")
    assert {line.split("/")[3] for line in servers.requests} == {"crm", "erp"}


def test_decorator(servers: Servers) -> None:
    servers.answers = [vend("t1")]
    client = new(servers)

    @with_token("crm", into="access_token", client=client)
    def synchronous(number: int, *, access_token: Token) -> tuple[int, str]:
        return number, access_token.value

    @with_token("crm", client=client)
    async def asynchronous(token: Token) -> str:
        return token.value

    assert synchronous(7) == (7, "t1")  # type: ignore[call-arg]
    assert asyncio.run(asynchronous()) == "t1"  # type: ignore[call-arg]
    assert asynchronous.__name__ == "asynchronous"


@pytest.mark.parametrize("stack", ["requests", "httpx"])
def test_rejected_is_replaceable(stack: str, servers: Servers) -> None:
    servers.answers, servers.resource = [vend("t1"), vend("t2")], [419, 401]
    client, headers = new(servers), {"X-Url": "https://a.example"}
    status = (
        requests.post(
            servers.address,
            b"order",
            auth=tokenvend.requests.TokenvendAuth("crm", client=client, rejected=lambda r: r.status_code == 419),
            headers=headers,
            timeout=9,
        ).status_code
        if stack == "requests"
        else httpx.post(
            servers.address,
            content=b"order",
            auth=tokenvend.httpx.TokenvendAuth("crm", client=client, rejected=lambda r: r.status_code == 419),
            headers=headers,
        ).status_code
    )
    assert status == 401
    assert [line.split()[-1] for line in servers.presented] == ["t1", "t2"]


def test_a_file_is_sent_again(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "order").write_text("order")
    servers.answers, servers.resource = [vend("t1"), vend("t2")], [401, 200]
    auth = tokenvend.requests.TokenvendAuth("crm", client=new(servers))
    with (tmp_path / "order").open("rb") as body:
        response = requests.post(servers.address, data=body, auth=auth, headers={"X-Url": servers.address}, timeout=9)
    assert (response.status_code, len(response.history), servers.problems) == (200, 1, [])


@pytest.mark.parametrize("stack", ["requests", "httpx"])
def test_a_header_of_the_provider_goes_nowhere_else(stack: str, servers: Servers) -> None:
    """Libraries strip Authorization from redirects, and no other header."""
    with Servers().serving() as other:
        present = {"header": "X-Shopify-Access-Token", "prefix": ""}
        servers.answers, servers.resource = [vend("t1", present=present)], [other.address]
        other.resource = [200]
        client = new(servers)
        if stack == "requests":
            requests.post(
                servers.address,
                b"order",
                auth=tokenvend.requests.TokenvendAuth("crm", client=client),
                headers={"X-Url": "https://a.example"},
                timeout=9,
            )
        else:
            httpx.post(
                servers.address,
                content=b"order",
                auth=tokenvend.httpx.TokenvendAuth("crm", client=client),
                headers={"X-Url": "https://a.example"},
                follow_redirects=True,
            )
        assert servers.presented == ["https://a.example X-Shopify-Access-Token: t1"]
        assert other.presented == ["https://a.example -"]
