"""A simulated clock for threads and tasks, and scripted servers on loopback."""

from __future__ import annotations

import asyncio
import heapq
import json
import socket
import struct
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from tokenvend._runtime import Runtime, Wait

START = 1_800_000_000.0
DEADLOCK = 60  # real seconds after which a test that hangs fails


class _Waiter:
    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake, self.fired, self.done = wake, False, False


class SimulatedTime(Runtime):
    """Time goes on only while every thread and task waits: then to the next instant at which one of them goes on.

    ``active`` counts those that run. Whoever starts one adds it before, so that the clock does not
    go on between.
    """

    def __init__(self) -> None:
        self._time = START
        self._changed = threading.Condition()
        self._active = 1  # the test itself
        self._waiting: list[tuple[float, int, _Waiter]] = []
        self._order = 0

    def now(self) -> float:
        return self._time

    def sleep(self, seconds: float) -> None:
        self._wait(None, seconds)

    def wait(self, wait: Wait) -> bool:
        return self._wait(wait.future, wait.timeout)

    def _wait(self, future: Future[None] | None, seconds: float) -> bool:
        awake = threading.Event()
        waiter = self._begin(_Waiter(awake.set), future, seconds)
        assert awake.wait(DEADLOCK), "deadlock in simulated time"
        return waiter.done

    async def async_sleep(self, seconds: float) -> None:
        await self._async_wait(None, seconds)

    async def async_wait(self, wait: Wait) -> bool:
        return await self._async_wait(wait.future, wait.timeout)

    async def _async_wait(self, future: Future[None] | None, seconds: float) -> bool:
        loop, awake = asyncio.get_running_loop(), asyncio.Event()
        waiter = self._begin(_Waiter(lambda: loop.call_soon_threadsafe(awake.set)), future, seconds)
        await asyncio.wait_for(awake.wait(), DEADLOCK)
        return waiter.done

    def spawn(self, work: Callable[[], None]) -> None:
        def counted() -> None:
            try:
                work()
            finally:
                self.change(-1)

        self.change(1)
        threading.Thread(target=counted, daemon=True).start()

    def freeze(self, seconds: float) -> None:
        """Let the wall clock alone go on, and those that wait for an instant wait as long as before."""
        with self._changed:
            self._time += seconds
            self._waiting = [(instant + seconds, order, waiter) for instant, order, waiter in self._waiting]

    def settle(self) -> None:
        """Wait until all others wait."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._active == 1, DEADLOCK), "threads go on running"

    def change(self, by: int) -> None:
        """Add to those that run."""
        with self._changed:
            self._active += by
            self._changed.notify_all()
            while self._active == 0 and self._waiting:
                instant, _, waiter = heapq.heappop(self._waiting)
                if not waiter.fired:
                    self._time = max(self._time, instant)
                    self._fire(waiter, done=False)

    def _begin(self, waiter: _Waiter, future: Future[None] | None, seconds: float) -> _Waiter:
        with self._changed:
            self._order += 1
            if seconds != float("inf"):
                heapq.heappush(self._waiting, (self._time + seconds, self._order, waiter))
        if future:
            future.add_done_callback(lambda _: self._fire(waiter, done=True))
        self.change(-1)
        return waiter

    def _fire(self, waiter: _Waiter, *, done: bool) -> None:
        with self._changed:
            if waiter.fired:
                return
            waiter.fired, waiter.done = True, done
            self._active += 1
        waiter.wake()


class Servers:
    """The service and the resource server of a test, on one loopback port: they play ``answers`` and ``resource``."""

    def __init__(self, time: SimulatedTime | None = None) -> None:
        self.time = time or Runtime()
        self.lock = threading.Lock()
        self.credentials = "KEY1"
        self.answers: list[dict[str, Any]] = []
        self.resource: list[Any] = []
        self.begin()
        self.address = ""

    def begin(self) -> None:
        """Forget what was asked so far."""
        self.requests: list[Any] = []
        self.signed: list[str] = []
        self.presented: list[str] = []
        self.problems: list[str] = []

    def resolve(self) -> Credentials:
        return Credentials(self.credentials, "secret")

    def send(self, request: AWSPreparedRequest) -> Any:
        """Send a request of the client to the loopback port instead."""
        parts = urlsplit(request.url)
        request.headers["X-Url"] = request.url
        request.url = f"{self.address}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return self._session.send(request)

    @contextmanager
    def serving(self) -> Generator[Servers, None, None]:
        servers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                servers.handle(self)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        with Server(("127.0.0.1", 0), Handler) as server:
            self.address = f"http://127.0.0.1:{server.server_port}"
            self._session = URLLib3Session(timeout=DEADLOCK)
            thread = threading.Thread(target=server.serve_forever, args=[0.01])
            thread.start()
            try:
                yield self
            finally:
                self._session.close()
                server.shutdown()
                thread.join()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
        if handler.headers.get("Transfer-Encoding") == "chunked":
            body = _chunked(handler)
        if handler.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256"):
            self._serve(handler, body)
        else:
            self._accept(handler, body)

    def _serve(self, handler: BaseHTTPRequestHandler, body: str) -> None:
        """Be the service."""
        with self.lock:
            line: Any = f"{handler.command} {handler.path}"
            self.requests.append({line: json.loads(body)} if body else line)
            credential = handler.headers["Authorization"].split("Credential=")[1].split("/")
            self.signed.append(f"{credential[0]}/{credential[2]}/{credential[3]}")
            if not handler.headers["User-Agent"].startswith("tokenvend-python/"):
                self.problems.append(f"User-Agent {handler.headers['User-Agent']}")
            answer: dict[str, Any] = (
                dict(self.answers.pop(0)) if self.answers else {"raw": "no answer is left", "status": 599}
            )
        if "after" in answer:
            self.time.sleep(answer.pop("after"))
        if answer.pop("failure", False):
            _reset(handler)
            return
        headers = {name: str(answer.pop(member)) for name, member in HEADERS.items() if member in answer}
        status = answer.get("status", 200)
        if "raw" in answer:
            _respond(handler, status, answer["raw"], headers)
            return
        if "vend" in answer:
            token = answer.pop("vend")
            answer = {"access_token": token, "token_type": "Bearer", "token_id": f"id-{token}", **answer}
        _respond(handler, status, json.dumps(answer), headers)

    def _accept(self, handler: BaseHTTPRequestHandler, body: str) -> None:
        """Be the resource server."""
        url = urlsplit(handler.headers["X-Url"])
        carried = "-"
        for name in ("Authorization", "X-Shopify-Access-Token"):
            if name in handler.headers:
                carried = f"{name}: {handler.headers[name]}"
        with self.lock:
            self.presented.append(f"{url.scheme}://{url.netloc} {carried}")
            if body != "order":
                self.problems.append(f"the body is {body!r}")
            answer = self.resource.pop(0) if self.resource else 599
        if isinstance(answer, dict):
            self.time.sleep(answer["after"])
            answer = answer["status"]
        if isinstance(answer, str):
            _respond(handler, 307, "", {"Location": answer})
        else:
            _respond(handler, answer, "answer", {})


HEADERS = {"Retry-After": "retry_after", "Date": "date", "Location": "location"}


def _respond(handler: BaseHTTPRequestHandler, status: int, body: str, headers: dict[str, str]) -> None:
    handler.send_response_only(status)
    for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body.encode())


def _reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True


def _chunked(handler: BaseHTTPRequestHandler) -> str:
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body.decode()
