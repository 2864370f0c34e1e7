"""Attempts at something that may fail for a while, and the waits between them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_exponential, wait_random

from llm_icl.backends.hosted.faults import TransientError

log = logging.getLogger(__name__)
T = TypeVar("T")

# Waits of more seconds are logged.
_NOTICEABLE = 5.0


@dataclass(frozen=True)
class Patience:
    """The maximum number of attempts, and the waits between them in seconds."""

    attempts: int = 10
    first_wait: float = 0.5
    longest_wait: float = 60.0


USUAL = Patience()


class Attempts:
    """Retries with exponential backoff, or after what a server asks for. `name` is that of the model. Once `stopped` is
    set, nothing is tried again, and no wait goes on.
    """

    def __init__(self, name: str, patience: Patience, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.patience = patience
        self.stopped = asyncio.Event()
        self._name = name
        self._sleep = sleep
        self._waits: dict[object, tuple[float, str]] = {}

    async def again(
        self, attempt: Callable[[], Awaitable[T]], most: Callable[[BaseException | None], int] | None = None
    ) -> T:
        """The result of the first attempt without a transient fault; at most as many as `most` says of the last one."""
        me = object()
        first, longest = self.patience.first_wait, self.patience.longest_wait
        backoff = wait_exponential(first, longest) + wait_random(0, first)

        def wait(state: RetryCallState) -> float:
            assert state.outcome is not None
            problem = state.outcome.exception()
            asked = problem.wait if isinstance(problem, TransientError) else None
            seconds = max(asked or 0.0, float(backoff(state)))
            self._waits[me] = (time.monotonic() + seconds, str(problem))
            if seconds > _NOTICEABLE:
                log.info("%s: retrying in %.0f s: %s", self._name, seconds, problem)
            return seconds

        def stop(state: RetryCallState) -> bool:
            problem = state.outcome.exception() if state.outcome is not None else None
            return self.stopped.is_set() or state.attempt_number >= (most(problem) if most else self.patience.attempts)

        async def sleep(seconds: float) -> None:
            try:
                await self.rest(seconds)
            finally:
                del self._waits[me]

        attempts = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop,
            wait=wait,
            sleep=sleep,
            reraise=True,
        )
        async for one in attempts:
            with one:
                return await attempt()
        raise AssertionError("unreachable: the last attempt raises")

    async def rest(self, seconds: float) -> None:
        """Sleep, but not after the work must stop."""
        sleeping, stopped = asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self.stopped.wait())
        try:
            await asyncio.wait((sleeping, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopped.cancel()

    @property
    def waiting(self) -> str:
        """A status text: 3 waiting (HTTP 429: …; next in 8 s). Empty if nothing waits."""
        if not self._waits:
            return ""
        until, reason = min(self._waits.values())
        return f"{len(self._waits)} waiting ({reason}; next in {max(0.0, until - time.monotonic()):.0f} s)"
