"""How many requests are in flight: a set number, or as many as the server bears."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

_FIRST = 4.0
MOST = 256


class Limiter:
    """With a number, so many at a time. Without one, adaptive, as TCP is: it begins slowly and grows by one for each
    answer until the first overload, then by one for each round; it halves on an overload, once for all the requests
    that were in flight then; and it grows only while it is what holds the requests back.
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
        """Seconds until the server may be asked again."""
        return max(0.0, self._resume - self._clock())

    def pause(self, seconds: float) -> None:
        """Nothing is sent for so long: the server has asked for it."""
        self._resume = max(self._resume, self._clock() + seconds)

    async def enter(self) -> int:
        """Wait for a place. Returns a mark to leave with."""
        while self._busy >= self.limit:
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self._wake()  # the place was given and is not taken: the next one gets it
                raise
        self._busy += 1
        return self._decreases

    def leave(self, mark: int, overloaded: bool, answered: bool) -> None:
        """Give the place back, and say how it went."""
        full = self._busy >= self.limit
        self._busy -= 1
        if self._adaptive:
            if overloaded:
                self._beginning = False
                if mark == self._decreases:  # it was sent since the last halving
                    self._limit = max(1.0, self._limit / 2)
                    self._decreases += 1
            elif answered and (full or self._waiting):
                self._limit = min(float(MOST), self._limit + (1.0 if self._beginning else 1.0 / self._limit))
        self._wake()

    def _wake(self) -> None:
        free = self.limit - self._busy
        while self._waiting and free > 0:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1
