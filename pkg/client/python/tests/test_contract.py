"""Replays the vectors that the clients of all languages share."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

import httpx
import pytest
import requests
from requests.adapters import HTTPAdapter

import tokenvend.httpx
import tokenvend.requests
from simulation import START, Servers, SimulatedTime
from tokenvend import AuthorizationRequiredError, Client, TokenvendError
from tokenvend._runtime import Wait

CONTRACT = json.loads((Path(__file__).parents[2] / "testdata" / "contract.json").read_text())
ITEMS = "https://api.example/items"

Call = Callable[[Client, Servers, "dict[str, Any]"], Any]


class Rewriting(HTTPAdapter):
    """Sends requests to the loopback port."""

    def __init__(self, servers: Servers) -> None:
        super().__init__()
        self._servers = servers

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        copy = request.copy()
        copy.headers["X-Url"] = str(request.url)
        copy.url = self._servers.address + urlsplit(str(request.url)).path
        response = super().send(copy, *args, **kwargs)
        response.url, response.request = str(request.url), request
        return response


def rewritten(request: httpx.Request, address: str) -> httpx.Request:
    headers = [*request.headers.raw, (b"X-Url", str(request.url).encode())]
    return httpx.Request(request.method, address + request.url.path, headers=headers, stream=request.stream)


class RewritingTransport(httpx.BaseTransport):
    def __init__(self, servers: Servers) -> None:
        self._servers, self._transport = servers, httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._transport.handle_request(rewritten(request, self._servers.address))

    def close(self) -> None:
        self._transport.close()


class RewritingAsyncTransport(httpx.AsyncBaseTransport):
    def __init__(self, servers: Servers) -> None:
        self._servers, self._transport = servers, httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._transport.handle_async_request(rewritten(request, self._servers.address))

    async def aclose(self) -> None:
        await self._transport.aclose()


def options(step: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: step[name] for name in names if name in step}


def order(step: dict[str, Any]) -> Any:
    return once() if step.get("once") else b"order"


def once() -> Iterator[bytes]:
    yield b"order"


async def async_once() -> Any:
    yield b"order"


def arguments(step: dict[str, Any]) -> dict[str, Any]:
    asked = options(step, "subject", "scope", "min_ttl")
    return {**asked, "timeout": step["deadline"]} if "deadline" in step else asked


def token(client: Client, _: Servers, step: dict[str, Any]) -> dict[str, Any]:
    return {"token": client.token(step.get("connection", "crm"), **arguments(step)).value}


async def async_token(client: Client, _: Servers, step: dict[str, Any]) -> dict[str, Any]:
    got = await client.async_token(step.get("connection", "crm"), **arguments(step))
    return {"token": got.value}


def warm(client: Client, _: Servers, step: dict[str, Any]) -> dict[str, Any]:
    client.warm(*step["connections"])
    return {}


def send_requests(client: Client, servers: Servers, step: dict[str, Any]) -> dict[str, Any]:
    auth = tokenvend.requests.TokenvendAuth("crm", client=client, **options(step, "subject", "scope"))
    with requests.Session() as session:
        session.mount("https://", Rewriting(servers))
        session.mount("http://", Rewriting(servers))
        response = session.post(step.get("url", ITEMS), data=order(step), auth=auth)
        assert response.text == "answer"
        return {"status": response.status_code}


def send_httpx(client: Client, servers: Servers, step: dict[str, Any]) -> dict[str, Any]:
    auth = tokenvend.httpx.TokenvendAuth("crm", client=client, **options(step, "subject", "scope"))
    with httpx.Client(transport=RewritingTransport(servers), follow_redirects=True, timeout=60) as session:
        response = session.post(step.get("url", ITEMS), content=order(step), auth=auth)
        assert response.text == "answer"
        return {"status": response.status_code}


async def send_async_httpx(client: Client, servers: Servers, step: dict[str, Any]) -> dict[str, Any]:
    auth = tokenvend.httpx.TokenvendAuth("crm", client=client, **options(step, "subject", "scope"))
    content = async_once() if step.get("once") else b"order"
    transport = RewritingAsyncTransport(servers)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True, timeout=60) as session:
        response = await session.post(step.get("url", ITEMS), content=content, auth=auth)
        assert response.text == "answer"
        return {"status": response.status_code}


STACKS: dict[str, dict[str, Call]] = {
    "requests": {"token": token, "warm": warm, "send": send_requests},
    "httpx": {"token": token, "warm": warm, "send": send_httpx},
    "asyncio": {"token": async_token, "warm": warm, "send": send_async_httpx},
}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("vector", CONTRACT["vectors"], ids=lambda v: f"rule {v['rule']} {v['name']}")
def test_contract(vector: dict[str, Any], stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if vector.get("lambda"):
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    time = SimulatedTime()
    with Servers(time).serving() as servers:
        client = Client(
            CONTRACT["url"],
            credentials=servers.resolve,
            session=servers,
            _runtime=time,
            _random=lambda: float(vector.get("random", 0)),
        )
        for step in vector["steps"]:
            replay(step, client, servers, time, STACKS[stack])
        assert (servers.answers, servers.resource) == ([], []), "answers are left"


def replay(step: dict[str, Any], client: Client, servers: Servers, time: SimulatedTime, calls: dict[str, Call]) -> None:
    time.sleep(START + step["at"] - time.now())
    time.settle()
    servers.begin()
    servers.credentials = step.get("credentials", servers.credentials)
    servers.answers += step.get("answers", [])
    servers.resource += step.get("resource", [])
    call, given = calls[step["do"]], step.get("with", {})
    asynchronous = asyncio.iscoroutinefunction(call)
    got = run_all(lambda: call(client, servers, given), given.get("callers", 1), time, asynchronous=asynchronous)
    time.settle()

    expected = dict(step["expect"])
    observed = {"ended": expected.pop("ended", step["at"]), "problems": []}
    for name in ("requests", "presented"):
        observed[name] = expected.pop(name, [])
    if "signed" in expected:
        observed["signed"] = expected.pop("signed")
    error = expected.pop("error", None)
    if error is not None:
        expected["error"] = {**NO_ERROR, **error}
    if calls["send"] is not send_requests and "https://other.example -" in observed["presented"]:
        # httpx redirects without the token: that of the first origin is added after a refusal only.
        observed["presented"][-1] = "https://api.example -"
    for one in got:
        seen = {name: getattr(servers, name) for name in observed if name != "ended"}
        assert {**one, **seen} == {**expected, **observed}


NO_ERROR = {"status": 0, "retryable": False, "retry_after": 0, "request_id": "", "authorization_required": False}


def run_all(call: Callable[[], Any], callers: int, time: SimulatedTime, *, asynchronous: bool) -> list[dict[str, Any]]:
    """Make that many calls at once, on threads or on one event loop, and return what each saw."""
    got: list[dict[str, Any]] = []
    ended: Future[None] = Future()
    lock = threading.Lock()

    def note(result: dict[str, Any]) -> None:
        with lock:
            got.append({**result, "ended": round(time.now() - START, 3)})
            if len(got) == callers:
                ended.set_result(None)
        time.change(-1)

    def on_thread() -> None:
        try:
            result = call()
        except Exception as error:
            result = failure(error)
        note(result)

    async def on_loop() -> None:
        try:
            result = await call()
        except Exception as error:
            result = failure(error)
        note(result)

    async def all_on_loop() -> None:
        await asyncio.gather(*(on_loop() for _ in range(callers)))

    time.change(callers)
    if asynchronous:
        threading.Thread(target=lambda: asyncio.run(all_on_loop()), daemon=True).start()
    else:
        for _ in range(callers):
            threading.Thread(target=on_thread, daemon=True).start()
    assert time.wait(Wait(ended, float("inf")))
    return got


def failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, ValueError):
        return {"refused": True}
    if not isinstance(error, TokenvendError):
        return {"unexpected": repr(error)}
    members = ("code", "status", "retryable", "request_id", "connection")
    return {
        "error": {
            **{name: getattr(error, name) for name in members},
            "retry_after": error.retry_after or 0,
            "authorization_required": isinstance(error, AuthorizationRequiredError),
        }
    }
