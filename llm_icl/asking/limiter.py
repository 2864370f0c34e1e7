"""Limits concurrent requests: to a fixed number, or adaptively to what the server accepts."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

_FIRST = 4.0
MOST = 256


class Limiter:
    """With `number`, a fixed limit. Without, adaptive as in TCP congestion control: slow start (plus one per reply
    until the first overload), then additive increase (plus one per round trip); halved on an overload, once per set
    of requests in flight; increased only while the limit is binding.
    """

    def __init__(self, number: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._adaptive = number is None
        self._limit = _FIRST if number is None else float(number)
        self._beginning = True
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._busy = 0
        self._decreases = 0
        self._resume = 0.0

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        return self._busy

    @property
    def paused_for(self) -> float:
        """Seconds until the next request may be sent."""
        return max(0.0, self._resume - self._clock())

    def pause(self, seconds: float) -> None:
        """Send nothing for this many seconds, as requested by the server."""
        self._resume = max(self._resume, self._clock() + seconds)

    async def enter(self) -> int:
        """Wait for a slot, first come, first served. Returns a mark to pass to `leave`."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._grant()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # the slot was granted but not used: pass it on
                self._busy -= 1
                self._grant()
            raise
        return self._decreases

    def leave(self, mark: int, overloaded: bool, answered: bool) -> None:
        """Release the slot and record the outcome."""
        full = self._busy >= self.limit
        self._busy -= 1
        if self._adaptive:
            if overloaded:
                self._beginning = False
                if mark == self._decreases:  # sent since the last halving
                    self._limit = max(1.0, self._limit / 2)
                    self._decreases += 1
            elif answered and (full or self._waiting):
                self._limit = min(float(MOST), self._limit + (1.0 if self._beginning else 1.0 / self._limit))
        self._grant()

    def _grant(self) -> None:
        """Free slots to those who have waited longest, before anyone who comes later can take them."""
        while self._waiting and self._busy < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self._busy += 1
                place.set_result(None)
