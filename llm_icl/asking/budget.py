"""Spending limits of a run, checked before each request against its maximum cost."""

import asyncio
from dataclasses import dataclass, field

from llm_icl.config.specs import counted


class BudgetError(Exception):
    """The next request could exceed the limit."""


@dataclass
class Budget:
    """Limits of a run and its spending over all resumptions: US dollars, and requests that were or may have been
    answered.
    """

    most_cost: float | None = None
    most_calls: int | None = None
    cost: float = 0.0
    calls: int = 0
    _held: float = 0.0
    _pending: int = 0
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    async def hold(self, cost: float) -> None:
        """Reserve the maximum cost of a request; wait for pending reservations if they may free enough budget.

        Raises BudgetError if the budget does not suffice.
        """
        while not self._fits(cost, 1):
            if not self._pending:
                raise BudgetError
            settled = asyncio.get_running_loop().create_future()
            self._waiting.append(settled)
            await settled
        self._held += cost
        self._pending += 1
        self.calls += 1

    def settle(self, held: float, cost: float | None) -> None:
        """Replace a reservation by the actual cost; None: the request was rejected and costs nothing."""
        self._held -= held
        self._pending -= 1
        if cost is None:
            self.calls -= 1
        else:
            self.cost += cost
        waiting, self._waiting = self._waiting, []
        for settled in waiting:
            if not settled.done():
                settled.set_result(None)

    def charge(self, cost: float, calls: int) -> None:
        """Spend immediately; a negative cost is a refund. Raises BudgetError if the budget does not suffice."""
        if (cost > 0 or calls > 0) and not self._fits(cost, calls):
            raise BudgetError
        self.cost += cost
        self.calls += calls

    def _fits(self, cost: float, calls: int) -> bool:
        if self.most_calls is not None and self.calls + calls > self.most_calls:
            return False
        return self.most_cost is None or self.cost + self._held + cost <= self.most_cost

    def __str__(self) -> str:
        limits = [f"${self.most_cost:g}"] if self.most_cost is not None else []
        limits += [counted(self.most_calls, "call")] if self.most_calls is not None else []
        return " and ".join(limits)
