"""Clock, waiting and threads.

What the client decides is written once, as generators that yield what they wait for: a
:class:`Wait` or a number of seconds. :class:`Runtime` drives a generator on the caller's
thread or on its event loop. Tests drive the same generators on a simulated clock.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Generator
from typing import Callable, NamedTuple, TypeVar, Union

T = TypeVar("T")


class Wait(NamedTuple):
    """Wait for a future; the generator is sent whether it is done."""

    future: concurrent.futures.Future[None]
    timeout: float  # seconds


Steps = Generator[Union[Wait, float], bool, T]


class Runtime:
    """The real clock, threads and event loop."""

    def now(self) -> float:
        """Return the wall clock: a monotonic clock stands still while a process is frozen."""
        return time.time()

    def spawn(self, work: Callable[[], None]) -> None:
        """Run work on a thread of its own, which does not keep the process alive."""
        try:
            threading.Thread(target=work, daemon=True, name="tokenvend").start()
        except RuntimeError:  # no thread can be started, for example while the interpreter ends
            work()

    def sleep(self, seconds: float) -> None:
        """Sleep on the caller's thread."""
        time.sleep(seconds)

    def wait(self, wait: Wait) -> bool:
        """Wait on the caller's thread."""
        return bool(concurrent.futures.wait([wait.future], wait.timeout).done)

    async def async_sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)

    async def async_wait(self, wait: Wait) -> bool:
        """Wait on the event loop."""
        done, _ = await asyncio.wait([asyncio.wrap_future(wait.future)], timeout=wait.timeout)
        return bool(done)

    def run(self, steps: Steps[T]) -> T:
        """Drive the steps on the caller's thread."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Wait):
                    step = steps.send(self.wait(step))
                else:
                    self.sleep(step)
                    step = steps.send(True)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def async_run(self, steps: Steps[T]) -> T:
        """Drive the steps on the event loop."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Wait):
                    step = steps.send(await self.async_wait(step))
                else:
                    await self.async_sleep(step)
                    step = steps.send(True)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
