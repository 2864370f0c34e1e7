"""What a run may cost: checked before a request is sent, with the most that it can cost."""

import asyncio
from dataclasses import dataclass


class BudgetError(Exception):
    """The next request might pass the limit."""


@dataclass
class Budget:
    """Limits of a run, all its starts together, and what it has spent: US dollars, and requests that were answered or
    may have been.
    """

    most_cost: float | None = None
    most_calls: int | None = None
    cost: float = 0.0
    calls: int = 0
    _held: float = 0.0
    _pending: int = 0

    def __post_init__(self) -> None:
        self._settled = asyncio.Event()

    async def hold(self, cost: float, calls: int = 1) -> None:
        """Set aside what requests can cost at most; wait for others to settle where that might make the room.

        Raises BudgetError where there is none.
        """
        while not self._fits(cost, calls):
            if not self._pending:
                raise BudgetError
            self._settled.clear()
            await self._settled.wait()
        self._held += cost
        self._pending += 1
        self.calls += calls

    def settle(self, held: float, cost: float | None) -> None:
        """What was set aside has become a cost, or None: the request was turned away, and costs nothing."""
        self._held -= held
        self._pending -= 1
        if cost is None:
            self.calls -= 1
        else:
            self.cost += cost
        self._settled.set()

    def _fits(self, cost: float, calls: int) -> bool:
        if self.most_calls is not None and self.calls + calls > self.most_calls:
            return False
        return self.most_cost is None or self.cost + self._held + cost <= self.most_cost

    def __str__(self) -> str:
        limits = [f"${self.most_cost:g}"] if self.most_cost is not None else []
        limits += [f"{self.most_calls} calls"] if self.most_calls is not None else []
        return " and ".join(limits)
